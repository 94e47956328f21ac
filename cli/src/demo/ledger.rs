//! What was sent and what arrived, message by message.

/// What the client said of a message in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The broker's final acknowledgement (QoS 0: written to the link).
    Delivered,
    /// Its time ran out.
    Expired,
    /// The broker refused it.
    Rejected,
    /// A queue policy dropped it.
    Dropped,
}

#[derive(Clone, Debug, Default)]
struct Message {
    outcome: Option<Outcome>,
    /// The broker's life in which the first copy arrived.
    first: Option<u32>,
    /// More copies in that life: nothing excuses them at QoS 2.
    again: u32,
    /// Copies after the broker lost its sessions: it could not know the first.
    again_after_loss: u32,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    messages: Vec<Message>,
    highest: Option<u32>,
    out_of_order: u32,
    alien: u32,
}

/// The account of one run: a numbered sequence of messages per QoS, each on its own topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    lanes: [Lane; 3],
    /// How often the broker lost its sessions.
    life: u32,
}

impl Ledger {
    /// Counts a message the client accepted; returns its number, from 0.
    pub(crate) fn accept(&mut self, qos: u8) -> u32 {
        let messages = &mut self.lanes[usize::from(qos)].messages;
        messages.push(Message::default());
        messages.len() as u32 - 1
    }

    /// Takes back the last message counted: the client did not accept it after all.
    pub(crate) fn withdraw(&mut self, qos: u8) {
        self.lanes[usize::from(qos)].messages.pop();
    }

    /// Notes the fate of an accepted message.
    pub(crate) fn settle(&mut self, qos: u8, n: u32, outcome: Outcome) {
        if let Some(message) = self.lanes[usize::from(qos)].messages.get_mut(n as usize) {
            message.outcome = Some(outcome);
        }
    }

    /// Counts a copy that arrived at the subscriber.
    pub(crate) fn receive(&mut self, qos: u8, n: u32) {
        let lane = &mut self.lanes[usize::from(qos)];
        let Some(message) = lane.messages.get_mut(n as usize) else {
            lane.alien += 1;
            return;
        };
        match message.first {
            None => {
                message.first = Some(self.life);
                // only first copies count: a repeat is a double, not a disorder
                lane.out_of_order += u32::from(lane.highest.is_some_and(|h| n < h));
                lane.highest = lane.highest.max(Some(n));
            }
            Some(life) if life == self.life => message.again += 1,
            Some(_) => message.again_after_loss += 1,
        }
    }

    /// Counts something that arrived and was never sent.
    pub(crate) fn receive_alien(&mut self, qos: u8) {
        self.lanes[usize::from(qos)].alien += 1;
    }

    /// From here on the broker knows nothing of what was before.
    pub(crate) fn sessions_lost(&mut self) {
        self.life += 1;
    }

    /// Messages accepted at QoS 1 and 2 that are not both settled and received.
    pub(crate) fn outstanding(&self) -> usize {
        let open = |m: &&Message| match m.outcome {
            None => true,
            Some(Outcome::Delivered) => m.first.is_none(),
            Some(_) => false,
        };
        self.lanes[1..].iter().flat_map(|l| &l.messages).filter(open).count()
    }

    /// The account of one QoS.
    pub(crate) fn tally(&self, qos: u8) -> Tally {
        let lane = &self.lanes[usize::from(qos)];
        let mut tally =
            Tally { qos, out_of_order: lane.out_of_order, alien: lane.alien, ..Tally::default() };
        for message in &lane.messages {
            tally.accepted += 1;
            match message.outcome {
                None => tally.unaccounted += 1,
                Some(Outcome::Delivered) => tally.delivered += 1,
                Some(Outcome::Expired) => tally.expired += 1,
                Some(Outcome::Rejected) => tally.rejected += 1,
                Some(Outcome::Dropped) => tally.dropped += 1,
            }
            let given_up = matches!(message.outcome, Some(o) if o != Outcome::Delivered);
            tally.received += u32::from(message.first.is_some());
            tally.lost += u32::from(message.first.is_none() && !given_up);
            tally.doubled += u32::from(message.again > 0);
            tally.doubled_after_loss += u32::from(message.again_after_loss > 0);
        }
        tally
    }
}

/// The account of one QoS in numbers of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    pub(crate) qos: u8,
    pub(crate) accepted: u32,
    pub(crate) delivered: u32,
    pub(crate) expired: u32,
    pub(crate) rejected: u32,
    pub(crate) dropped: u32,
    /// Accepted, and the client never said what became of it.
    pub(crate) unaccounted: u32,
    /// Distinct messages that arrived.
    pub(crate) received: u32,
    /// Neither received nor given up by the client.
    pub(crate) lost: u32,
    /// Arrived more than once while the broker had its session.
    pub(crate) doubled: u32,
    /// Arrived again after the broker had lost its session.
    pub(crate) doubled_after_loss: u32,
    /// Arrived for the first time after a later one of the same topic.
    pub(crate) out_of_order: u32,
    /// Arrived and was never sent.
    pub(crate) alien: u32,
}

