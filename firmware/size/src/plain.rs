//! What a program does that needs no broker: it looks up a name, connects, sends, receives.

use embassy_net::Stack;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Timer, with_timeout};

use crate::SOCKET;
use crate::board::REGISTER;

#[embassy_executor::task]
pub(crate) async fn program(stack: Stack<'static>) {
    let (mut rx, mut tx) = ([0; SOCKET], [0; SOCKET]);
    let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
    loop {
        stack.wait_config_up().await;
        let found =
            with_timeout(Duration::from_secs(4), stack.dns_query("broker.local", DnsQueryType::A));
        if let Ok(Ok(found)) = found.await
            && let Some(address) = found.first()
            && socket.connect((*address, 1883)).await.is_ok()
        {
            let _ = talk(&mut socket).await;
        }
        socket.abort();
        Timer::after_secs(1).await;
    }
}

async fn talk(socket: &mut TcpSocket<'_>) -> Result<(), embassy_net::tcp::Error> {
    loop {
        let mut bytes = [0; 64];
        let n = socket.read(&mut bytes).await?;
        if n == 0 {
            socket.close();
            return Ok(());
        }
        let Some(bytes) = bytes.get(..n) else { continue };
        REGISTER.write(n as u32);
        socket.write(bytes).await?;
    }
}
