//! The simulator's model broker at the far end of in-memory connections.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use everlink_proto::time::Instant;
use everlink_sim::broker::Broker;
use everlink_sim::netem::PipeId;
use everlink_sim::pair::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::memory::{Listener, Path};

/// A model broker that serves every connection of a link.
#[derive(Clone, Debug)]
pub struct Model {
    broker: Arc<Mutex<Broker>>,
    changed: Arc<watch::Sender<u64>>,
    path: Path,
    opened: Arc<AtomicU32>,
}

impl Model {
    /// Serves what arrives at `listener`.
    pub fn start(path: &Path, listener: Listener) -> Self {
        let broker = Arc::new(Mutex::new(Broker::new(1)));
        let model = Self {
            broker,
            changed: Arc::new(watch::Sender::new(0)),
            path: path.clone(),
            opened: Arc::new(AtomicU32::new(0)),
        };
        model.listen(listener);
        model
    }

    /// Serves what arrives at a further listener.
    pub fn listen(&self, mut listener: Listener) {
        let serving = self.clone();
        tokio::spawn(async move {
            while let Some(io) = listener.next().await {
                let id = PipeId(serving.opened.fetch_add(1, Ordering::Relaxed));
                serving.with(|broker, now| broker.opened(now, id));
                tokio::spawn(serving.clone().serve(id, io));
            }
        });
    }

    /// Looks at the broker, or changes it.
    pub fn with<R>(&self, f: impl FnOnce(&mut Broker, Instant) -> R) -> R {
        let now = self.path.now();
        let mut broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut broker, now);
        drop(broker);
        self.changed.send_modify(|n| *n += 1);
        result
    }

    /// The broker forgets everything, as if it had no disk, and all connections end.
    pub fn restart(&self) {
        self.path.cut();
        self.with(|broker, _| {
            let mut new = Broker::new(1);
            new.cfg = broker.cfg.clone();
            *broker = new;
        });
    }

    /// Payloads of the messages the broker accepted, as text.
    pub fn accepted(&self) -> Vec<String> {
        self.with(|broker, _| broker.accepted().iter().map(|a| a.text()).collect())
    }

    /// Neither the broker nor the observer at the client's end saw a breach of the protocol.
    pub fn assert_conformant(&self) {
        let seen = self.with(|broker, _| broker.violations().to_vec());
        assert!(seen.is_empty(), "seen by the broker: {seen:?}");
        let seen = self.path.violations();
        assert!(seen.is_empty(), "seen at the client: {seen:#?}");
    }

    async fn serve(self, id: PipeId, io: DuplexStream) {
        let (mut from, mut to) = tokio::io::split(io);
        let mut changed = self.changed.subscribe();
        let mut buf = vec![0; 64 * 1024];
        loop {
            changed.borrow_and_update();
            let (out, closing, next) = {
                let broker = self.broker.lock().unwrap_or_else(PoisonError::into_inner);
                (broker.transmit(id).to_vec(), broker.is_closing(id), broker.next_event())
            };
            if closing && out.is_empty() {
                break;
            }
            let due = next.map(|at| self.path.at(at));
            tokio::select! {
                biased;
                n = to.write(&out), if !out.is_empty() => match n {
                    Ok(n) if n > 0 => self.with(|broker, now| broker.transmitted(now, id, n)),
                    _ => break,
                },
                n = from.read(&mut buf) => match n {
                    Ok(n) if n > 0 => self.with(|broker, now| broker.received(now, id, &buf[..n])),
                    _ => break,
                },
                _ = changed.changed() => {}
                () = super::memory::sleep_until(due), if due.is_some() => {
                    self.with(|broker, now| broker.advance(now));
                }
            }
        }
        self.with(|broker, now| broker.closed(now, id));
        let _ = to.shutdown().await;
    }
}
