//! A publisher, a subscriber, and the ledger between them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use everlink::{Client, FirstConnect, QoS, Stats, Stopped, Subscription, Version};
use everlink_sim::proxy::Proxy;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::matrix::version_name;

/// How far the publisher may be ahead of the subscriber.
const AHEAD: usize = 2_000;
/// Without a message for so long, something is wrong: no fault takes half as long.
const STUCK: Duration = Duration::from_secs(180);

/// Two clients, each by way of a proxy of its own.
pub(super) struct Lane {
    version: Version,
    qos: QoS,
    pub(super) to_writer: Proxy,
    pub(super) to_reader: Proxy,
    shared: Arc<Shared>,
    writer: Client,
    reader: Client,
    drivers: [JoinHandle<Stopped>; 2],
    writing: JoinHandle<()>,
    reading: JoinHandle<()>,
}

struct Shared {
    published: AtomicU64,
    received: AtomicU64,
    doubled: AtomicU64,
    /// The publisher is to stop.
    end: AtomicBool,
    /// How many may still be published before the subscriber gets one.
    ahead: Semaphore,
    arrived: Notify,
    /// What came out of turn, if something did; the reader then stops.
    wrong: Mutex<Option<String>>,
    last: Mutex<Instant>,
}

impl Shared {
    fn is_stuck(&self) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        wrong || self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > STUCK
    }
}

/// How a lane ended.
#[derive(Clone, Debug)]
pub(super) struct Account {
    version: Version,
    qos: QoS,
    pub(super) published: u64,
    received: u64,
    doubled: u64,
    held: usize,
    wrong: Option<String>,
    stats: [Stats; 2],
}

impl Lane {
    pub(super) async fn start(
        addr: SocketAddr,
        version: Version,
        qos: QoS,
        rate: Option<u32>,
    ) -> Result<Self, String> {
        let name = format!("v{}q{}", version_name(version), qos as u8);
        let to_writer = Proxy::start(addr).await.map_err(|e| e.to_string())?;
        let to_reader = Proxy::start(addr).await.map_err(|e| e.to_string())?;
        let client = |proxy: &Proxy, who: &str| {
            // The records of packets would be what grows.
            proxy.keep(1);
            let builder = Client::builder(format!("mqtt://{}", proxy.addr())).version(version);
            let builder = builder.client_id(format!("{name}{who}")).window(50);
            let builder = builder.first_connect(FirstConnect::Forever);
            let builder = builder.session_expiry(Duration::from_secs(86_400));
            let builder = builder.response_time(Duration::from_secs(3));
            let (client, driver) = builder.build().expect("the options are valid");
            (client, tokio::spawn(driver.run()))
        };
        let (writer, drive_writer) = client(&to_writer, "writer");
        let (reader, drive_reader) = client(&to_reader, "reader");
        let stream = reader.subscribe(&name, qos).capacity(AHEAD);
        let stream = timeout(Duration::from_secs(20), stream.into_future()).await;
        let stream = stream.map_err(|_| "mosquitto does not answer")?.map_err(|e| e.to_string())?;
        let shared = Arc::new(Shared {
            published: AtomicU64::new(0),
            received: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            end: AtomicBool::new(false),
            ahead: Semaphore::new(AHEAD),
            arrived: Notify::new(),
            wrong: Mutex::new(None),
            last: Mutex::new(Instant::now()),
        });
        let writing = tokio::spawn(write(writer.clone(), name, (qos, rate), Arc::clone(&shared)));
        let reading = tokio::spawn(read(stream, qos, Arc::clone(&shared)));
        let drivers = [drive_writer, drive_reader];
        Ok(Self {
            version,
            qos,
            to_writer,
            to_reader,
            shared,
            writer,
            reader,
            drivers,
            writing,
            reading,
        })
    }

    pub(super) fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Whether it makes no sense to go on.
    pub(super) fn is_stuck(&self) -> bool {
        self.shared.is_stuck()
    }

    /// Publishes no more, and gives everything `time` to arrive.
    pub(super) async fn end(self, time: Duration) -> Account {
        self.shared.end.store(true, Ordering::Relaxed);
        self.shared.ahead.add_permits(1);
        let all = async {
            while self.shared.received.load(Ordering::Relaxed)
                < self.shared.published.load(Ordering::Relaxed)
                && !self.shared.is_stuck()
            {
                let _ = timeout(Duration::from_secs(1), self.shared.arrived.notified()).await;
            }
        };
        let _ = timeout(time, self.writing).await;
        let _ = timeout(time, all).await;
        let held = self.writer.drain(time).await;
        self.reading.abort();
        let stats = [self.writer.stats(), self.reader.stats()];
        self.writer.close();
        self.reader.close();
        for driver in self.drivers {
            let _ = timeout(time, driver).await;
        }
        Account {
            version: self.version,
            qos: self.qos,
            published: self.shared.published.load(Ordering::Relaxed),
            received: self.shared.received.load(Ordering::Relaxed),
            doubled: self.shared.doubled.load(Ordering::Relaxed),
            held,
            wrong: self.shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).take(),
            stats,
        }
    }
}

async fn write(
    client: Client,
    topic: String,
    (qos, rate): (QoS, Option<u32>),
    shared: Arc<Shared>,
) {
    let mut pace = rate.map(|rate| {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        pace
    });
    for number in 0_u64.. {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let Ok(permit) = shared.ahead.acquire().await else { return };
        permit.forget();
        if shared.end.load(Ordering::Relaxed) {
            return;
        }
        // Its outcome is in the counters; only the client's end refuses it.
        if client.publish(&topic, number.to_string()).qos(qos).accepted().await.is_err() {
            return;
        }
        shared.published.fetch_add(1, Ordering::Relaxed);
    }
}

async fn read(mut stream: Subscription, qos: QoS, shared: Arc<Shared>) {
    let mut next = 0;
    while let Some(message) = stream.next().await {
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        let number = text.parse::<u64>().ok();
        match number {
            Some(n) if n == next => {
                next += 1;
                shared.received.store(next, Ordering::Relaxed);
                *shared.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                shared.ahead.add_permits(1);
                shared.arrived.notify_one();
            }
            // QoS 1 comes again from where it was, in order.
            Some(n) if n < next && qos == QoS::AtLeastOnce => {
                shared.doubled.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                let wrong = format!("{text:?} came where {next} was due");
                *shared.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrong);
                return;
            }
        }
    }
}

impl Account {
    pub(super) fn failures(&self) -> Vec<String> {
        let lane = format!("{} QoS {}", version_name(self.version), self.qos as u8);
        let mut failures = Vec::new();
        if let Some(wrong) = &self.wrong {
            failures.push(format!("{lane}: {wrong}"));
        }
        if self.received != self.published {
            failures.push(format!("{lane}: {} of {} arrived", self.received, self.published));
        }
        let stats = &self.stats[0];
        let (accepted, delivered) = (stats.accepted, stats.delivered);
        if accepted != delivered || self.held > 0 {
            failures.push(format!(
                "{lane}: accepted {accepted}, delivered {delivered}, held {}",
                self.held
            ));
        }
        failures
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [writer, reader] = &self.stats;
        write!(
            f,
            "{:5} QoS {}: {} published, {} received in order, {} came again; outages {} and {}, \
             the longest {:.1} s; {} duplicates suppressed",
            version_name(self.version),
            self.qos as u8,
            self.published,
            self.received,
            self.doubled,
            writer.outages,
            reader.outages,
            writer.longest_outage.max(reader.longest_outage).as_secs_f64(),
            reader.duplicates
        )
    }
}
