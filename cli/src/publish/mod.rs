//! `everlink pub`.

mod fates;
mod feed;
mod input;
mod summary;

use std::pin::pin;
use std::time::Duration;

use everlink::store::FileStore;
use everlink::{QoS, TopicName, Version};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::args::PubArgs;
use crate::connect::{Connection, Wish};
use crate::exit::{Exit, Failure, explain_yourself, say};
use crate::notice::{Changes, Narration};
use crate::output::Output;
use crate::signals::Signals;
use crate::target::Target;
use fates::{Known, Reporter};
use feed::{Feed, Template};
use input::Input;
use summary::Summary;

/// Messages of the queue.
const QUEUE_MESSAGES: usize = 1000;
/// Bytes of the queue, unless one message needs more.
const QUEUE_BYTES: usize = 16 << 20;
/// Longest wait after a signal, unless `--drain` says otherwise.
const DRAIN_AFTER_SIGNAL: Duration = Duration::from_secs(10);
/// Fates on their way to be reported.
const FATES: usize = 1024;

/// Publishes, waits for the end of each message, and tells how it went.
pub(crate) async fn run(args: PubArgs) -> Result<Exit, Failure> {
    explain_yourself(args.connection.debug);
    let target = Target::of(&args.connection)?;
    let topic = topic(&args, &target)?;
    let template = Template::of(&args, topic)?;
    let stored = args.connection.store.directory.is_some();
    let asked = args.queue_bytes.unwrap_or(QUEUE_BYTES);
    let line_limit = if stored { asked.min(QUEUE_BYTES) } else { asked };
    let times = (args.repeat, args.repeat_delay);
    let store = crate::store::open(&args.connection.store)?;
    let stores = store.is_some();
    let mark = store.as_ref().and_then(|store| store.mark()).map(<[u8]>::to_vec);
    let input = Input::open(&args.source, times, line_limit, mark.as_deref())?;
    tell_of_earlier_run(&args, store.as_ref(), &input);
    let mut signals = Signals::new().map_err(|e| Failure::not_done(format!("signals: {e}")))?;
    let connection = open(&args, &target, &template, &input, store)?;
    let client = connection.client.clone();
    let (known, reporter) = report(&args, &connection, stores);
    let feed = Feed::new(client.clone(), template, input, known);
    let end = Run { args: &args, connection }.go(feed, &mut signals).await;
    let mut output = reporter.end(end.signalled).await;

    if args.connection.json {
        let line = end.summary.json();
        // Nobody may be left to read it.
        let _ = output.write(line).await;
    }
    let broken = end.broken.map(|why| Failure::usage(format!("standard input: {why}")));
    if args.source.lines && !args.connection.quiet && end.failure.is_none() {
        say(end.summary);
    }
    if end.interrupted && args.source.lines && !args.connection.quiet {
        say(format_args!("interrupted: the input behind line {} was not read", end.lines));
    }
    if let Some(failure) = end.failure.or(broken) {
        return Err(failure);
    }
    let exit = end.summary.verdict(client.last_rejection())?;
    output.failure().map_or(Ok(exit), |why| Err(Failure::not_done(why)))
}

/// What a run that was ended has left for this one.
fn tell_of_earlier_run(args: &PubArgs, store: Option<&FileStore>, input: &Input) {
    let Some(store) = store.filter(|_| !args.connection.quiet) else { return };
    let messages = store.messages();
    if messages > 0 {
        say(format_args!("{messages} messages of an earlier run are in the store"));
    }
    let lines = input.resumed();
    if lines > 0 {
        say(format_args!("the first {lines} lines were taken by an earlier run"));
    }
}

fn topic(args: &PubArgs, target: &Target) -> Result<String, Failure> {
    let topic = match (&args.topic, &target.topic) {
        (Some(_), Some(_)) => return Err(Failure::usage("two topics: one in -t, one in the URL")),
        (Some(topic), None) | (None, Some(topic)) => topic.clone(),
        (None, None) => return Err(Failure::usage("a topic is missing: -t TOPIC")),
    };
    TopicName::new(&topic).map_err(|e| Failure::usage(format!("topic: {e}")))?;
    Ok(topic)
}

