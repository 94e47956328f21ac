//! What is tried with each broker. A check gives what it saw, or in what the broker deviates.

mod delivery;
mod features;
mod outages;

use std::time::Duration;

use everlink::{Builder, Client, FirstConnect, Message, QoS, Stopped, Subscription, Version};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker::Broker;

/// Only a broker that does nothing more reaches it.
const LONG: Duration = Duration::from_secs(20);

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Check {
    /// 200 messages at QoS 0.
    Qos0,
    /// 200 messages at QoS 1.
    Qos1,
    /// 200 messages at QoS 2.
    Qos2,
    /// A message at QoS 2 for a subscription at QoS 1.
    Mixed,
    /// A message of 256 KiB.
    Large,
    /// What is published while the subscriber is away.
    Session,
    /// A retained message, and its end.
    Retained,
    /// The will of a client that vanishes.
    Will,
    /// Nothing comes after UNSUBSCRIBE.
    Unsubscribe,
    /// A second connection with the same client identifier.
    TakeOver,
    /// Two subscribers share what comes.
    Shared,
    /// Properties of a message that MQTT 5 passes on.
    Properties,
    /// No Local, and Subscription Identifiers.
    Options,
    /// 600 messages at QoS 1 while both connections are cut.
    Cuts1,
    /// 600 messages at QoS 2 while both connections are cut.
    Cuts2,
    /// 600 messages at QoS 1 while the broker is killed.
    Kills1,
    /// 600 messages at QoS 2 while the broker is killed.
    Kills2,
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is as the standard says.
    Good,
    /// The broker says that it does not offer this, as the standard allows.
    NotOffered,
    /// It is not.
    Deviates(String),
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Qos0,
        Self::Qos1,
        Self::Qos2,
        Self::Mixed,
        Self::Large,
        Self::Session,
        Self::Retained,
        Self::Will,
        Self::Unsubscribe,
        Self::TakeOver,
        Self::Shared,
        Self::Properties,
        Self::Options,
        Self::Cuts1,
        Self::Cuts2,
        Self::Kills1,
        Self::Kills2,
    ];

    /// What the table says of it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Qos0 => "QoS 0: 200 messages, in order",
            Self::Qos1 => "QoS 1: 200 messages, in order",
            Self::Qos2 => "QoS 2: 200 messages, in order, once",
            Self::Mixed => "published at QoS 2, subscribed at QoS 1",
            Self::Large => "a message of 256 KiB",
            Self::Session => "50 messages for a subscriber that is away (QoS 1)",
            Self::Retained => "retained message, replaced, removed",
            Self::Will => "will of a client that vanishes",
            Self::Unsubscribe => "nothing comes after UNSUBSCRIBE",
            Self::TakeOver => "a second client of the same name takes over",
            Self::Shared => "shared subscription: each message to one of two",
            Self::Properties => {
                "user properties, content type, response topic, correlation data, expiry"
            }
            Self::Options => "No Local, Subscription Identifier",
            Self::Cuts1 => "QoS 1: 600 messages, both connections cut 8 times",
            Self::Cuts2 => "QoS 2: 600 messages, both connections cut 8 times",
            Self::Kills1 => "QoS 1: 600 messages, broker killed twice",
            Self::Kills2 => "QoS 2: 600 messages, broker killed twice",
        }
    }

    /// Whether MQTT 3.1.1 has it.
    pub fn is_in(self, version: Version) -> bool {
        version == Version::V5 || !matches!(self, Self::Shared | Self::Properties | Self::Options)
    }

    /// Tries it. The broker runs before and after. With `trace`, if messages are lost or doubled in an
    /// outage, every packet of both connections is printed.
    pub async fn run(self, broker: &mut Broker, version: Version, trace: bool) -> Found {
        let mut site = Site { broker, version, name: format!("{self:?}"), trace };
        let whole = Duration::from_secs(150);
        match timeout(whole, self.try_at(&mut site)).await {
            Ok(Ok(())) => Found::Good,
            Ok(Err(Trouble::NotOffered)) => Found::NotOffered,
            Ok(Err(Trouble::Deviates(seen))) => Found::Deviates(seen),
            Err(_) => Found::Deviates(format!("not done after {} s", whole.as_secs())),
        }
    }

    async fn try_at(self, site: &mut Site<'_>) -> Result<(), Trouble> {
        match self {
            Self::Qos0 => delivery::numbers(site, QoS::AtMostOnce).await,
            Self::Qos1 => delivery::numbers(site, QoS::AtLeastOnce).await,
            Self::Qos2 => delivery::numbers(site, QoS::ExactlyOnce).await,
            Self::Mixed => delivery::mixed(site).await,
            Self::Large => delivery::large(site).await,
            Self::Session => delivery::session(site).await,
            Self::Retained => features::retained(site).await,
            Self::Will => features::will(site).await,
            Self::Unsubscribe => features::unsubscribe(site).await,
            Self::TakeOver => features::take_over(site).await,
            Self::Shared => features::shared(site).await,
            Self::Properties => features::properties(site).await,
            Self::Options => features::options(site).await,
            Self::Cuts1 => outages::cuts(site, QoS::AtLeastOnce).await,
            Self::Cuts2 => outages::cuts(site, QoS::ExactlyOnce).await,
            Self::Kills1 => outages::kills(site, QoS::AtLeastOnce).await,
            Self::Kills2 => outages::kills(site, QoS::ExactlyOnce).await,
        }
    }
}

/// Why a check did not see what it looked for.
enum Trouble {
    NotOffered,
    Deviates(String),
}

impl From<String> for Trouble {
    fn from(seen: String) -> Self {
        Self::Deviates(seen)
    }
}

