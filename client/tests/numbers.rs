//! The client's numbers, for monitoring: what they say, and where they go.

mod support;

use std::time::Duration;

use everlink::{Metric, MetricValue, QoS, prometheus};
use support::{VERSIONS, over_model, soon, spawn};

fn counter(metrics: &[Metric], name: &str) -> u64 {
    let metric = metrics.iter().find(|metric| metric.name == name);
    match metric.map(|metric| &metric.value) {
        Some(MetricValue::Counter(n)) => *n,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn they_are_what_happened() {
    for version in VERSIONS {
        let (client, driver, path, _model) = over_model(version, |builder| builder);
        path.delay(Duration::from_millis(10), Duration::ZERO);
        spawn(driver);
        for n in 0..20 {
            client.publish("t", "x").qos(QoS::AtLeastOnce).send().expect("room");
            if n == 10 {
                soon("delivery", client.flush()).await;
                path.cut();
            }
        }
        soon("delivery", client.flush()).await;
        let metrics = client.metrics();
        assert_eq!(counter(&metrics, "everlink_messages_accepted_total"), 20);
        assert_eq!(counter(&metrics, "everlink_messages_delivered_total"), 20);
        assert_eq!(counter(&metrics, "everlink_connections_total"), 2);
        assert_eq!(counter(&metrics, "everlink_outages_total"), 1);
        let text = prometheus(&metrics);
        assert!(text.contains("\neverlink_up 1\n"), "{text}");
        let latency = client.latency();
        let count = latency.count();
        assert!(count >= 20, "each message has a round trip, perhaps SUBSCRIBE and pings too");
        let buckets: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("everlink_round_trip_seconds_bucket"))
            .map(|line| line.rsplit_once(' ').expect("two words").1.parse().expect("a number"))
            .collect();
        assert!(buckets.is_sorted(), "each holds those before: {buckets:?}");
        assert_eq!(buckets.last(), Some(&count));
        // There and back.
        assert!(latency.sum() >= Duration::from_millis(20) * 20, "{latency:?}");
        assert_eq!(latency.since(&latency).count(), 0);
        let all: u64 = latency.since(&everlink::Latency::default()).map(|(_, n)| n).sum();
        assert_eq!(all, count);
    }
}

/// What a watchdog asks.
#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_run_makes_no_turns() {
    let (client, driver, _path, _model) = over_model(VERSIONS[1], |builder| builder);
    let turns = client.turns();
    let look = async || {
        client.nudge();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        client.turns()
    };
    assert_eq!(look().await, turns, "it was not started yet");
    let running = spawn(driver);
    assert!(client.up().await);
    let turns = client.turns();
    assert!(look().await > turns);
    running.abort();
    let _ = running.await;
    let turns = client.turns();
    assert_eq!(look().await, turns, "it is gone");
}

#[cfg(feature = "metrics")]
mod facade {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use everlink::QoS;
    use metrics::{
        Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata,
        Recorder, SharedString, Unit,
    };

    use super::support::{VERSIONS, over_model, soon, spawn};

    type Numbers = Arc<Mutex<BTreeMap<String, f64>>>;

    /// Keeps the sums.
    #[derive(Default)]
    struct Keeper(Numbers);

    struct Cell(Numbers, String);

    impl Cell {
        fn set(&self, value: f64) {
            self.0.lock().expect("no panic").insert(self.1.clone(), value);
        }

        fn add(&self, value: f64) {
            *self.0.lock().expect("no panic").entry(self.1.clone()).or_default() += value;
        }
    }

    impl CounterFn for Cell {
        fn increment(&self, value: u64) {
            self.add(value as f64);
        }

        fn absolute(&self, value: u64) {
            self.set(value as f64);
        }
    }

    impl GaugeFn for Cell {
        fn increment(&self, value: f64) {
            self.add(value);
        }

        fn decrement(&self, value: f64) {
            self.add(-value);
        }

        fn set(&self, value: f64) {
            self.set(value);
        }
    }

    /// How many were recorded.
    impl HistogramFn for Cell {
        fn record(&self, _: f64) {
            self.add(1.0);
        }
    }

    impl Keeper {
        fn cell(&self, key: &Key) -> Arc<Cell> {
            Arc::new(Cell(self.0.clone(), key.name().to_owned()))
        }
    }

    impl Recorder for Keeper {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.cell(key))
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.cell(key))
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(self.cell(key))
        }
    }

    #[test]
    fn the_metrics_crate_is_told() {
        let keeper = Keeper::default();
        let numbers = keeper.0.clone();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
        metrics::with_local_recorder(&keeper, || {
            runtime.block_on(async {
                let (client, driver, _path, _model) = over_model(VERSIONS[1], |b| b);
                spawn(driver);
                let publishing = client.clone();
                tokio::spawn(async move {
                    publishing.publish_metrics(Duration::from_secs(5)).await;
                });
                for round in 1..=3_u32 {
                    let message = client.publish("t", "x").qos(QoS::AtLeastOnce);
                    message.send().expect("room");
                    soon("delivery", client.flush()).await;
                    tokio::time::sleep(Duration::from_secs(6)).await;
                    let numbers = numbers.lock().expect("no panic");
                    let n = f64::from(round);
                    assert_eq!(numbers["everlink_messages_delivered_total"], n);
                    assert_eq!(numbers["everlink_up"], 1.0);
                    let trips = numbers["everlink_round_trip_seconds"];
                    assert_eq!(trips, client.latency().count() as f64);
                }
            });
        });
    }
}
