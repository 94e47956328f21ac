//! Three nats-servers with JetStream; the one that a client is connected to dies under load.

use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use everlink::{Client, FirstConnect, QoS, Subscription, Version};
use tokio::time::timeout;

use crate::broker;

const NODES: usize = 3;
/// Until the cluster has found a leader.
const READY: Duration = Duration::from_secs(60);
/// Messages; at each third of them a node dies.
const MESSAGES: usize = 3000;

struct Node {
    dir: PathBuf,
    port: u16,
    children: Vec<Child>,
}

impl Node {
    fn launch(&mut self, routes: &[u16]) -> Result<(), String> {
        let commands = broker::nats(&self.dir, self.port, routes).map_err(|e| e.to_string())?;
        let addr = ([127, 0, 0, 1], self.port).into();
        self.children = broker::launch(commands, &self.dir, addr).map_err(|e| e.to_string())?;
        if self.children.is_empty() {
            let log = std::fs::read_to_string(self.dir.join("log.txt")).unwrap_or_default();
            return Err(format!("nats-server does not start:\n{log}"));
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        broker::kill(&mut self.children);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Publishes through one node to a subscriber at another, at QoS 1, while first the publisher's node
/// is killed, then, with that one back, the subscriber's. Gives what was seen.
///
/// # Errors
/// If anything that the cluster acknowledged is lost, or nothing moves any more.
pub async fn run() -> Result<String, String> {
    let (mut nodes, routes) = start().await?;
    let client = |id: &str, order: [usize; NODES]| {
        let url = |n: usize| format!("mqtt://127.0.0.1:{}", nodes[n].port);
        let builder =
            Client::builder(url(order[0])).endpoint(url(order[1])).endpoint(url(order[2]));
        let builder = builder.version(Version::V311).client_id(id);
        let (client, driver) =
            builder.first_connect(FirstConnect::Forever).build().expect("the options are valid");
        (client, tokio::spawn(driver.run()))
    };
    let (reader, reading) = client("reader", [1, 2, 0]);
    let (writer, writing) = client("writer", [0, 2, 1]);
    let mut stream = {
        let subscribe = reader.subscribe("load", QoS::AtLeastOnce).capacity(MESSAGES);
        let granted = timeout(READY, subscribe.into_future()).await;
        granted.map_err(|_| "the cluster does not come up")?.map_err(|e| e.to_string())?
    };
    let mut came = Came { counts: vec![0; MESSAGES], ..Came::default() };
    let both = async {
        let read = came.read(&mut stream, async |third: usize| {
            broker::kill(&mut nodes[third].children);
            if third == 1 { nodes[0].launch(&routes) } else { Ok(()) }
        });
        tokio::try_join!(publish(&writer), read).map(drop)
    };
    let both = timeout(Duration::from_secs(180), both).await;
    let lost = came.counts.iter().filter(|c| **c == 0).count();
    let again: u32 = came.counts.iter().map(|c| c.saturating_sub(1)).sum();
    let report = format!(
        "{MESSAGES} messages at QoS 1, the node of the publisher and then that of the subscriber \
         killed: {lost} lost, {again} came again, {} out of order; outages of the publisher {}, of \
         the subscriber {}",
        came.overtaken,
        writer.stats().outages,
        reader.stats().outages
    );
    writer.close();
    reader.close();
    let _ = tokio::join!(reading, writing);
    match both {
        Err(_) => Err(format!("not done in time: {report}")),
        Ok(Err(e)) => Err(format!("{e}: {report}")),
        Ok(Ok(())) if lost > 0 => Err(report),
        Ok(Ok(())) => Ok(report),
    }
}

/// Three nodes that know each other and can keep sessions, and the ports by which they do.
async fn start() -> Result<(Vec<Node>, Vec<u16>), String> {
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        let dir = broker::fresh_directory("cluster").map_err(|e| e.to_string())?;
        nodes.push(Node { dir, port: broker::free_ports(), children: Vec::new() });
    }
    let routes: Vec<u16> = nodes.iter().map(|n| n.port + 2).collect();
    for node in &mut nodes {
        node.launch(&routes)?;
    }
    for node in &nodes {
        ready(node.port).await?;
    }
    Ok((nodes, routes))
}

/// Publishes all messages and waits until the cluster has them.
async fn publish(writer: &Client) -> Result<(), String> {
    let mut deliveries = Vec::new();
    for number in 0..MESSAGES {
        let message = writer.publish("load", number.to_string()).qos(QoS::AtLeastOnce);
        deliveries.push(message.accepted().await.map_err(|e| e.to_string())?);
    }
    for delivery in deliveries {
        if !delivery.await.is_delivered() {
            return Err("a message was not delivered".to_owned());
        }
    }
    Ok(())
}

/// What came to the subscriber.
#[derive(Default)]
struct Came {
    /// Copies of each message.
    counts: Vec<u32>,
    highest: usize,
    /// Messages that came after a later one.
    overtaken: u32,
}

impl Came {
    /// Reads until every message has come; after each third of them, but the last, `third` is called
    /// with its number.
    async fn read(
        &mut self,
        stream: &mut Subscription,
        mut third: impl AsyncFnMut(usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let (mut distinct, mut thirds) = (0, 0);
        while distinct < MESSAGES {
            let message = stream.next().await.ok_or("the subscription ended")?;
            let text = String::from_utf8_lossy(&message.payload);
            let number: usize = text.parse().map_err(|_| "a message came altered")?;
            self.counts[number] += 1;
            if self.counts[number] > 1 {
                continue;
            }
            distinct += 1;
            self.overtaken += u32::from(self.highest > number);
            self.highest = self.highest.max(number);
            if distinct == (thirds + 1) * MESSAGES / 3 && thirds < 2 {
                third(thirds).await?;
                thirds += 1;
            }
        }
        Ok(())
    }
}

/// Waits until this node can keep a session, for which the cluster must have found a leader.
async fn ready(port: u16) -> Result<(), String> {
    let builder = Client::builder(format!("mqtt://127.0.0.1:{port}")).version(Version::V311);
    let builder = builder.client_id(format!("ready{port}")).first_connect(FirstConnect::Forever);
    let (client, driver) = builder.build().expect("the options are valid");
    let driver = tokio::spawn(driver.run());
    let subscribe = client.subscribe("ready", QoS::AtLeastOnce).into_future();
    let granted = timeout(READY, subscribe).await;
    granted.map_err(|_| "the cluster does not come up")?.map_err(|e| e.to_string())?;
    client.close();
    let _ = driver.await;
    Ok(())
}
