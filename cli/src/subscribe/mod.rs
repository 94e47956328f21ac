//! `everlink sub`.

mod format;
mod json;
mod printer;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use everlink::{
    Client, Message, QoS, ReasonCode, SubscribeError, Subscription, TopicFilter, Version,
};
use futures_util::Stream;

use crate::args::{OwnedProperty, Packet, SubArgs};
use crate::connect::{Connection, Wish};
use crate::exit::{Exit, Failure, explain_yourself, say};
use crate::notice::Narration;
use crate::output::Output;
use crate::signals::Signals;
use crate::target::Target;
use printer::{Done, Printer};

/// Messages that are taken together, printed together, and then acknowledged.
const BATCH: usize = 256;
/// Largest packet to receive, unless told otherwise. Memory is used only when one comes.
const PACKET: u32 = 16 << 20;

/// Subscribes and prints.
pub(crate) async fn run(args: SubArgs) -> Result<Exit, Failure> {
    explain_yourself(args.connection.debug);
    let target = Target::of(&args.connection)?;
    let filters = filters(&args, &target)?;
    check(&args, &filters)?;
    let printer = Printer::new(&args)?;
    let mut signals = Signals::new().map_err(|e| Failure::not_done(format!("signals: {e}")))?;
    let connection = open(&args, &target, &filters)?;
    let client = connection.client.clone();
    let subscriptions = subscribe(&args, &client, &filters)?;
    let mut run = Run {
        args: &args,
        filters: &filters,
        connection,
        subscriptions,
        printer,
        output: Output::default(),
    };
    let end = run.go(&mut signals).await;
    run.connection.leave(false).await;
    let skipped = client.stats().skipped;
    if skipped > 0 {
        say(format_args!("{skipped} messages were too large to receive"));
    }
    end
}

/// All filters, from `-t` and from the URL.
fn filters(args: &SubArgs, target: &Target) -> Result<Vec<String>, Failure> {
    let mut filters = args.topics.clone();
    filters.extend(target.topic.clone());
    filters.dedup();
    for (flag, list) in [("-t", &filters), ("-T", &args.filter_out), ("-U", &args.unsubscribe)] {
        for filter in list {
            TopicFilter::new(filter)
                .map_err(|e| Failure::usage(format!("{flag} {filter:?}: {e}")))?;
        }
    }
    if filters.is_empty() && args.unsubscribe.is_empty() {
        return Err(Failure::usage("a Topic Filter is missing: -t FILTER"));
    }
    Ok(filters)
}

fn check(args: &SubArgs, filters: &[String]) -> Result<(), Failure> {
    let connection = &args.connection;
    if !args.unsubscribe.is_empty() && (!connection.keep_session || connection.id.is_none()) {
        return Err(Failure::usage("-U is about a session that was kept: give -c and -i ID"));
    }
    if connection.version == Version::V311
        && (args.retain_as_published || args.no_local || args.retain_handling.is_some())
    {
        return Err(Failure::usage("MQTT 3.1.1 has no subscription options but the QoS"));
    }
    if args.no_local && filters.iter().any(|f| f.starts_with("$share/")) {
        // [MQTT-3.8.3-4]
        return Err(Failure::usage("--no-local and a shared subscription exclude each other"));
    }
    if connection.properties.of(Packet::Publish).next().is_some() {
        return Err(Failure::usage("-D publish: nothing is published"));
    }
    Ok(())
}

fn open(args: &SubArgs, target: &Target, filters: &[String]) -> Result<Connection, Failure> {
    let wish = Wish {
        command: "sub",
        topics: filters,
        needs_session: args.qos != QoS::AtMostOnce,
        patient: true,
    };
    let mut properties = args.connection.properties.of(Packet::Connect);
    let limited = properties.any(|p| matches!(p, OwnedProperty::MaximumPacketSize(_)));
    let store = crate::store::open(&args.connection.store)?;
    Connection::open(&args.connection, target, &wish, store, |builder| {
        if limited { builder } else { builder.maximum_packet_size(PACKET) }
    })
}

fn subscribe(
    args: &SubArgs,
    client: &Client,
    filters: &[String],
) -> Result<Vec<Subscription>, Failure> {
    let one = |filter: &String| {
        let mut wish = client.subscribe(filter, args.qos).manual_ack();
        if args.no_local {
            wish = wish.no_local();
        }
        if args.retain_as_published {
            wish = wish.retain_as_published();
        }
        if let Some(handling) = args.retain_handling {
            wish = wish.retain_handling(handling);
        }
        for property in args.connection.properties.of(Packet::Subscribe) {
            if let OwnedProperty::UserProperty(name, value) = property {
                wish = wish.user_property(name, value);
            }
        }
        wish.open().map_err(|e| Failure::usage(format!("-t {filter:?}: {e}")))
    };
    filters.iter().map(one).collect()
}

struct Run<'a> {
    args: &'a SubArgs,
    filters: &'a [String],
    connection: Connection,
    subscriptions: Vec<Subscription>,
    printer: Printer,
    output: Output,
}

/// What happened first.
enum Event {
    Messages(Vec<Message>),
    /// All subscriptions are granted.
    Granted,
    /// This one is not.
    Refused(Failure),
    Unsubscribed,
    Signal,
    TimeUp,
}

