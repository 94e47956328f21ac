//! The radio below a link.
#![cfg(feature = "wifi")]

mod board;

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use board::{Tasks, sleep};
use everlink_link::embedded::wifi::{Network, Wifi, WifiLink};
use everlink_link::{Link, Pipe, Progress};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

/// What the air is like, and what the radio did.
#[derive(Default)]
struct Air {
    there: Vec<&'static str>,
    /// Joining succeeds, and the access point throws us out again after so long.
    shaky: Option<Duration>,
    joined: Option<&'static str>,
    until: Option<f64>,
    log: Vec<String>,
}

#[derive(Clone, Default)]
struct Radio(Rc<RefCell<Air>>);

impl Wifi for Radio {
    async fn join(&mut self, network: &Network<'_>) -> Result<(), Cause> {
        self.0.borrow_mut().log.push(format!("join {}", network.ssid));
        sleep(Duration::from_millis(500)).await;
        let there = self.0.borrow().there.contains(&network.ssid);
        if !there && network.ssid == "silent" {
            std::future::pending::<()>().await;
        }
        let mut air = self.0.borrow_mut();
        let known = air.there.iter().copied().find(|ssid| *ssid == network.ssid);
        let ssid = known.ok_or(Cause::Unreachable)?;
        air.joined = Some(ssid);
        air.until = air.shaky.map(|time| board::now() + time.as_secs_f64());
        Ok(())
    }

    async fn leave(&mut self) {
        let mut air = self.0.borrow_mut();
        air.joined = None;
        air.log.push("leave".into());
    }

    async fn reset(&mut self) {
        let mut air = self.0.borrow_mut();
        air.joined = None;
        air.log.push("reset".into());
    }

    fn is_joined(&mut self) -> bool {
        let mut air = self.0.borrow_mut();
        if air.until.is_some_and(|until| board::now() >= until) {
            air.joined = None;
        }
        air.joined.is_some()
    }
}

/// A link that needs the radio.
struct Over(Radio);

struct Nothing;

impl Pipe for Nothing {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize, Cause>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize, Cause>> {
        Poll::Pending
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Link for Over {
    type Pipe = Nothing;

    async fn open(&mut self, _: u16, progress: &Progress) -> Result<Nothing, Fault> {
        progress.set(Step::Transport);
        assert!(self.0.is_joined(), "the radio comes first");
        Ok(Nothing)
    }
}

fn link(radio: &Radio, ssids: &'static [&'static str]) -> WifiLink<'static, Radio, Over> {
    let networks: Vec<_> =
        ssids.iter().map(|ssid| Network { ssid, passphrase: "secret" }).collect();
    WifiLink::new(radio.clone(), Over(radio.clone()), networks.leak())
}

fn log(radio: &Radio) -> Vec<String> {
    std::mem::take(&mut radio.0.borrow_mut().log)
}

#[test]
fn networks_in_order_the_one_that_served_first() {
    let radio = Radio::default();
    radio.0.borrow_mut().there = vec!["work"];
    let mut link = link(&radio, &["home", "silent", "work"]);
    Tasks::default().block_on(async {
        let progress = Progress::new();
        link.open(0, &progress).await.expect("one is there");
        assert_eq!(progress.get(), Step::Transport);
        assert_eq!(log(&radio), ["join home", "leave", "join silent", "leave", "join work"]);
        // Still joined: nothing to do.
        link.open(0, &progress).await.expect("open");
        assert!(log(&radio).is_empty());
        link.cycle(Depth::Link).await;
        assert_eq!(log(&radio), ["leave"]);
        link.open(0, &progress).await.expect("open");
        assert_eq!((log(&radio), link.remembered()), (vec!["join work".to_owned()], 2));
        link.cycle(Depth::Device).await;
        radio.0.borrow_mut().there = vec!["home"];
        link.open(0, &progress).await.expect("open");
        assert_eq!(log(&radio), ["reset", "join work", "leave", "join home"]);
        radio.0.borrow_mut().joined = None;
        radio.0.borrow_mut().there.clear();
        let failed = link.open(0, &progress).await.err().expect("nobody is there");
        assert_eq!(failed.step, Step::Link);
    });
}

#[test]
fn an_association_is_trusted_when_it_has_held() {
    let radio = Radio::default();
    (radio.0.borrow_mut().there, radio.0.borrow_mut().shaky) =
        (vec!["edge"], Some(Duration::from_secs(1)));
    let mut link = link(&radio, &["edge"]);
    Tasks::default().block_on(async {
        let failed = link.open(0, &Progress::new()).await.err();
        assert_eq!(failed, Some(Fault::new(Step::Link, Cause::Reset)));
        radio.0.borrow_mut().shaky = None;
        let before = board::now();
        link.open(0, &Progress::new()).await.expect("it holds");
        assert!(board::now() - before >= 2.5);
        assert_eq!(log(&radio), ["join edge", "leave", "join edge"]);
    });
}

#[test]
fn a_join_that_was_dropped_half_way_is_undone_first() {
    let radio = Radio::default();
    radio.0.borrow_mut().there = vec!["home"];
    let mut link = link(&radio, &["home"]);
    Tasks::default().block_on(async {
        let _ = embassy_time::with_timeout(
            embassy_time::Duration::from_millis(700),
            link.open(0, &Progress::new()),
        )
        .await;
        assert!(radio.clone().is_joined(), "joined, but not yet trusted");
        link.open(0, &Progress::new()).await.expect("open");
        assert_eq!(log(&radio), ["join home", "leave", "join home"]);
    });
}