fn open(
    args: &PubArgs,
    target: &Target,
    template: &Template,
    input: &Input,
    store: Option<FileStore>,
) -> Result<Connection, Failure> {
    let topics = [template.topic().to_owned()];
    let wish = Wish {
        command: "pub",
        topics: &topics,
        // At QoS 1 a lost session means a second delivery at worst, which QoS 1 allows. 3.1.1 needs
        // two connections more to begin and to end a session properly.
        needs_session: match args.connection.version {
            Version::V5 => args.qos != QoS::AtMostOnce,
            Version::V311 => args.qos == QoS::ExactlyOnce,
        },
        patient: args.source.lines || store.is_some(),
    };
    let needed = input.longest().map_or(0, |payload| payload + template.overhead());
    let bytes = args.queue_bytes.unwrap_or_else(|| QUEUE_BYTES.max(needed));
    // With a store, memory bounds nothing but messages larger than it holds of a queue.
    let limited = args.queue_messages.is_some() || args.queue_bytes.is_some();
    let most = if store.is_some() { usize::MAX } else { QUEUE_MESSAGES };
    let unlimited = store.is_some() && !limited && needed <= QUEUE_BYTES;
    let few = if needed > QUEUE_BYTES { QUEUE_MESSAGES } else { most };
    Connection::open(&args.connection, target, &wish, store, |builder| {
        let builder = builder.when_full(args.when_full).window(args.window);
        match unlimited {
            true => builder,
            false => builder.queue(args.queue_messages.unwrap_or(few), bytes),
        }
    })
}

/// Starts whoever tells the user what happens.
fn report(
    args: &PubArgs,
    connection: &Connection,
    stores: bool,
) -> (Option<mpsc::Sender<Known>>, Report) {
    let Connection { client, gives_up, .. } = connection;
    if args.connection.json {
        let (sender, known) = mpsc::channel(FATES);
        let reporter = Reporter::new(known, Changes::of(client), stores);
        return (Some(sender), Report::Json(tokio::spawn(reporter.run())));
    }
    let talkative = !args.connection.quiet;
    (None, Report::Words(talkative.then(|| Narration::of(client, *gives_up))))
}

/// Who tells the user what happens.
enum Report {
    Json(JoinHandle<Output>),
    Words(Option<Narration>),
}

impl Report {
    /// Waits until all is told; after a signal not for ever, as the reader may be stuck.
    async fn end(self, signalled: bool) -> Output {
        match self {
            Self::Words(narration) => drop(narration),
            Self::Json(task) => {
                let limit = if signalled { Duration::from_secs(1) } else { Duration::MAX };
                if let Ok(Ok(output)) = tokio::time::timeout(limit, task).await {
                    return output;
                }
                return Output::stuck();
            }
        }
        Output::default()
    }
}

/// How it ended.
struct End {
    summary: Summary,
    /// Messages taken from the input.
    lines: u64,
    signalled: bool,
    /// By a signal, before the end of the input.
    interrupted: bool,
    failure: Option<Failure>,
    broken: Option<String>,
}

struct Run<'a> {
    args: &'a PubArgs,
    connection: Connection,
}

impl Run<'_> {
    /// Until all is accounted for, the time is up, or there is no hope.
    async fn go(mut self, mut feed: Feed, signals: &mut Signals) -> End {
        let client = self.connection.client.clone();
        let (mut signalled, mut interrupted, mut failure) = (0, false, None);
        let (mut fed, mut deadline) = (false, None);
        {
            let mut feeding = pin!(feed.run());
            loop {
                tokio::select! {
                    biased;
                    () = signals.next() => {
                        signalled += 1;
                        if signalled > 1 {
                            break;
                        }
                        (interrupted, fed) = (!fed, true);
                        deadline = later(Some(self.args.drain.unwrap_or(DRAIN_AFTER_SIGNAL)));
                    }
                    why = self.connection.failed() => {
                        failure = Some(why);
                        break;
                    }
                    () = &mut feeding, if !fed => {
                        fed = true;
                        deadline = later(self.args.drain);
                    }
                    () = client.flush(), if fed => break,
                    () = until(deadline), if fed => break,
                }
            }
        }
        let own = self.connection.own_messages().await;
        let summary = Summary::of(&client, feed.refused(), own);
        let (lines, broken) = (feed.taken(), feed.broken());
        if feed.is_over() && client.held() == 0 {
            // The next run has the same input anew.
            client.set_mark(&[]);
        }
        drop(feed);
        self.connection.leave(signalled > 1).await;
        End { summary, lines, signalled: signalled > 0, interrupted, failure, broken }
    }
}

/// A time so far ahead that it cannot be told is none.
fn later(time: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(time?)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
