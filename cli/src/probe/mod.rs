//! `everlink probe`: every stage of the way to a broker, one line each.

mod advice;
mod certificate;
mod report;

use std::time::Duration;

use everlink::{Client, Fault, QoS, Step, TopicName, Version};
use tokio::time::{Instant, timeout};

use crate::args::ProbeArgs;
use crate::connect::{Connection, Wish};
use crate::exit::{Exit, Failure, explain_yourself};
use crate::target::Target;
use report::{Report, Stage};

/// Tries everything, in order, up to the first stage that fails.
pub(crate) async fn run(mut args: ProbeArgs) -> Result<Exit, Failure> {
    if let Some(broker) = args.broker.take() {
        let url = if broker.contains("://") { broker } else { format!("mqtt://{broker}") };
        args.connection.urls = vec![url];
    }
    explain_yourself(args.connection.debug);
    let topic = args
        .topic
        .clone()
        .unwrap_or_else(|| format!("everlink/probe/{:014x}", fastrand::u64(..1 << 56)));
    TopicName::new(&topic).map_err(|e| Failure::usage(format!("-t: {e}")))?;
    let target = Target::of(&args.connection)?;
    let wish = Wish { command: "probe", topics: &[], needs_session: false, patient: false };
    let store = crate::store::open(&args.connection.store)?;
    let mut report = Report::new(args.connection.json);
    let mut connection = Connection::open(&args.connection, &target, &wish, store, |b| b)?;
    let mut probe = Probe { args: &args, target: &target, topic, report: &mut report };
    let done = probe.all(&mut connection).await;
    connection.leave(false).await;
    match done? {
        None => Ok(Exit::Done),
        Some(stage) => Ok(Exit::Stage(stage.exit_code())),
    }
}

struct Probe<'a> {
    args: &'a ProbeArgs,
    target: &'a Target,
    topic: String,
    report: &'a mut Report,
}

