//! A pipe that neither opens nor fails, or opens to nobody, is given up and the next one tried.

use everlink_proto::engine::{Cause, Depth, Fault, Step};
use everlink_proto::session::Config;
use everlink_sim::netem::Listen;
use everlink_sim::pair::Pair;

use crate::support::*;

fn opened(cfg: Config, mode: Listen) -> Pair<Engine> {
    let mut pair = Pair::new(1, engine(cfg));
    pair.net.listener(0).mode = mode;
    pair.open();
    pair
}

#[test]
fn one_that_never_opens() {
    for version in VERSIONS {
        let mut pair = opened(Config { open_timeout: secs(4), ..config(version) }, Listen::Hang);
        let start = pair.now();
        pair.run_for(millis(3_999));
        assert_eq!(faults(&pair), []);
        pair.run_for(millis(1));
        assert_eq!(faults(&pair), [Fault::new(Step::Transport, Cause::OpenTimeout)]);
        assert_eq!(pair.closes, [(start + secs(4), Depth::Pipe)]);
        pair.net.listener(0).mode = Listen::Accept;
        pair.run_until_up(secs(3));
        pair.assert_conforms();
    }
}

#[test]
fn one_at_which_nobody_answers() {
    for version in VERSIONS {
        let mut pair = opened(Config { response_time: secs(3), ..config(version) }, Listen::Silent);
        pair.run_for(secs(3));
        assert_eq!(faults(&pair), [Fault::new(Step::Handshake, Cause::NoConnack)]);
        pair.net.listener(0).mode = Listen::Accept;
        pair.run_until_up(secs(3));
    }
}
