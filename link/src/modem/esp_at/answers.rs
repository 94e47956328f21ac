//! What follows from what the module says, and from what it does not say.

use everlink_proto::engine::Cause;
use everlink_proto::time::Instant;

use super::lines::Event;
use super::said::{Header, Said};
use super::script::Stage;
use super::{BUSY, EspAt, Goal, State, TRIES, Trouble};
use crate::modem::plan::ModemTls;

impl<B: AsRef<[u8]> + AsMut<[u8]>> EspAt<B> {
    /// Takes bytes from the line, all of them.
    pub fn receive(&mut self, now: Instant, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.stage == Stage::Off {
                // Nobody listens. The next who does begins with a question.
                return;
            }
            if let Some(rest) = self.take_raw(now, bytes) {
                bytes = rest;
                continue;
            }
            bytes = rest;
            match self.lines.push(byte, self.stage == Stage::Announce) {
                None => {}
                Some(Event::Prompt) if self.asked => self.go(Stage::Payload),
                Some(Event::Prompt) => {}
                Some(Event::Header(Header::Data(n))) => self.data_follows(n),
                Some(Event::Header(Header::Pushed(n))) => self.data_was_pushed(n),
                Some(Event::Line(said)) => self.hear(now, said),
            }
        }
    }

    fn hear(&mut self, now: Instant, said: Said) {
        match said {
            Said::Other => {}
            Said::Ready | Said::Booting => self.restarted(said),
            Said::Busy => self.put_off(now),
            Said::WifiDown => self.network_lost(),
            Said::Version(version) => self.version = version,
            Said::In(name) => self.here = Some(name),
            Said::InNone => self.here = None,
            Said::Address(address) if self.stage == Stage::Resolve => self.address = Some(address),
            Said::JoinFailed(reason) => self.told = Some(join_failed(reason)),
            Said::Notice => self.flow.waiting = true,
            Said::Waiting(n) => self.flow.waiting |= n > 0,
            Said::Received(n) => self.count(now, n),
            Said::Closed => self.closed(now),
            // An answer to what is about to be asked again is one to something earlier.
            Said::Ok | Said::Error | Said::SendOk | Said::SendFail if !self.asked => {}
            Said::Ok => self.done(),
            Said::Error => self.refused(),
            Said::SendOk => self.sent(true),
            Said::SendFail => self.sent(false),
            Said::Address(_) | Said::AlreadyConnected | Said::DnsFail => {}
            Said::WifiUp | Said::WifiAddress => {}
        }
    }

    /// The command succeeded.
    fn done(&mut self) {
        let next = match self.stage {
            // Whatever it did not answer yet, it may answer now.
            Stage::Attention if self.unsure => Stage::Settle,
            Stage::Attention => self.after_attention(),
            Stage::Quiet => Stage::Version,
            Stage::Version if self.version >= 2 => Stage::Forgetful,
            Stage::Version | Stage::Forgetful => Stage::Station,
            Stage::Station if self.goal == Goal::Leave => Stage::Leave,
            Stage::Station => Stage::Where,
            Stage::Where => Stage::Choose,
            Stage::Await if self.here.is_none() => return,
            Stage::Await => Stage::Hold,
            Stage::Join => Stage::Hold,
            Stage::Hangup => Stage::Plain,
            Stage::Plain => Stage::Single,
            Stage::Single => Stage::Bare,
            Stage::Bare => Stage::Passive,
            Stage::Passive => Stage::Resolve,
            Stage::Resolve if self.address.is_none() => return self.refused(),
            Stage::Resolve => return self.after_address(),
            Stage::Certificate if self.version < 2 && self.tls != ModemTls::Unverified => {
                return self.fail(Cause::WrongProtocol, Trouble::Unverifiable);
            }
            Stage::Certificate if self.tls == ModemTls::Unverified => Stage::ServerName,
            Stage::Certificate => Stage::CommonName,
            Stage::CommonName => Stage::ServerName,
            Stage::ServerName => Stage::Start,
            Stage::Start => return self.connected(),
            Stage::Fetch => return self.fetched(),
            Stage::Length => Stage::Ready,
            Stage::Close | Stage::Leave => return self.finished(),
            Stage::Restart => Stage::Boot,
            // It waits for bytes after this.
            Stage::Announce => return,
            _ => return,
        };
        self.go(next);
    }

    /// The command failed.
    fn refused(&mut self) {
        match self.stage {
            // It answers, and what it does not like may have been noise before our question.
            Stage::Attention if self.tries < 2 * TRIES => self.again(),
            Stage::Attention => self.fail(Cause::Reset, Trouble::Nonsense),
            Stage::Announce if self.flow.owing => self.paid(true),
            Stage::Announce if self.flow.closed => self.go(Stage::Ready),
            Stage::Join => {
                let (cause, trouble) =
                    self.told.unwrap_or((Cause::Refused, Trouble::NetworkRefused));
                self.next_network(cause, trouble);
            }
            Stage::Resolve => self.fail(Cause::UnknownHost, Trouble::Name),
            Stage::Passive => self.fail(Cause::WrongProtocol, Trouble::OldFirmware),
            Stage::Certificate | Stage::CommonName if self.verifies() => {
                self.fail(Cause::WrongProtocol, Trouble::Unverifiable);
            }
            Stage::Single => self.fail(Cause::Reset, Trouble::Nonsense),
            Stage::Start if self.tls == ModemTls::Off => {
                self.fail(Cause::Refused, Trouble::Connect);
            }
            Stage::Start => self.fail(Cause::Refused, Trouble::Tls),
            Stage::Announce => self.fail(Cause::Reset, Trouble::Send),
            Stage::Confirm => self.sent(false),
            Stage::Fetch => self.nothing_there(),
            // Settings that some firmwares do not have, and which then are what they should be.
            _ => self.done(),
        }
    }

    fn verifies(&self) -> bool {
        self.tls != ModemTls::Unverified
    }

    /// It did not answer in time, or a wait is over.
    pub(super) fn late(&mut self) {
        self.due = None;
        match self.stage {
            Stage::Attention if self.tries + 1 < TRIES => self.again(),
            // It hangs, or waits for the rest of a message, which our next words must not become.
            Stage::Attention if self.tries + 1 == TRIES && self.may_pull => {
                self.may_pull = false;
                self.pull();
            }
            Stage::Attention if self.tries + 1 == TRIES => {
                let tries = self.tries;
                self.go(Stage::Rinse);
                self.tries = tries + 1;
                self.flow.rinse();
            }
            Stage::Attention if self.tries < 2 * TRIES => self.again(),
            Stage::Settle => {
                self.unsure = false;
                let next = self.after_attention();
                self.go(next);
            }
            Stage::Hold => {
                (self.first, self.remembered) = (self.network, Some(self.network));
                self.go(Stage::Hangup);
            }
            Stage::Await => self.look_again(),
            Stage::PinLow => self.go(Stage::Boot),
            // It has no answer, or none that came through.
            Stage::Restart => self.go(Stage::Boot),
            Stage::Boot => self.started(),
            // What it said to that was lost, or what we said.
            Stage::Announce if self.flow.owing => self.paid(false),
            Stage::Confirm if self.flow.owing => self.paid(self.flow.received),
            Stage::Announce | Stage::Confirm if self.flow.closed => self.go(Stage::Ready),
            // Nothing moved for a while.
            Stage::Ready => self.go(Stage::Length),
            Stage::Join if self.busy_since.is_none() => {
                self.fail(Cause::OpenTimeout, Trouble::NetworkSilent);
            }
            _ => {
                let busy = self.busy_since.is_some();
                let trouble = if busy { Trouble::Busy } else { Trouble::NoAnswer };
                self.fail(Cause::Silent, trouble);
            }
        }
    }

    fn again(&mut self) {
        (self.asked, self.tries) = (false, self.tries + 1);
    }

    /// The module goes to its own network by itself: it is asked again and again whether it is there.
    fn look_again(&mut self) {
        let looks = self.options.patience.as_millis() / 500;
        if u128::from(self.tries) > looks.min(200) {
            return self.fail(Cause::Unreachable, Trouble::NoNetwork);
        }
        self.again();
    }

    /// It has not looked at the command.
    fn put_off(&mut self, now: Instant) {
        if !self.asked || self.stage.is_wait() {
            return;
        }
        // It is at work for us.
        if matches!(self.stage, Stage::Confirm | Stage::Fetch) {
            return;
        }
        let since = *self.busy_since.get_or_insert(now);
        if now.since(since) >= self.options.patience {
            return self.fail(Cause::Silent, Trouble::Busy);
        }
        if self.stage == Stage::Attention {
            // It may be at work for somebody who gave up, and will come to an end.
            self.due = None;
        }
        self.asked = false;
        self.not_before = now + BUSY;
    }

    /// It listens.
    fn after_attention(&mut self) -> Stage {
        self.starved = false;
        match self.goal {
            Goal::Reset => {
                self.resets = self.resets.saturating_add(1);
                Stage::Restart
            }
            _ => Stage::Quiet,
        }
    }

    fn restarted(&mut self, said: Said) {
        match self.stage {
            Stage::Boot | Stage::Restart if said == Said::Ready => self.started(),
            Stage::Boot | Stage::Restart | Stage::PinLow => {}
            // It has only come to life; what it is asked now it will answer.
            Stage::Attention | Stage::Rinse | Stage::Settle => self.starved = false,
            _ if self.state == State::Idle => self.rest(State::Idle),
            _ => {
                self.restarts = self.restarts.saturating_add(1);
                self.fail(Cause::Reset, Trouble::Restarted);
                // Of all it was told it knows nothing any more.
                (self.unsure, self.starved) = (true, false);
            }
        }
    }

    /// After a reset.
    fn started(&mut self) {
        (self.unsure, self.starved) = (true, false);
        match self.goal {
            Goal::Reset => self.finished(),
            _ => self.go(Stage::Attention),
        }
    }

    fn finished(&mut self) {
        let unsure = self.unsure;
        self.asked = false;
        self.rest(State::Idle);
        self.unsure = unsure;
    }

    fn network_lost(&mut self) {
        self.here = None;
        match self.stage {
            // It leaves one network to join another.
            Stage::Join => {}
            Stage::Hold => self.next_network(Cause::Reset, Trouble::NetworkLost),
            stage if stage >= Stage::Hangup && stage < Stage::Leave => {
                self.fail(Cause::Unreachable, Trouble::NetworkLost);
            }
            _ => {}
        }
    }
}

/// Why a network was not joined.
fn join_failed(reason: u8) -> (Cause, Trouble) {
    match reason {
        1 => (Cause::OpenTimeout, Trouble::NetworkSilent),
        2 => (Cause::Denied, Trouble::Passphrase),
        3 => (Cause::Unreachable, Trouble::NetworkAway),
        _ => (Cause::Refused, Trouble::NetworkRefused),
    }
}