impl Tally {
    /// Whether the promise for this QoS was kept.
    pub(crate) fn holds(&self) -> bool {
        let strange = self.alien > 0 || self.unaccounted > 0 || self.out_of_order > 0;
        match self.qos {
            0 => !strange && self.doubled == 0,
            1 => !strange && self.all_arrived(),
            _ => !strange && self.all_arrived() && self.doubled == 0,
        }
    }

    /// Nothing lost, and nothing given up: the demo asks for no expiry and no dropping policy.
    fn all_arrived(&self) -> bool {
        self.lost == 0 && self.expired == 0 && self.rejected == 0 && self.dropped == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger in which `n` messages of each QoS went well.
    fn good(n: u32) -> Ledger {
        let mut ledger = Ledger::default();
        for qos in 0..3 {
            for _ in 0..n {
                let number = ledger.accept(qos);
                ledger.settle(qos, number, Outcome::Delivered);
                ledger.receive(qos, number);
            }
        }
        ledger
    }

    /// One more message, delivered but not received.
    fn one_more(ledger: &mut Ledger, qos: u8) -> u32 {
        let n = ledger.accept(qos);
        ledger.settle(qos, n, Outcome::Delivered);
        n
    }

    fn verdict(ledger: &Ledger) -> [bool; 3] {
        [0, 1, 2].map(|qos| ledger.tally(qos).holds())
    }

    #[test]
    fn a_good_run_holds() {
        let ledger = good(5);
        assert_eq!(verdict(&ledger), [true; 3]);
        assert_eq!(ledger.outstanding(), 0);
        let expected = Tally { qos: 2, accepted: 5, delivered: 5, received: 5, ..Tally::default() };
        assert_eq!(ledger.tally(2), expected);
    }

    #[test]
    fn a_loss_is_found_and_only_qos_0_may_lose() {
        let mut ledger = good(5);
        for qos in 0..3 {
            one_more(&mut ledger, qos);
            assert_eq!(ledger.tally(qos).lost, 1);
        }
        assert_eq!(verdict(&ledger), [true, false, false]);
        assert_eq!(ledger.outstanding(), 2);
    }

    #[test]
    fn a_double_is_found_and_only_qos_1_may_double() {
        let mut ledger = good(5);
        for qos in 0..3 {
            ledger.receive(qos, 3);
            ledger.receive(qos, 3);
            assert_eq!(ledger.tally(qos).doubled, 1);
        }
        assert_eq!(verdict(&ledger), [false, true, false]);
        assert!((0..3).all(|qos| ledger.tally(qos).out_of_order == 0));
    }

    #[test]
    fn a_double_across_lost_sessions_is_counted_apart() {
        let mut ledger = good(5);
        ledger.sessions_lost();
        ledger.receive(2, 4);
        assert_eq!((ledger.tally(2).doubled, ledger.tally(2).doubled_after_loss), (0, 1));
        assert_eq!(verdict(&ledger), [true; 3]);
        let n = one_more(&mut ledger, 2); // both copies after the loss: no excuse
        ledger.receive(2, n);
        ledger.receive(2, n);
        assert_eq!((ledger.tally(2).doubled, ledger.tally(2).doubled_after_loss), (1, 1));
        assert_eq!(verdict(&ledger), [true, true, false]);
    }

    #[test]
    fn a_swap_is_found_at_each_qos() {
        let mut ledger = good(5);
        for qos in 0..3 {
            let (first, second) = (one_more(&mut ledger, qos), one_more(&mut ledger, qos));
            ledger.receive(qos, second);
            ledger.receive(qos, first);
            assert_eq!(ledger.tally(qos).out_of_order, 1);
        }
        assert_eq!(verdict(&ledger), [false; 3]);
    }

    #[test]
    fn a_message_without_a_fate_is_found_even_if_it_arrived() {
        let mut ledger = good(5);
        for qos in 0..3 {
            let n = ledger.accept(qos);
            ledger.receive(qos, n);
            assert_eq!((ledger.tally(qos).unaccounted, ledger.tally(qos).lost), (1, 0));
        }
        assert_eq!(verdict(&ledger), [false; 3]);
        assert_eq!(ledger.outstanding(), 2);
    }

    #[test]
    fn a_message_given_up_is_not_lost_but_breaks_the_demo() {
        for outcome in [Outcome::Expired, Outcome::Rejected, Outcome::Dropped] {
            let mut ledger = good(5);
            let n = ledger.accept(1);
            ledger.settle(1, n, outcome);
            assert_eq!(ledger.tally(1).lost, 0);
            assert_eq!(verdict(&ledger), [true, false, true]);
            assert_eq!(ledger.outstanding(), 0);
        }
    }

    #[test]
    fn a_message_not_accepted_leaves_no_trace_unless_it_arrives() {
        let mut ledger = good(5);
        let n = ledger.accept(1);
        ledger.withdraw(1);
        assert_eq!((ledger.tally(1).accepted, ledger.outstanding()), (5, 0));
        assert_eq!(verdict(&ledger), [true; 3]);
        ledger.receive(1, n);
        assert_eq!(ledger.tally(1).alien, 1);
    }

    #[test]
    fn what_was_never_sent_is_found() {
        let mut ledger = good(5);
        ledger.receive(1, 5);
        ledger.receive_alien(2);
        assert_eq!(verdict(&ledger), [true, false, false]);
    }
}
