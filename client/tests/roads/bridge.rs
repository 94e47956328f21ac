//! A bad path between a client and a broker, for any road: it carries bytes, and knows nothing of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

use crate::line::Line;

/// What the path does to connections.
#[derive(Clone, Copy, Debug, Default)]
struct Path {
    /// Connections of earlier generations are dead.
    generation: u64,
    /// Connections up to this generation carry nothing any more, and do not say so.
    hushed: u64,
    /// New connections are dropped at once.
    refuse: bool,
    /// Each connection is cut after so many bytes towards the broker.
    cut_after: Option<usize>,
}

/// Where a client may connect to reach the broker, as long as the path is good.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    broker: SocketAddr,
    path: watch::Sender<Path>,
    accepted: Arc<AtomicU64>,
}

impl Bridge {
    fn new(broker: SocketAddr) -> Self {
        Self { broker, path: watch::Sender::new(Path::default()), accepted: Arc::default() }
    }

    /// A bridge that is reached over TCP.
    pub(crate) async fn tcp(broker: SocketAddr) -> (Self, SocketAddr) {
        let bridge = Self::new(broker);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let accept = bridge.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_zero_linger();
                accept.carry(stream);
            }
        });
        (bridge, addr)
    }

    /// A bridge that is reached over a socket in the file system.
    pub(crate) async fn unix(broker: SocketAddr, path: PathBuf) -> Self {
        let bridge = Self::new(broker);
        let listener = UnixListener::bind(path).expect("a socket");
        let accept = bridge.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accept.carry(stream);
            }
        });
        bridge
    }

    /// A bridge at the other end of a serial line: `path` is the device. Each end of a connection
    /// unplugs the device, and plugs in another.
    pub(crate) fn serial(broker: SocketAddr, path: PathBuf) -> Self {
        let bridge = Self::new(broker);
        let accept = bridge.clone();
        let mut line = Line::plug_in(&path);
        tokio::spawn(async move {
            loop {
                line.spoken_to().await;
                accept.carry(std::mem::replace(&mut line, Line::plug_in(&path)));
            }
        });
        bridge
    }

    /// Every connection ends at once.
    pub(crate) fn cut(&self) {
        self.path.send_modify(|path| path.generation += 1);
    }

    /// Every connection there is carries nothing any more; new ones do.
    pub(crate) fn hush(&self) {
        self.path.send_modify(|path| {
            path.hushed = path.generation + 1;
            path.generation += 1;
        });
    }

    /// New connections end at once, or not.
    pub(crate) fn refuse(&self, on: bool) {
        self.path.send_modify(|path| path.refuse = on);
    }

    /// Each connection ends after so many bytes towards the broker, or none does.
    pub(crate) fn cut_after(&self, bytes: Option<usize>) {
        self.path.send_modify(|path| path.cut_after = bytes);
    }

    /// How many connections there were.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    fn carry<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, client: S) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let bridge = self.clone();
        tokio::spawn(async move { bridge.connection(client).await });
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin>(&self, client: S) {
        let mut path = self.path.subscribe();
        let own = path.borrow_and_update().generation;
        let broker = match TcpStream::connect(self.broker).await {
            Ok(broker) if !path.borrow().refuse => broker,
            _ => return,
        };
        let limit = path.borrow().cut_after.unwrap_or(usize::MAX);
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_broker, mut to_broker) = broker.into_split();
        let out = pump(&mut from_client, &mut to_broker, limit);
        let back = pump(&mut from_broker, &mut to_client, usize::MAX);
        let end = path.wait_for(|path| path.generation > own);
        let hushed = tokio::select! {
            () = out => false,
            () = back => false,
            path = end => path.is_ok_and(|path| path.hushed == path.generation),
        };
        if hushed {
            // Nobody reads, nobody writes, nobody closes, for long.
            let _ = path.wait_for(|path| path.generation > path.hushed).await;
        }
        drop((from_client, to_client));
        // The broker may finish: mosquitto 2.0.11 sends a message again for which it has PUBREC, if
        // it could not write the PUBREL.
        let _ = to_broker.shutdown().await;
        let mut nowhere = tokio::io::sink();
        let rest = pump(&mut from_broker, &mut nowhere, usize::MAX);
        let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
    }
}

/// Ends when one side does, or after so many bytes.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut limit: usize,
) {
    let mut block = [0; 4096];
    while limit > 0 {
        let Ok(n @ 1..) = from.read(&mut block).await else { return };
        let n = n.min(limit);
        if to.write_all(&block[..n]).await.is_err() || to.flush().await.is_err() {
            return;
        }
        limit -= n;
    }
}
