//! From the flags to the verdict.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use everlink::QoS;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::args::DemoArgs;
use super::broker::Broker;
use super::outage::Stage;
use super::pace::{Flow, Urgency};
use super::party::{Party, name};
use super::schedule::{self, Kind, LENGTH, Step};
use super::screen::{Screen, Subject};
use super::traffic::recovered;
use super::verdict::{Lane, Outage, Verdict};
use crate::signals::Signals;

/// A client that is not back by then is not coming back.
const RECOVERY: Duration = Duration::from_secs(20);

/// Signals so close together are one.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Runs the demo.
///
/// # Errors
/// If it cannot run at all: no port, no temporary directory, a broker that does not start.
pub(super) async fn run(args: &DemoArgs) -> io::Result<Verdict> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let flow = Flow::new(args.messages);
    obey_signals(&flow)?;
    let broker = Broker::start().await?;
    let mut parties = Vec::new();
    for (i, version) in args.versions().into_iter().enumerate() {
        // different pauses between their attempts
        parties.push(Party::join(&broker, version, seed.wrapping_add(i as u64)).await?);
    }
    let mut stage = Stage { broker, parties, flow };
    let screen = Screen::start(&introduction(args, seed), subjects(&stage), args.levels());

    let started = Instant::now();
    let count = stage.parties.len();
    for party in &mut stage.parties {
        party.publish(&args.levels(), &stage.flow, count);
    }
    let outages = play(&mut stage, args, seed, &screen).await?;
    screen.phase("waiting for the last messages".into());
    stage.flow.end();
    join_all(stage.parties.iter_mut().map(|party| party.finish(&stage.flow))).await;
    screen.end().await;

    let verdict = Verdict {
        seed,
        schedule: schedule::fingerprint(&round(args, seed, 0)),
        interrupted: args.messages.is_none_or(|n| accepted(&stage) < n)
            && stage.flow.urgency() != Urgency::None,
        cut_short: stage.flow.urgency() == Urgency::Now,
        took: started.elapsed(),
        connections: stage.parties.iter().map(|p| p.client.stats().connections).sum(),
        lanes: lanes(&stage, args),
        outages,
    };
    for party in stage.parties {
        party.leave().await;
    }
    stage.broker.remove().await;
    Ok(verdict)
}

/// Plays the schedule: once, or until the messages are used up.
async fn play(
    stage: &mut Stage,
    args: &DemoArgs,
    seed: u64,
    screen: &Screen,
) -> io::Result<Vec<Outage>> {
    let mut outages = Vec::new();
    for n in 0.. {
        let steps = round(args, seed, n);
        for (i, step) in steps.iter().enumerate() {
            let title = format!("outage {} of {}", i + 1, steps.len());
            screen.phase(format!("all is well, next is {title}"));
            stage.flow.wait(step.good).await;
            if stage.flow.urgency() != Urgency::None {
                return Ok(outages);
            }
            screen.phase(format!("{title}: {}", step.kind.label()));
            let outage = suffer(stage, step, screen).await?;
            screen.outage(&outage);
            outages.push(outage);
        }
        if args.messages.is_none() {
            break;
        }
    }
    Ok(outages)
}

/// One outage and the way back.
async fn suffer(stage: &mut Stage, step: &Step, screen: &Screen) -> io::Result<Outage> {
    let struck = stage.strike(step).await?;
    screen.phase(format!("{} is over, waiting for messages", step.kind.label()));
    let broken_at = step.kind.breaks().then_some(struck.began);
    let back = stage.parties.iter().map(async |party| {
        let back = recovered(&party.client, &party.account, &stage.flow, struck.healed, broken_at);
        tokio::select! {
            back = timeout(RECOVERY, back) => back.ok().map(|at| at - struck.healed),
            () = stage.flow.urged(Urgency::Now) => None,
        }
    });
    let recoveries = join_all(back).await;
    Ok(Outage { kind: step.kind, lasted: struck.healed - struck.began, recoveries })
}

/// The `n`th round of the schedule.
fn round(args: &DemoArgs, seed: u64, n: u64) -> Vec<Step> {
    let levels = args.levels();
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.concerns(&levels)).collect();
    schedule::schedule(seed.wrapping_add(n), &kinds, LENGTH)
}

/// The first signal asks to finish, the second to finish now.
fn obey_signals(flow: &Flow) -> io::Result<()> {
    let mut first = Signals::new()?;
    let flow = flow.clone();
    tokio::spawn(async move {
        first.next().await;
        flow.hurry(Urgency::Finish);
        // `timeout` for one signals a process and then its group: that is one wish, not two
        sleep(ONE_SIGNAL).await;
        if let Ok(mut second) = Signals::new() {
            second.next().await;
            flow.hurry(Urgency::Now);
        }
    });
    Ok(())
}

fn subjects(stage: &Stage) -> Vec<Subject> {
    let subject = |party: &Party| Subject {
        version: name(party.version),
        client: party.client.clone(),
        account: Arc::clone(&party.account),
    };
    stage.parties.iter().map(subject).collect()
}

fn accepted(stage: &Stage) -> u64 {
    let of = |party: &Party| {
        let ledger = party.account.ledger();
        (0..3).map(|qos| u64::from(ledger.tally(qos).accepted)).sum::<u64>()
    };
    stage.parties.iter().map(of).sum()
}

fn lanes(stage: &Stage, args: &DemoArgs) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for party in &stage.parties {
        let ledger = party.account.ledger();
        for qos in args.levels() {
            lanes.push(Lane { version: name(party.version), tally: ledger.tally(qos as u8) });
        }
    }
    lanes
}

fn introduction(args: &DemoArgs, seed: u64) -> String {
    let clients = match &args.versions()[..] {
        [only] => format!("One client (MQTT {}) publishes", name(*only)),
        _ => "Two clients (MQTT 3.1.1 and 5) publish".to_string(),
    };
    let levels = match args.qos {
        None => "at QoS 0 (may get lost), 1 (arrives) and 2 (arrives once)",
        Some(QoS::AtMostOnce) => "at QoS 0 (may get lost)",
        Some(QoS::AtLeastOnce) => "at QoS 1 (arrives, perhaps twice)",
        Some(QoS::ExactlyOnce) => "at QoS 2 (arrives once)",
    };
    let kinds = Kind::ALL.iter().filter(|kind| kind.concerns(&args.levels())).count();
    format!(
        "everlink demo: does every message arrive?\n\n\
         The broker is in this process. {clients} numbered\nmessages {levels}\n\
         and read them back. The network between breaks in {kinds} ways. Ctrl-C ends it early.\n\
         To repeat it: --seed {seed}"
    )
}
