//! A board with a flash chip loses power at any word it writes: nothing stored is lost, nothing doubled at
//! QoS 2.
#![cfg(feature = "flash")]

mod board;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use board::flash::Torn;
use board::{Executor, LONG, VERSIONS, World};
use everlink::embedded::{Config, Flash, Found, KeptSlot};
use everlink::{QoS, Version};

const MESSAGES: usize = 24;
const PAGES: usize = 3;

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// What the application said about its messages, to somebody who does not lose power.
#[derive(Default)]
struct Ledger {
    /// Known to be stored, in order.
    stored: Vec<String>,
    /// What was found on the chip at each start.
    found: Vec<Found>,
    done: bool,
}

/// Switches the board on: it takes up what is on the chip and goes on with the first message not stored.
fn boot(
    ex: &mut Executor<'static>,
    world: &World,
    chip: &Torn,
    ledger: &Rc<RefCell<Ledger>>,
    v: Version,
) {
    let hub = board::hub(Config { window: 3, ..board::config(v) });
    let client = hub.client();
    let mut driver = board::driver(hub, world);
    let (ledger, chip, start) = (ledger.clone(), chip.clone(), ledger.borrow().found.len());
    ex.spawn(async move {
        let range = chip.range();
        let flash = Flash::new(chip, range, leak([0; 160]));
        let slots = leak([KeptSlot::default(); 8]);
        let Ok((mut keeper, found)) = hub.keep(flash, leak([0; 130]), slots).await else { return };
        ledger.borrow_mut().found.push(found);
        let running = async { driver.run_keeping(&mut keeper).await };
        let publishing = async {
            let first = ledger.borrow().stored.len();
            for n in first..MESSAGES {
                let qos = [QoS::ExactlyOnce, QoS::AtLeastOnce][n % 2];
                let text = format!("{} {n} {start}", qos as u8);
                let mut delivery =
                    client.publish("t", &text).qos(qos).accepted().await.expect("accepted");
                delivery.stored().await;
                ledger.borrow_mut().stored.push(text);
            }
            client.flush().await;
            ledger.borrow_mut().done = true;
            client.close();
        };
        let (mut running, mut publishing) = (std::pin::pin!(running), std::pin::pin!(publishing));
        let mut published = false;
        std::future::poll_fn(|cx| {
            published = published || publishing.as_mut().poll(cx).is_ready();
            running.as_mut().poll(cx)
        })
        .await;
    });
}

/// Runs until all is delivered, the power gone once after `words` words; the words it takes in all.
fn run(version: Version, words: usize) -> usize {
    let world = World::new(3);
    let chip = Torn::new(PAGES, words);
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let mut ex = Executor::new(world.clone());
    boot(&mut ex, &world, &chip, &ledger, version);
    ex.run_until("the end, or the power", LONG, |_| ledger.borrow().done || chip.is_dead());
    if chip.is_dead() {
        drop(ex);
        world.power_cut();
        chip.revive(usize::MAX);
        ex = Executor::new(world.clone());
        boot(&mut ex, &world, &chip, &ledger, version);
        ex.run_until("the end", LONG, |_| ledger.borrow().done);
    }
    ex.run_for(Duration::from_secs(1));
    check(&world.accepted(), &ledger.borrow().stored, words);
    world.assert_conforms();
    // Nothing is left on the chip.
    drop(ex);
    let mut ex = Executor::new(world.clone());
    boot(&mut ex, &world, &chip, &ledger, version);
    ex.run_for(Duration::from_secs(1));
    assert_eq!(ledger.borrow().found.last().map(|f| (f.messages, f.damaged)), Some((0, 0)));
    chip.words()
}

fn check(accepted: &[String], stored: &[String], words: usize) {
    assert_eq!(stored.len(), MESSAGES);
    for text in stored {
        let times = accepted.iter().filter(|a| *a == text).count();
        let right = if text.starts_with('2') { times == 1 } else { times >= 1 };
        assert!(right, "power gone after {words} words: {text} came {times} times, {accepted:?}");
    }
    // What the application could not know to be stored.
    for text in accepted.iter().filter(|t| t.starts_with('2')) {
        let times = accepted.iter().filter(|a| *a == text).count();
        assert_eq!(times, 1, "power gone after {words} words: {text}, {accepted:?}");
    }
    let mut first: Vec<_> =
        stored.iter().filter_map(|s| accepted.iter().position(|a| a == s)).collect();
    first.dedup();
    assert!(first.is_sorted(), "power gone after {words} words: out of order, {accepted:?}");
}

#[test]
fn a_word_that_cannot_be_written_holds_things_up_and_no_more() {
    let whole = run(Version::V5, usize::MAX);
    for word in 0..whole {
        let world = World::new(3);
        let chip = Torn::new(PAGES, usize::MAX);
        chip.fail_at(word);
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let mut ex = Executor::new(world.clone());
        boot(&mut ex, &world, &chip, &ledger, Version::V5);
        ex.run_until("the end", LONG, |_| ledger.borrow().done);
        check(&world.accepted(), &ledger.borrow().stored, word);
        world.assert_conforms();
    }
}

#[test]
fn at_every_word() {
    for version in VERSIONS {
        let whole = run(version, usize::MAX);
        assert!(whole > 400, "{whole}");
        for words in 0..whole {
            run(version, words);
        }
    }
}
