//! A client that publishes to itself over a path of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use everlink::{Client, FirstConnect, QoS, Version};
use everlink_sim::proxy::Proxy;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::broker::Broker;
use super::pace::{Flow, Urgency};
use super::traffic::{self, Account};

/// Longest wait for any reply of the broker. The default of 10 s would make a short demo long.
const RESPONSE_TIME: Duration = Duration::from_secs(3);
/// Longest wait for the first subscription, and for the last messages.
const PATIENCE: Duration = Duration::from_secs(20);
/// A second copy would follow the first within this time.
const ECHO: Duration = Duration::from_millis(300);

/// One client, its path to the broker, and the account of its messages.
pub(super) struct Party {
    pub(super) version: Version,
    pub(super) client: Client,
    pub(super) account: Arc<Account>,
    pub(super) path: Proxy,
    readers: JoinSet<()>,
    writers: JoinSet<()>,
    driver: JoinSet<()>,
}

impl Party {
    /// Connects and subscribes; publishes nothing yet.
    ///
    /// One client for both directions, because it subscribes again before it publishes again when
    /// the broker lost its sessions. With two, the publisher could be back before the subscriber,
    /// and its messages would rightly go nowhere.
    pub(super) async fn join(broker: &Broker, version: Version, seed: u64) -> io::Result<Self> {
        let path = Proxy::start_seeded(broker.addr(), seed).await?;
        let name = name(version);
        let (client, driver) = Client::builder(format!("mqtt://{}", path.addr()))
            .client_id(format!("everlink-demo-{name}"))
            .version(version)
            .keep_alive(10)
            .response_time(RESPONSE_TIME)
            .first_connect(FirstConnect::Forever)
            .seed(seed)
            .build()
            .map_err(io::Error::other)?;
        let account = Arc::new(Account::new());
        let (mut readers, mut running) = (JoinSet::new(), JoinSet::new());
        running.spawn(async move { drop(driver.run().await) });
        let filter = format!("everlink/demo/{name}/+");
        let subscription = client.subscribe(&filter, QoS::ExactlyOnce).capacity(1024);
        let subscription = timeout(PATIENCE, subscription.into_future()).await;
        let subscription = subscription.map_err(io::Error::other)?.map_err(io::Error::other)?;
        let topics = traffic::LEVELS.map(|qos| traffic::topic(name, qos));
        readers.spawn(traffic::receive(client.clone(), account.clone(), subscription, topics));
        Ok(Self {
            version,
            client,
            account,
            path,
            readers,
            writers: JoinSet::new(),
            driver: running,
        })
    }

    /// Starts publishing at these levels; `parties` share the pace.
    pub(super) fn publish(&mut self, levels: &[QoS], flow: &Flow, parties: usize) {
        for qos in levels {
            let (fates, settled) = mpsc::unbounded_channel();
            let pace = flow.pace(parties * levels.len());
            let (client, account) = (self.client.clone(), self.account.clone());
            let topic = traffic::topic(name(self.version), *qos);
            self.writers.spawn(traffic::publish(client, account, topic, *qos, pace, fates));
            let (client, account) = (self.client.clone(), self.account.clone());
            self.writers.spawn(traffic::settle(client, account, *qos, settled));
        }
    }

    /// Waits until nothing is under way, but not for ever.
    pub(super) async fn quiet(&self, flow: &Flow) -> bool {
        let quiet = async {
            while self.account.ledger().outstanding() > 0 || self.client.held() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            quiet = timeout(PATIENCE, quiet) => quiet.is_ok(),
            () = flow.urged(Urgency::Now) => false,
        }
    }

    /// Waits for the last messages, and for copies there should not be. The flow is over.
    pub(super) async fn finish(&mut self, flow: &Flow) {
        let settled = async { while self.writers.join_next().await.is_some() {} };
        let settled = timeout(PATIENCE, settled);
        tokio::select! {
            _ = settled => {}
            () = flow.urged(Urgency::Now) => return,
        }
        self.quiet(flow).await;
        let _ = timeout(ECHO, flow.urged(Urgency::Now)).await;
    }

    /// Disconnects.
    pub(super) async fn leave(mut self) {
        self.client.close();
        let gone = async { while self.driver.join_next().await.is_some() {} };
        let _ = timeout(Duration::from_secs(1), gone).await;
        self.readers.abort_all();
        self.writers.abort_all();
    }
}

/// A version as people write it.
pub(super) fn name(version: Version) -> &'static str {
    match version {
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}
