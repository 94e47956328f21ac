//! What befalls the network.

use everlink_proto::engine::Cause;

use super::super::setup::{millis, one_of};
use super::super::world::World;
use crate::netem::Listen;

impl World<'_> {
    pub(super) fn heal(&mut self) {
        self.note(|_| "heal".to_owned());
        let path = self.pair.net.path(0);
        path.heal();
        (path.to_server.rate, path.to_client.rate) = (None, None);
        self.pair.net.listener(0).mode = Listen::Accept;
        self.pair.broker().faults.clear();
        if self.closed {
            self.open();
        }
    }

    pub(in super::super) fn change_path(&mut self) {
        let most = one_of(&mut self.rng, &[0, 0, 20, 200, 1_500]);
        let (delay, jitter) = (self.rng.u64(..=most), self.rng.u64(..=most));
        let path = self.pair.net.path(0);
        path.set_delay(millis(delay), millis(jitter));
        path.segment = one_of(&mut self.rng, &[0, 1, 7, 200]);
        path.short_writes = self.rng.bool();
        path.buffer = one_of(&mut self.rng, &[16, 1_000, 65_536]);
    }

    pub(super) fn network(&mut self) {
        let bytes = self.rng.u64(1..400);
        match self.rng.u8(..13) {
            0 | 1 => {
                self.fault("cut on the way to the broker");
                self.pair.net.path(0).to_server.cut = Some(bytes);
            }
            2 | 3 => {
                self.fault("cut on the way to the client");
                self.pair.net.path(0).to_client.cut = Some(bytes);
            }
            kind => self.slow_or_silent(kind),
        }
        self.perhaps_heal();
    }

    fn slow_or_silent(&mut self, kind: u8) {
        let (now, rate) = (self.pair.now(), self.rng.u32(50..5_000));
        let path = self.pair.net.path(0);
        let name = match kind {
            4 => {
                path.hold();
                "half-open"
            }
            5 => {
                path.to_server.held = true;
                "silence towards the broker"
            }
            6 => {
                path.to_client.held = true;
                "silence towards the client"
            }
            7 => {
                path.to_server.rate = Some(rate);
                "throttle towards the broker"
            }
            8 => {
                path.to_client.rate = Some(rate);
                "throttle towards the client"
            }
            9 => {
                self.change_path();
                "delay, jitter, segments, buffers"
            }
            10 => {
                self.pair.net.reset_client(now, 0);
                "reset"
            }
            11 => {
                self.pair.net.reset_server(now, 0);
                "reset of the broker's connections"
            }
            _ => {
                self.change_listener();
                "no way to connect"
            }
        };
        self.fault(name);
    }

    fn change_listener(&mut self) {
        let mode = one_of(
            &mut self.rng,
            &[
                Listen::Fail(Cause::Refused),
                Listen::Fail(Cause::Unreachable),
                Listen::Fail(Cause::Tls),
                Listen::Hang,
                Listen::Silent,
            ],
        );
        self.pair.net.listener(0).mode = mode;
        self.pair.net.listener(0).delay = millis(self.rng.u64(..200));
        if self.rng.bool() {
            let now = self.pair.now();
            self.pair.net.reset_client(now, 0);
        }
    }

    /// Most faults of the network last only for some time.
    pub(super) fn perhaps_heal(&mut self) {
        if self.rng.u8(..4) == 0 {
            return;
        }
        let time = one_of(&mut self.rng, &[100, 1_000, 6_000, 20_000]);
        for _ in 0..self.rng.u8(..3) {
            self.pair.run_for(millis(self.rng.u64(..time)));
            self.publish_some();
        }
        self.pair.run_for(millis(self.rng.u64(..time)));
        self.heal();
    }
}
