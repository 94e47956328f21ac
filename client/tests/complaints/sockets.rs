//! Complaints that need real sockets, and real time.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use everlink_link::tcp::{Answer, TcpLink};
use everlink_link::{Endpoint, Link, Pipe, Progress};
use everlink_proto::engine::Fault;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use super::*;

/// Answers CONNECT of 3.1.1; the rest is up to the caller.
async fn welcome(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut head = [0; 2];
    soon("CONNECT", stream.read_exact(&mut head)).await.unwrap();
    let mut rest = vec![0; usize::from(head[1])];
    soon("all of it", stream.read_exact(&mut rest)).await.unwrap();
    stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
}

fn builder() -> Builder {
    Client::builder("mqtt://name.test").version(Version::V311).client_id("c").clean_start(false)
}

/// A link to one name that has these addresses, one list at each look-up, the last for ever.
fn to_name(mut lists: Vec<Vec<SocketAddr>>) -> TcpLink {
    lists.reverse();
    let resolve = move |_: &str, _: u16| -> Answer {
        let list = if lists.len() > 1 { lists.pop() } else { lists.last().cloned() };
        Box::pin(async move { list.ok_or(Cause::UnknownHost) })
    };
    TcpLink::new([Endpoint::new("name.test", 1883).unwrap()]).resolver(resolve)
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// X7: a name was looked up once; a broker that got another address was lost for good.
#[tokio::test]
async fn a_broker_that_moved_is_lost_for_good() {
    let ((old_home, old), (new_home, new)) = (listener().await, listener().await);
    let (client, driver) = builder().build_over(to_name(vec![vec![old], vec![new]])).unwrap();
    tokio::spawn(driver.run());
    let (mut stream, _) = soon("at the old address", old_home.accept()).await.unwrap();
    welcome(&mut stream).await;
    soon("up", client.up()).await;
    drop((stream, old_home));
    let (mut stream, _) = soon("at the new address", new_home.accept()).await.unwrap();
    welcome(&mut stream).await;
    soon("up", client.up()).await;
}

/// rumqtt 939: one dead address took all the time there was to connect.
#[tokio::test]
async fn one_dead_address_costs_the_whole_attempt() {
    // The kernel drops what comes to a full backlog.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let dead = full.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(dead)).await {
        fill.push(stream.unwrap());
        assert!(fill.len() < 16, "the backlog takes everything");
    }
    let (home, alive) = listener().await;
    let (client, driver) = builder().build_over(to_name(vec![vec![dead, alive]])).unwrap();
    let began = Instant::now();
    tokio::spawn(driver.run());
    let (mut stream, _) = soon("at the other address", home.accept()).await.unwrap();
    welcome(&mut stream).await;
    soon("up", client.up()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// All that it takes to go over something else: here, sockets of Unix.
struct UnixLink(std::path::PathBuf);

struct UnixPipe(UnixStream);

impl Link for UnixLink {
    type Pipe = UnixPipe;

    async fn open(&mut self, _: u16, progress: &Progress) -> Result<UnixPipe, Fault> {
        progress.set(Step::Transport);
        let refused = |_| Fault::new(Step::Transport, Cause::Refused);
        UnixStream::connect(&self.0).await.map(UnixPipe).map_err(refused)
    }
}

impl Pipe for UnixPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let mut buf = ReadBuf::new(buf);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut buf);
        read.map(|done| done.map(|()| buf.filled().len()).map_err(|_| Cause::Reset))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        Pin::new(&mut self.0).poll_write(cx, buf).map_err(|_| Cause::Reset)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll_shutdown(cx).map(|_| ())
    }
}

/// micropython-mqtt 130, 56, 167 and 184: for anything but WiFi the client would have to be rewritten.
#[tokio::test]
async fn another_link_needs_another_client() {
    let name = format!("everlink-complaints-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let home = UnixListener::bind(&path).unwrap();
    let (client, driver) = builder().build_over(UnixLink(path.clone())).unwrap();
    tokio::spawn(driver.run());
    for _ in 0..2 {
        let (mut stream, _) = soon("a connection", home.accept()).await.unwrap();
        welcome(&mut stream).await;
        soon("up", client.up()).await;
        let delivery = client.publish("t", "x").qos(Q1).send().unwrap();
        let mut publish = [0; 8];
        soon("PUBLISH", stream.read_exact(&mut publish)).await.unwrap();
        assert_eq!((publish[0], &publish[2..5], publish[7]), (0x32, &[0, 1, b't'][..], b'x'));
        stream.write_all(&[0x40, 2, publish[5], publish[6]]).await.unwrap();
        assert!(soon("delivery", delivery).await.is_delivered());
    }
    std::fs::remove_file(path).unwrap();
}
