//! What the application does.

use everlink_proto::engine::{Engine, Refused};
use everlink_proto::wire::{QoS, SubscribeOptions};

use super::super::setup::{millis, one_of};
use super::super::world::World;

impl World<'_> {
    pub(super) fn application(&mut self) {
        match self.rng.u8(..18) {
            0 => {
                let filter = one_of(&mut self.rng, &["x/1", "x/+", "no/#", "in/#"]);
                self.subscribe(filter);
            }
            1 => {
                let filter = one_of(&mut self.rng, &["x/1", "x/+", "in/#"]);
                self.unsubscribe(filter);
            }
            2 | 3 => {
                let room = self.rng.usize(..5);
                self.fault("application stops reading");
                self.pair.inbox.room = Some(room);
            }
            4 | 5 => {
                self.note(|_| "the application has room".to_owned());
                self.pair.inbox.room = None;
                self.pair.touch();
            }
            6 => self.pair.inbox.manual ^= true,
            7 | 8 => self.acknowledge_some(),
            9 => self.acknowledge_all(),
            10 => {
                self.pair.engine.ping();
                self.pair.touch();
            }
            11 => {
                self.note(|_| "reconnect".to_owned());
                let now = self.pair.now();
                self.pair.engine.reconnect(now);
                self.pair.touch();
                self.requested += 1;
            }
            12 => self.close_for_a_while(),
            13 => self.flood(),
            14 => self.change_of_mind(),
            15 => {
                self.fault("store fails");
                self.broken.set(true);
            }
            16 => self.broken.set(false),
            _ => self.distrust(),
        }
    }

    pub(in super::super) fn subscribe(&mut self, filter: &'static str) {
        let now = self.pair.now();
        let options = SubscribeOptions::new(QoS::ExactlyOnce);
        match self.pair.hosts[0].subscribe_with(now, filter, options, 7) {
            Ok(tag) => {
                self.operations.push(tag);
                self.wanted.insert(filter, true);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(refused) => self.pair.fail(&format!("subscribe: {refused}")),
        }
    }

    fn unsubscribe(&mut self, filter: &'static str) {
        let now = self.pair.now();
        match self.pair.hosts[0].unsubscribe(now, filter) {
            Ok(tag) => {
                self.operations.push(tag);
                self.wanted.insert(filter, false);
            }
            Err(Refused::Closed) if self.closed => {}
            Err(refused) => self.pair.fail(&format!("unsubscribe: {refused}")),
        }
    }

    /// More messages at once than most queues and windows hold.
    fn flood(&mut self) {
        self.fault("application floods");
        for _ in 0..self.rng.usize(100..400) {
            self.publish();
        }
    }

    /// What was asked for is not wanted any more before it is done.
    fn change_of_mind(&mut self) {
        self.fault("application cancels");
        for _ in 0..self.rng.u8(1..6) {
            let filter = one_of(&mut self.rng, &["x/1", "x/+", "in/#"]);
            self.subscribe(filter);
            self.unsubscribe(filter);
        }
        self.subscribe("in/#");
    }

    fn distrust(&mut self) {
        self.pair.inbox.distrusts = self.rng.u8(..4) == 0;
        if self.pair.inbox.distrusts {
            self.fault("application distrusts the broker");
        }
    }

    fn acknowledge_some(&mut self) {
        let mut left = std::mem::take(&mut self.unacknowledged);
        self.rng.shuffle(&mut left);
        let n = self.rng.usize(..=left.len());
        let now = self.pair.now();
        for (receipt, _) in left.drain(..n) {
            // Of an earlier connection: nothing to acknowledge.
            let _ = self.pair.acknowledge(now, receipt);
        }
        self.unacknowledged = left;
    }

    pub(in super::super) fn acknowledge_all(&mut self) {
        let now = self.pair.now();
        for (receipt, _) in std::mem::take(&mut self.unacknowledged) {
            let _ = self.pair.acknowledge(now, receipt);
        }
    }

    fn close_for_a_while(&mut self) {
        self.fault("application closes");
        self.pair.close();
        self.closed = true;
        let time = one_of(&mut self.rng, &[0, 1, 100, 1_000, 20_000]);
        self.pair.run_for(millis(time));
        if self.rng.u8(..4) > 0 {
            self.open();
        }
    }

    pub(in super::super) fn open(&mut self) {
        self.note(|_| "open".to_owned());
        self.pair.open();
        self.closed = false;
        self.requested += 1;
    }
}