impl Probe<'_> {
    /// The stage that failed, if one did.
    async fn all(&mut self, connection: &mut Connection) -> Result<Option<Stage>, Failure> {
        if let Some((fault, words)) = self.connect(connection).await? {
            let stage = Stage::of(fault.step);
            let advice = advice::advice(&fault, self.target, &self.args.connection);
            self.report.failed(stage, &words, &advice)?;
            return Ok(Some(stage));
        }
        let client = &connection.client;
        if let Err(words) = self.pings(client).await? {
            let advice = "it answers CONNECT and then no more: look at the broker's log and load";
            self.report.failed(Stage::Ping, &words, advice)?;
            return Ok(Some(Stage::Ping));
        }
        let start = Instant::now();
        match self.message(client).await {
            Ok(()) => {
                let detail = format!("a message to {} came back", self.topic);
                self.report.passed(Stage::Message, Some(start.elapsed()), &detail)?;
                Ok(None)
            }
            Err((words, advice)) => {
                self.report.failed(Stage::Message, &words, advice)?;
                Ok(Some(Stage::Message))
            }
        }
    }

    /// Up to CONNACK. Gives the fault in words, if it comes to that.
    async fn connect(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<(Fault, String)>, Failure> {
        let client = connection.client.clone();
        let mut states = client.watch();
        let mut last: Option<(Step, Instant)> = None;
        let mut tls_told = false;
        let fault = loop {
            let state = *states.borrow_and_update();
            tls_told |= last.is_some_and(|(step, _)| step == Step::Tls);
            if state.step > Step::Tls
                && !tls_told
                && let Some(facts) = client.tls()
            {
                tls_told = true;
                self.report.passed(Stage::Tls, None, &certificate::describe(&facts))?;
            }
            // Steps that take no time may not be seen.
            if let Some((step, since)) = last.filter(|(step, _)| *step != state.step)
                && state.fault.is_none()
                && Stage::is_one(step)
            {
                let detail = self.detail(&client, step, state.step == Step::Up).await;
                self.report.passed(Stage::of(step), Some(state.since - since), &detail)?;
            }
            if state.step == Step::Up {
                return Ok(None);
            }
            if state.fault.is_none() {
                last = Some((state.step, state.since));
            }
            tokio::select! {
                fault = connection.fault() => break fault,
                changed = states.changed() => if changed.is_err() { break connection.fault().await },
            }
        };
        // The line begins with the step, which has a column of its own.
        let words = client.explain(&fault);
        let words = words.split_once(": ").map_or(words.as_str(), |(_, rest)| rest).to_owned();
        let said = client.broker_info().and_then(|info| info.reason_string);
        Ok(Some((fault, said.map_or(words.clone(), |said| format!("{words} ({said})")))))
    }

    /// What is worth telling of a step that was done.
    async fn detail(&self, client: &Client, step: Step, up: bool) -> String {
        match step {
            Step::Resolve => self.target.addresses().await.unwrap_or_default(),
            Step::Tls => {
                client.tls().map_or_else(String::new, |facts| certificate::describe(&facts))
            }
            Step::Handshake if up => limits(client, self.args.connection.version),
            _ => String::new(),
        }
    }

    async fn pings(&mut self, client: &Client) -> Result<Result<(), String>, Failure> {
        let mut times = Vec::new();
        for n in 1..=self.args.pings {
            match client.ping(self.args.connection.response_time).await {
                Some(time) => times.push(time),
                None => return Ok(Err(format!("no answer to ping {n} of {}", self.args.pings))),
            }
        }
        times.sort_unstable();
        let at = |part: usize| millis(times[(times.len() - 1) * part / 100]);
        let (count, half, most, all) = (times.len(), at(50), at(90), at(100));
        let detail =
            format!("{count} round trips: median {half}, 90 % within {most}, longest {all}");
        self.report.passed(Stage::Ping, None, &detail)?;
        Ok(Ok(()))
    }

    /// A message at QoS 1 goes to the broker and back. Gives what went wrong and what to check.
    async fn message(&self, client: &Client) -> Result<(), (String, &'static str)> {
        const RIGHTS: &str = "the account may connect; may it use this topic? -t names another one";
        let limit = self.args.connection.response_time;
        let late = |what: &str| (format!("{what} does not come"), RIGHTS);
        let subscribe = client.subscribe(&self.topic, QoS::AtLeastOnce).into_future();
        let stream = timeout(limit, subscribe).await.map_err(|_| late("SUBACK"))?;
        let mut stream = stream.map_err(|e| (format!("subscribe: {e}"), RIGHTS))?;
        let publish = client.publish(&self.topic, "probe").qos(QoS::AtLeastOnce).into_future();
        let published = timeout(limit, publish).await.map_err(|_| late("PUBACK"))?;
        published.map_err(|e| (format!("publish: {e}"), RIGHTS))?;
        match timeout(limit, stream.next()).await {
            Ok(Some(_)) => {
                let _ = timeout(limit, stream.unsubscribe()).await;
                Ok(())
            }
            Ok(None) => Err(("the connection was lost".to_owned(), "try again, and see with -d")),
            Err(_) => Err(late("the message")),
        }
    }
}

/// What the broker allows, and whose session this is.
fn limits(client: &Client, version: Version) -> String {
    let limits = client.limits();
    if version == Version::V311 {
        return "MQTT 3.1.1, which tells no limits".to_owned();
    }
    let mut words = vec![
        "MQTT 5".to_owned(),
        format!("QoS up to {}", limits.maximum_qos as u8),
        format!("{} messages under way", limits.receive_maximum),
        match limits.maximum_packet_size {
            u32::MAX => "packets of any size".to_owned(),
            bytes => format!("packets up to {bytes} bytes"),
        },
        format!("{} topic aliases", limits.topic_alias_maximum),
        format!("keep-alive {} s", limits.keep_alive),
    ];
    for (offered, what) in [
        (limits.retain_available, "no retained messages"),
        (limits.wildcard_subscription_available, "no wildcards"),
        (limits.shared_subscription_available, "no shared subscriptions"),
        (limits.subscription_identifier_available, "no subscription identifiers"),
    ] {
        if !offered {
            words.push(what.to_owned());
        }
    }
    words.join(", ")
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}