impl From<&str> for Trouble {
    fn from(seen: &str) -> Self {
        Self::Deviates(seen.to_owned())
    }
}

fn deviates<T>(seen: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Deviates(seen.into()))
}

/// Where a check takes place.
struct Site<'a> {
    broker: &'a mut Broker,
    version: Version,
    /// Of the check: what its client identifiers and topics begin with.
    name: String,
    trace: bool,
}

impl Site<'_> {
    /// A client of the broker, and its running driver.
    fn client(&self, who: &str, shape: impl FnOnce(Builder) -> Builder) -> Running {
        self.client_at(self.broker.addr(self.version), who, shape)
    }

    /// As [`client`](Self::client), by way of `addr`.
    fn client_at(
        &self,
        addr: std::net::SocketAddr,
        who: &str,
        shape: impl FnOnce(Builder) -> Builder,
    ) -> Running {
        let id = format!("{}{who}", self.name);
        let builder = Client::builder(format!("mqtt://{addr}")).version(self.version).client_id(id);
        let builder = builder.first_connect(FirstConnect::Forever).response_time(LONG / 4);
        let (client, driver) = shape(builder).build().expect("the options are valid");
        Running { client, driver: tokio::spawn(driver.run()) }
    }

    /// A topic of this check.
    fn topic(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.name, self.version as u8)
    }
}

/// A client whose driver runs; it vanishes when dropped.
struct Running {
    client: Client,
    driver: JoinHandle<Stopped>,
}

impl std::ops::Deref for Running {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Running {
    /// Leaves politely.
    async fn leave(mut self) {
        self.client.close();
        let _ = timeout(LONG, &mut self.driver).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The future's result, unless it hangs.
async fn within<T>(what: &str, future: impl IntoFuture<Output = T>) -> Result<T, String> {
    timeout(LONG, future.into_future()).await.map_err(|_| format!("{what}: nothing comes"))
}

/// A subscription that the broker granted as asked. It may grant less ([MQTT-3.8.4-8]), which is then
/// not offered.
async fn subscribed(client: &Client, filter: &str, qos: QoS) -> Result<Subscription, Trouble> {
    let stream = client.subscribe(filter, qos).capacity(100_000).open();
    let stream = stream.map_err(|e| e.to_string())?;
    let granted = within("SUBACK", stream.granted()).await?.map_err(|e| e.to_string())?;
    if granted.reason.0 == qos as u8 { Ok(stream) } else { Err(Trouble::NotOffered) }
}

/// Publishes one message and waits until the broker has it.
async fn publish(client: &Client, topic: &str, payload: &str, qos: QoS) -> Result<(), String> {
    let delivered = within("acknowledgement", client.publish(topic, payload).qos(qos)).await?;
    delivered.map(drop).map_err(|e| e.to_string())
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// Publishes the numbers of `range` and waits until the broker has them.
async fn publish_numbers(
    client: &Client,
    topic: &str,
    qos: QoS,
    range: std::ops::Range<usize>,
) -> Result<(), String> {
    let mut deliveries = Vec::new();
    for number in range {
        let accepted = client.publish(topic, number.to_string()).qos(qos).accepted();
        deliveries.push(within("room in the queue", accepted).await?.map_err(|e| e.to_string())?);
    }
    for delivery in deliveries {
        let outcome =
            timeout(3 * LONG, delivery).await.map_err(|_| "an acknowledgement is missing")?;
        if !outcome.is_delivered() {
            return Err(format!("a message was not delivered: {outcome:?}"));
        }
    }
    Ok(())
}

/// What came of numbered messages.
#[derive(Default)]
struct Ledger(Vec<usize>);

impl Ledger {
    /// Takes messages until `last` comes; `each` is told how many have come.
    async fn take(
        &mut self,
        stream: &mut Subscription,
        last: usize,
        mut each: impl AsyncFnMut(usize),
    ) -> Result<(), String> {
        loop {
            // nats-server sends again what was under way after half a minute.
            let message = match timeout(2 * LONG, stream.next()).await {
                Ok(Some(message)) => message,
                Ok(None) => return Err("the subscription ended".to_owned()),
                Err(_) => {
                    return Err(format!("number {last} never comes; {}", self.seen(last + 1)));
                }
            };
            let number = text(&message).parse().map_err(|_| "a message came altered")?;
            self.0.push(number);
            if number == last {
                return Ok(());
            }
            each(self.0.len()).await;
        }
    }

    fn seen(&self, all: usize) -> Seen {
        let mut counts = vec![0_usize; all];
        self.0.iter().filter(|n| **n < all).for_each(|n| counts[*n] += 1);
        let lost = counts.iter().filter(|c| **c == 0).count();
        let doubled = counts.iter().filter(|c| **c > 1).count();
        let mut first = Vec::new();
        let mut seen = vec![false; all];
        for number in self.0.iter().copied().filter(|n| *n < all) {
            if !std::mem::replace(&mut seen[number], true) {
                first.push(number);
            }
        }
        Seen { all, lost, doubled, in_order: first.is_sorted() }
    }

    /// Whether each of `all` came, at QoS 2 once, and in order.
    fn judge(&self, all: usize, qos: QoS) -> Result<(), String> {
        let seen = self.seen(all);
        let may_double = qos == QoS::AtLeastOnce;
        let good = seen.lost == 0 && seen.in_order && (seen.doubled == 0 || may_double);
        if good { Ok(()) } else { Err(seen.to_string()) }
    }
}

/// How numbered messages came.
struct Seen {
    all: usize,
    lost: usize,
    doubled: usize,
    in_order: bool,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { all, lost, doubled, in_order } = self;
        let order = if *in_order { "in order" } else { "out of order" };
        write!(f, "{lost} of {all} lost, {doubled} doubled, {order}")
    }
}
