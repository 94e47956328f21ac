//! The demo's broker: `mqtt5` in this process, on loopback, restarted at will.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mqtt5::broker::config::{RateLimitConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The broker itself gives its connections 5 s to finish.
const STOP: Duration = Duration::from_secs(10);

/// What a restart does to the broker's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Read back from its files, as mosquitto does with `persistence true`.
    Kept,
    /// Gone, with retained and queued messages.
    Lost,
}

struct Running {
    shutdown: BrokerShutdownHandle,
    task: JoinHandle<()>,
}

/// A broker that keeps its address over restarts. It accepts anyone, MQTT 3.1.1 and 5.
pub(crate) struct Broker {
    addr: SocketAddr,
    running: Option<Running>,
    dir: PathBuf,
    /// Bound, not listening: while the broker is down nobody else gets its port, not even a connect
    /// in search of a source port, which would then reach itself.
    _port: TcpSocket,
}

impl Broker {
    /// Starts on a free port of 127.0.0.1, its files in a fresh directory below the system's
    /// temporary one.
    pub(crate) async fn start() -> io::Result<Self> {
        let port = TcpSocket::new_v4()?;
        port.set_reuseaddr(true)?;
        port.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let addr = port.local_addr()?;
        let dir = std::env::temp_dir().join(format!(
            "everlink-demo-{}-{}",
            std::process::id(),
            addr.port()
        ));
        let mut broker = Self { addr, running: None, dir, _port: port };
        broker.run().await?;
        Ok(broker)
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops it: connections end, connects are refused, sessions are on file.
    pub(crate) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.shutdown.shutdown();
        if timeout(STOP, &mut running.task).await.is_err() {
            running.task.abort();
            let _ = running.task.await; // cancelled, as asked
        }
    }

    /// Stops it for good and removes its files.
    pub(crate) async fn remove(mut self) {
        self.stop().await;
    }

    /// Starts it, after a stop, on the same port.
    pub(crate) async fn resume(&mut self, sessions: Sessions) -> io::Result<()> {
        self.stop().await;
        if sessions == Sessions::Lost {
            tokio::fs::remove_dir_all(&self.dir).await?;
        }
        self.run().await
    }

    async fn run(&mut self) -> io::Result<()> {
        let storage = StorageConfig::default()
            .with_backend(StorageBackend::File)
            .with_base_dir(self.dir.clone())
            .with_max_queued_messages_per_client(1_000_000);
        let mut config = BrokerConfig::default()
            .with_bind_addresses(vec![self.addr])
            .with_max_packet_size(1 << 20)
            .with_sys_topics_enabled(false)
            .with_storage(storage);
        config.auth_config.allow_anonymous = true;
        // a client that reconnects often is what this is about
        config.auth_config.rate_limit = RateLimitConfig { enabled: false, ..Default::default() };
        let mut broker = MqttBroker::with_config(config).await.map_err(io::Error::other)?;
        let (shutdown, mut ready) = (broker.shutdown_handle(), broker.ready_receiver());
        let task = tokio::spawn(async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "the demo's broker stopped");
            }
        });
        self.running = Some(Running { shutdown, task });
        ready.wait_for(|ready| *ready).await.map_err(io::Error::other)?;
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort(); // may still write a file; `remove` is the clean way
        }
        // it may not exist yet, and a leftover in the temporary directory harms nobody
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// A connection that speaks just enough MQTT, by hand so that it cannot hide anything.
    struct Wire {
        socket: TcpStream,
        level: u8,
    }

    impl Wire {
        /// Connects without Clean Start; also returns Session Present.
        async fn connect(broker: &Broker, level: u8, id: u8) -> (Self, bool) {
            let socket = TcpStream::connect(broker.addr()).await.unwrap();
            let mut wire = Self { socket, level };
            let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0, 0, 60];
            if level == 5 {
                body.extend([5, 17, 0, 0, 14, 16]); // Session Expiry Interval 3600
            }
            body.extend([0, 1, id]);
            wire.send(0x10, &body).await;
            let connack = wire.expect(0x20).await;
            assert_eq!(connack[1], 0, "{connack:?}");
            (wire, connack[0] == 1)
        }

        async fn send(&mut self, first: u8, body: &[u8]) {
            let packet = [&[first, body.len() as u8], body].concat();
            self.socket.write_all(&packet).await.unwrap();
        }

        /// The body of the next packet, which must be of this type.
        async fn expect(&mut self, first: u8) -> Vec<u8> {
            let next = async {
                let mut header = [0; 2];
                self.socket.read_exact(&mut header).await.unwrap();
                let mut body = vec![0; usize::from(header[1])];
                self.socket.read_exact(&mut body).await.unwrap();
                assert_eq!(header[0], first, "{body:?}");
                body
            };
            timeout(Duration::from_secs(10), next).await.expect("hangs")
        }

        /// Subscribes to "t" at QoS 2.
        async fn subscribe(&mut self) {
            let properties: &[u8] = if self.level == 5 { &[0] } else { &[] };
            self.send(0x82, &[&[0, 1], properties, &[0, 1, b't', 2]].concat()).await;
            assert_eq!(self.expect(0x90).await.last(), Some(&2));
        }

        /// Publishes "x" to "t" at QoS 2 with Packet Identifier 7.
        async fn publish(&mut self, dup: bool) {
            let properties: &[u8] = if self.level == 5 { &[0] } else { &[] };
            let body = [&[0, 1, b't', 0, 7], properties, b"x"].concat();
            self.send(0x34 | u8::from(dup) << 3, &body).await;
            assert_eq!(self.expect(0x50).await[..2], [0, 7]);
        }

        /// Nothing more comes: a ping is answered at once.
        async fn quiet(&mut self) {
            self.send(0xc0, &[]).await;
            assert!(self.expect(0xd0).await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_restart_with_sessions_keeps_a_half_done_exchange() {
        for level in [4, 5] {
            let mut broker = Broker::start().await.unwrap();
            let (mut sub, present) = Wire::connect(&broker, level, b's').await;
            assert!(!present);
            sub.subscribe().await;
            let (mut publisher, _) = Wire::connect(&broker, level, b'p').await;
            publisher.publish(false).await;

            broker.resume(Sessions::Kept).await.unwrap();
            let (mut publisher, present) = Wire::connect(&broker, level, b'p').await;
            assert!(present);
            publisher.publish(true).await; // as if the PUBREC had not arrived
            publisher.send(0x62, &[0, 7]).await;
            assert_eq!(publisher.expect(0x70).await[..2], [0, 7]);
            let (mut sub, present) = Wire::connect(&broker, level, b's').await;
            assert!(present);
            assert_eq!(sub.expect(0x34).await.last(), Some(&b'x'));
            sub.quiet().await;
            broker.remove().await;
        }
    }

    #[tokio::test]
    async fn a_restart_without_sessions_knows_nobody() {
        for level in [4, 5] {
            let mut broker = Broker::start().await.unwrap();
            let (mut sub, _) = Wire::connect(&broker, level, b's').await;
            sub.subscribe().await;
            broker.stop().await;
            let refused = TcpStream::connect(broker.addr()).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            broker.resume(Sessions::Lost).await.unwrap();
            let (mut sub, present) = Wire::connect(&broker, level, b's').await;
            assert!(!present);
            sub.quiet().await;
            let dir = broker.dir.clone();
            broker.remove().await;
            assert!(!dir.exists());
        }
    }
}
