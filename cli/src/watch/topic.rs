//! The client's numbers as a retained message.

use std::time::Duration;

use everlink::{Client, MetricValue, Outcome, TopicName};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::exit::Failure;

/// How long the end waits for the fate of the last message.
const PATIENCE: Duration = Duration::from_millis(300);

/// What became of the messages with numbers: they are not the user's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) expired: u64,
    pub(crate) rejected: u64,
    pub(crate) dropped: u64,
}

/// Publishes them, one after the other.
#[derive(Debug)]
pub(super) struct Publisher {
    running: Option<(oneshot::Sender<()>, JoinHandle<Tally>)>,
    tally: Tally,
}

impl Publisher {
    pub(super) fn start(topic: &str, every: Duration, client: &Client) -> Result<Self, Failure> {
        TopicName::new(topic).map_err(|e| Failure::usage(format!("--stats-topic: {e}")))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(publish(topic.to_owned(), every, client.clone(), stopped));
        Ok(Self { running: Some((stop, task)), tally: Tally::default() })
    }

    pub(super) async fn settle(&mut self) -> Tally {
        if let Some((stop, task)) = self.running.take() {
            drop(stop);
            self.tally = task.await.unwrap_or_default();
        }
        self.tally
    }
}

async fn publish(
    topic: String,
    every: Duration,
    client: Client,
    mut stopped: oneshot::Receiver<()>,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            _ = &mut stopped => return tally,
            () = tokio::time::sleep(every) => {}
        }
        // Numbers of a time without a connection would be old when they arrive.
        if !client.state().is_up() {
            continue;
        }
        let message = client.publish(&topic, numbers(&client)).retain(true).expiry(every);
        let Ok(delivery) = message.send() else { continue };
        tally.accepted += 1;
        let mut delivery = std::pin::pin!(delivery.into_future());
        let outcome = tokio::select! {
            outcome = &mut delivery => Some(outcome),
            _ = &mut stopped => tokio::time::timeout(PATIENCE, &mut delivery).await.ok(),
        };
        match outcome {
            Some(Outcome::Delivered(_)) => tally.delivered += 1,
            Some(Outcome::Expired) => tally.expired += 1,
            Some(Outcome::Rejected(_)) => tally.rejected += 1,
            Some(Outcome::Dropped(_)) => tally.dropped += 1,
            _ => return tally,
        }
        if stopped.is_terminated() {
            return tally;
        }
    }
}

/// A member for each number; of a spread, the count, the sum and percentiles.
fn numbers(client: &Client) -> Vec<u8> {
    let mut object = Map::new();
    for metric in client.metrics() {
        let value = match metric.value {
            MetricValue::Counter(n) => json!(n),
            MetricValue::Gauge(value) => json!(value),
            MetricValue::Histogram(latency) => {
                let part = |part| latency.percentile(part).map(|time| time.as_secs_f64());
                let (count, sum) = (latency.count(), latency.sum().as_secs_f64());
                json!({"count": count, "sum": sum, "p50": part(0.5), "p99": part(0.99)})
            }
            _ => continue,
        };
        object.insert(metric.name.into(), value);
    }
    Value::Object(object).to_string().into_bytes()
}
