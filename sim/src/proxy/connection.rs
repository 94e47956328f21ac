//! One client's connection from accept to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::pump::{Pump, Stop};
use super::{Direction, End, Shared};

/// How long an orderly close waits for the peer's FIN.
const LINGER: Duration = Duration::from_secs(2);
/// How long the broker may take to accept.
const CONNECT: Duration = Duration::from_secs(5);
/// A reset discards what the peer has not read yet; a cut gives it this long to read.
const BEFORE_CUT: Duration = Duration::from_millis(5);

type Kill = oneshot::Receiver<(End, oneshot::Sender<()>)>;
type Inject = [mpsc::UnboundedReceiver<Vec<u8>>; 2];

pub(super) async fn run(
    number: u64,
    client: TcpStream,
    mut kill: Kill,
    inject: Inject,
    shared: Arc<Shared>,
) {
    let mut sockets = Sockets { client, broker: None };
    let (end, ack) = tokio::select! {
        biased;
        killed = &mut kill => match killed {
            Ok((end, ack)) => (end, Some(ack)),
            Err(_) => (End::Reset, None), // the proxy is gone
        },
        end = live(number, &mut sockets, inject, &shared) => (end, None),
    };
    shared.state().live.remove(&number);
    match end {
        End::Reset => {
            sockets.reset();
            drop(ack);
        }
        End::Close => sockets.close(ack).await,
    }
}

async fn live(number: u64, sockets: &mut Sockets, inject: Inject, shared: &Arc<Shared>) -> End {
    let silent = shared.settings.borrow().silent;
    if silent {
        drain(&mut sockets.client).await;
        return End::Close;
    }
    if !held_at_the_door(&sockets.client, shared).await {
        return End::Close;
    }
    let Ok(Ok(broker)) = timeout(CONNECT, TcpStream::connect(shared.upstream)).await else {
        shared.state().counters.unreachable += 1;
        return End::Reset;
    };
    // Nagle would add delays nobody asked for; a failure here shows in the next read
    let _ = sockets.client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    let broker = sockets.broker.insert(broker);
    shared.state().counters.joined += 1;

    let (from_client, to_client) = sockets.client.split();
    let (from_broker, to_broker) = broker.split();
    let [inject_up, inject_down] = inject;
    let up = Pump::new(Direction::ToBroker, number, shared.clone(), inject_up);
    let down = Pump::new(Direction::ToClient, number, shared.clone(), inject_down);
    let stop = both(up.run(from_client, to_broker), down.run(from_broker, to_client)).await;
    match stop {
        Stop::Finished => End::Close,
        Stop::Broken => End::Reset,
        Stop::Cut => {
            shared.state().counters.killed += 1;
            sleep(BEFORE_CUT).await;
            End::Reset
        }
    }
}

/// Waits until the broker can be reached; false if the client gave up before. A connect in a black
/// hole would never have been answered, so what it sent must not arrive when the path heals.
async fn held_at_the_door(client: &TcpStream, shared: &Shared) -> bool {
    let mut settings = shared.settings.subscribe();
    let mut waited = false;
    while settings.borrow_and_update().hold[0] {
        waited = true;
        if settings.changed().await.is_err() {
            return false;
        }
    }
    if !waited {
        return true;
    }
    let closed = client.ready(Interest::READABLE);
    match timeout(Duration::from_millis(1), closed).await {
        Ok(Ok(ready)) => !ready.is_read_closed(),
        Ok(Err(_)) => false,
        Err(_) => true, // nothing to read, not closed either
    }
}

/// Runs both directions; a FIN in one leaves the other open, anything else ends both.
async fn both(up: impl Future<Output = Stop>, down: impl Future<Output = Stop>) -> Stop {
    tokio::pin!(up, down);
    tokio::select! {
        stop = &mut up => if stop == Stop::Finished { down.await } else { stop },
        stop = &mut down => if stop == Stop::Finished { up.await } else { stop },
    }
}

struct Sockets {
    client: TcpStream,
    broker: Option<TcpStream>,
}

impl Sockets {
    fn reset(self) {
        for socket in [Some(self.client), self.broker].into_iter().flatten() {
            // fails only on a socket that is closed already
            let _ = socket.set_zero_linger();
        }
    }

    /// FIN to both, acknowledged to `ack`; then waits for theirs. Closing a socket with unread
    /// bytes would send a reset instead.
    async fn close(mut self, ack: Option<oneshot::Sender<()>>) {
        let _ = self.client.shutdown().await; // the peer may be gone: then there is nobody to tell
        if let Some(broker) = &mut self.broker {
            let _ = broker.shutdown().await;
        }
        drop(ack);
        let client = timeout(LINGER, drain(&mut self.client));
        match &mut self.broker {
            Some(broker) => drop(tokio::join!(client, timeout(LINGER, drain(broker)))),
            None => drop(client.await),
        }
    }
}

/// Reads until the peer is done.
async fn drain(socket: &mut TcpStream) {
    let mut scrap = [0; 4096];
    while matches!(socket.read(&mut scrap).await, Ok(n) if n > 0) {}
}
