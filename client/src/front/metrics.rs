//! The client's numbers, as monitoring wants them.

use std::fmt::Write;
use std::time::Duration;

use super::handle::Client;
use super::state::Latency;

/// A number of the client; all are listed in `docs/metrics.md`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, as Prometheus wants it; the unit is in it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub help: &'static str,
    /// How much it is now.
    pub value: MetricValue,
}

/// What a [`Metric`] amounts to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MetricValue {
    /// It never goes back.
    Counter(u64),
    /// It goes up and down.
    Gauge(f64),
    /// How it is spread, in seconds.
    Histogram(Box<Latency>),
}

impl Client {
    /// All numbers at this moment. Takes the lock once; nothing is counted on account of it, so that messages
    /// cost the same whether or not somebody looks.
    pub fn metrics(&self) -> Vec<Metric> {
        use MetricValue::{Counter, Gauge, Histogram};
        let (stats, lost, held, latency) = self.shared.look(|engine, front| {
            let lost = front.streams.lost_by_all() + front.streams.unrouted;
            (*engine.stats(), lost, front.held(engine), front.latency.clone())
        });
        let state = self.state();
        let up = f64::from(u8::from(state.is_up()));
        let since = state.since.elapsed().as_secs_f64();
        let s = &stats;
        let longest = s.longest_outage.as_secs_f64();
        let all = [
            ("everlink_up", "1 while connected", Gauge(up)),
            ("everlink_step_seconds", "time at the present step of the connection", Gauge(since)),
            ("everlink_failed_attempts", "failed attempts in a row", Gauge(state.attempts.into())),
            ("everlink_messages_held", "accepted, fate not yet known", Gauge(held as f64)),
            ("everlink_messages_accepted_total", "accepted for publishing", Counter(s.accepted)),
            ("everlink_messages_delivered_total", "acknowledged, QoS 0 sent", Counter(s.delivered)),
            ("everlink_messages_rejected_total", "refused by the broker", Counter(s.rejected)),
            ("everlink_messages_expired_total", "expired before delivery", Counter(s.expired)),
            ("everlink_messages_dropped_total", "dropped by a full queue", Counter(s.dropped)),
            ("everlink_messages_received_total", "received", Counter(s.received)),
            ("everlink_messages_duplicate_total", "QoS 2, received again", Counter(s.duplicates)),
            ("everlink_messages_lost_total", "received, dropped for want of room", Counter(lost)),
            ("everlink_packets_repeated_total", "sent again", Counter(s.repeats)),
            ("everlink_packets_stray_total", "acknowledgements of nothing", Counter(s.strays)),
            ("everlink_packets_skipped_total", "too large to receive", Counter(s.skipped)),
            ("everlink_connect_attempts_total", "attempts to connect", Counter(s.attempts)),
            ("everlink_connections_total", "times it came up", Counter(s.connections)),
            ("everlink_outages_total", "times it was lost", Counter(s.outages)),
            ("everlink_longest_outage_seconds", "the longest outage", Gauge(longest)),
            ("everlink_pings_total", "PINGREQs sent", Counter(s.pings)),
            ("everlink_sent_bytes_total", "bytes to the broker", Counter(s.bytes_out)),
            ("everlink_received_bytes_total", "bytes of whole packets", Counter(s.bytes_in)),
            (
                "everlink_round_trip_seconds",
                "until an acknowledgement came",
                Histogram(Box::new(latency)),
            ),
        ];
        let metric = |(name, help, value)| Metric { name, help, value };
        #[cfg_attr(not(feature = "store"), expect(unused_mut))]
        let mut all: Vec<Metric> = all.into_iter().map(metric).collect();
        #[cfg(feature = "store")]
        if let Some(store) = self.store() {
            let trouble = f64::from(u8::from(store.trouble.is_some()));
            let of_store = [
                ("everlink_store_messages", "messages on disk", Gauge(store.messages as f64)),
                ("everlink_store_bytes", "bytes of these", Gauge(store.bytes as f64)),
                ("everlink_store_waiting_bytes", "to be written", Gauge(store.waiting as f64)),
                ("everlink_store_failures_total", "failed accesses", Counter(store.failures)),
                ("everlink_store_trouble", "1 while it cannot be used", Gauge(trouble)),
            ];
            all.extend(of_store.map(metric));
        }
        all
    }

    /// How often the driver has looked at the client. [Nudge](Self::nudge) it, and the number grows, unless
    /// the driver hangs, was dropped, or cycles the link at this moment.
    pub fn turns(&self) -> u64 {
        self.shared.turns()
    }

    /// Asks the driver to look at the client once more.
    pub fn nudge(&self) {
        self.shared.change(|_, _, _| ());
    }

    /// Tells the recorder of the `metrics` crate all numbers, now and then every `every`. Ends with the
    /// program; drop it, or abort its task, to end it before.
    #[cfg(feature = "metrics")]
    pub async fn publish_metrics(&self, every: Duration) {
        let mut told = Latency::default();
        for metric in self.metrics() {
            let Metric { name, help, value } = metric;
            match value {
                MetricValue::Counter(_) => metrics::describe_counter!(name, help),
                MetricValue::Gauge(_) => metrics::describe_gauge!(name, help),
                MetricValue::Histogram(_) => metrics::describe_histogram!(name, help),
            }
        }
        loop {
            for Metric { name, value, .. } in self.metrics() {
                match value {
                    MetricValue::Counter(n) => metrics::counter!(name).absolute(n),
                    MetricValue::Gauge(value) => metrics::gauge!(name).set(value),
                    MetricValue::Histogram(latency) => {
                        let histogram = metrics::histogram!(name);
                        for (time, n) in latency.since(&told) {
                            histogram.record_many(time.as_secs_f64(), n as usize);
                        }
                        told = *latency;
                    }
                }
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// Upper ends of the buckets that are shown, in microseconds.
const BUCKETS: [u64; 14] = [
    256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 524_288, 1_048_576,
    4_194_304, 16_777_216,
];

/// The text format of Prometheus, version 0.0.4.
pub fn prometheus(metrics: &[Metric]) -> String {
    let mut text = String::new();
    for Metric { name, help, value } in metrics {
        // Writing to memory does not fail.
        let _ = match value {
            MetricValue::Counter(n) => {
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {n}")
            }
            MetricValue::Gauge(value) => {
                writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
            }
            MetricValue::Histogram(latency) => histogram(&mut text, name, help, latency),
        };
    }
    text
}

fn histogram(
    text: &mut String,
    name: &str,
    help: &str,
    latency: &Latency,
) -> Result<(), std::fmt::Error> {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram")?;
    for end in BUCKETS {
        let end = Duration::from_micros(end);
        let below = latency.below(end);
        writeln!(text, "{name}_bucket{{le=\"{}\"}} {below}", end.as_secs_f64())?;
    }
    let (count, sum) = (latency.count(), latency.sum().as_secs_f64());
    writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}")
}