impl Run<'_> {
    async fn go(&mut self, signals: &mut Signals) -> Result<Exit, Failure> {
        let Self { args, filters, connection, subscriptions, printer, output } = self;
        let client = connection.client.clone();
        let talkative = !args.connection.quiet;
        let _narration = talkative.then(|| Narration::of(&client, connection.gives_up));
        let mut time = pin!(sleep(args.wait));
        let mut unsubscribing = pin!(unsubscribe(&client, &args.unsubscribe));
        let (mut unsubscribed, mut granted) = (args.unsubscribe.is_empty(), false);
        loop {
            let event = tokio::select! {
                biased;
                () = signals.next() => Event::Signal,
                () = &mut time => Event::TimeUp,
                failure = connection.failed() => Event::Refused(failure),
                () = &mut unsubscribing, if !unsubscribed => Event::Unsubscribed,
                event = next_event(subscriptions, filters, granted) => event,
            };
            match event {
                Event::Signal => return Ok(Exit::Done),
                Event::TimeUp => return time_is_up(args, &client),
                Event::Refused(failure) => return Err(failure),
                Event::Unsubscribed => unsubscribed = true,
                Event::Granted => {
                    granted = true;
                    tell_lower_qos(args, filters, subscriptions).await;
                }
                Event::Messages(messages) => {
                    let done = tokio::select! {
                        biased;
                        done = printer.print(messages, output) => done?,
                        // Standard output may be stuck.
                        () = signals.next() => return Ok(Exit::Done),
                        () = &mut time => return time_is_up(args, &client),
                    };
                    if done == Done::Yes {
                        return Ok(Exit::Done);
                    }
                }
            }
            let only = args.only_subscribe || subscriptions.is_empty();
            if only && granted && unsubscribed {
                return Ok(Exit::Done);
            }
        }
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Unsubscribes from all, one after the other, and tells of those that did not exist.
async fn unsubscribe(client: &Client, filters: &[String]) {
    for filter in filters {
        // Closing the client is the only way to have no answer.
        let Ok(ack) = client.unsubscribe(filter).await else { return };
        if ack.reason != ReasonCode::SUCCESS {
            say(format_args!("-U {filter:?}: {}", ack.reason));
        }
    }
}

/// The next messages, in the order in which they came; before that, the broker's answers.
async fn next_event(
    subscriptions: &mut [Subscription],
    filters: &[String],
    granted: bool,
) -> Event {
    poll_fn(|cx| {
        if !granted {
            let answers = subscriptions
                .iter()
                .zip(filters)
                .map(|(s, filter)| pin!(s.granted()).poll(cx).map_err(|e| refusal(filter, &e)));
            let mut all = true;
            for answer in answers {
                match answer {
                    Poll::Ready(Err(Some(failure))) => return Poll::Ready(Event::Refused(failure)),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(None)) | Poll::Pending => all = false,
                }
            }
            if all {
                return Poll::Ready(Event::Granted);
            }
        }
        poll_messages(subscriptions, filters, cx)
    })
    .await
}

fn poll_messages(
    subscriptions: &mut [Subscription],
    filters: &[String],
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let mut batch = Vec::new();
    for (subscription, filter) in subscriptions.iter_mut().zip(filters) {
        let limit = batch.len() + BATCH;
        while batch.len() < limit {
            match Pin::new(&mut *subscription).poll_next(cx) {
                Poll::Ready(Some(message)) => batch.push(message),
                Poll::Pending => break,
                Poll::Ready(None) => {
                    // Refused when it was to be restored; or closed, which is told elsewhere.
                    let answer = pin!(subscription.granted()).poll(cx);
                    if let Poll::Ready(Err(error)) = answer
                        && let Some(failure) = refusal(filter, &error)
                    {
                        return Poll::Ready(Event::Refused(failure));
                    }
                    break;
                }
            }
        }
    }
    if batch.is_empty() {
        return Poll::Pending;
    }
    batch.sort_by_key(Message::sequence);
    Poll::Ready(Event::Messages(batch))
}

/// `None` if it is not the broker who ended the subscription.
fn refusal(filter: &str, error: &SubscribeError) -> Option<Failure> {
    let SubscribeError::Rejected(ack) = error else { return None };
    let more = ack.reason_string().map_or_else(String::new, |words| format!(" ({words})"));
    Some(Failure::refused(format!(
        "subscription to {filter:?} refused by the broker: {}{more}",
        ack.reason
    )))
}

/// A broker may grant less than was asked for.
async fn tell_lower_qos(args: &SubArgs, filters: &[String], subscriptions: &[Subscription]) {
    for (subscription, filter) in subscriptions.iter().zip(filters) {
        if let Ok(ack) = subscription.granted().await
            && ack.reason.0 < args.qos as u8
            && !args.connection.quiet
        {
            say(format_args!("{filter:?}: QoS {} only", ack.reason.0));
        }
    }
}

fn time_is_up(args: &SubArgs, client: &Client) -> Result<Exit, Failure> {
    if client.stats().connections == 0 {
        let why = client.state().fault.map(|fault| format!(" ({})", client.explain(&fault)));
        let why = why.unwrap_or_default();
        return Err(Failure::not_done(format!("no connection in time{why}")));
    }
    match args.count {
        Some(count) => Err(Failure::not_done(format!("fewer than {count} messages in time"))),
        None => Ok(Exit::Done),
    }
}
