//! The messages: numbered, checked when they come back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use everlink::{Client, Delivery, Message, QoS, Subscription};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ledger::{Ledger, Outcome};
use super::pace::{Flow, Pace};

/// All levels, each at its number.
pub(super) const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Longest filler of a message, in bytes.
const FILLER: u32 = 200;

/// A sign that messages move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    pub(super) at: Instant,
    /// Since when the connection was up that it came by.
    pub(super) up_since: Option<Instant>,
}

/// The account of one client, shared by all that write into it.
#[derive(Debug)]
pub(super) struct Account {
    ledger: Mutex<Ledger>,
    sign: watch::Sender<Option<Sign>>,
}

impl Account {
    pub(super) fn new() -> Self {
        Self { ledger: Mutex::default(), sign: watch::Sender::new(None) }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // every change under the lock is complete in itself
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest sign that messages move: an acknowledgement or a message of the broker.
    pub(super) fn signs(&self) -> watch::Receiver<Option<Sign>> {
        self.sign.subscribe()
    }

    fn moved(&self, client: &Client) {
        let state = client.state();
        let up_since = state.is_up().then_some(state.since);
        self.sign.send_replace(Some(Sign { at: Instant::now(), up_since }));
    }
}

/// Where the messages of one client at one QoS go.
pub(super) fn topic(client: &str, qos: QoS) -> String {
    format!("everlink/demo/{client}/qos{}", qos as u8)
}

/// What message `n` says: its number and a filler whose length and letters depend on it, so that a
/// message that was cut or mixed up is not taken for a good one.
fn payload(n: u32) -> String {
    let letter = char::from(b'a' + (n % 26) as u8);
    let filler = (n.wrapping_mul(7919) % FILLER) as usize;
    let mut text = format!("{n} ");
    text.extend(std::iter::repeat_n(letter, filler));
    text
}

/// The number of a message, if it is one of ours and whole.
fn number(message: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(message).ok()?;
    let n = text.split(' ').next()?.parse().ok()?;
    (payload(n) == text).then_some(n)
}

/// Publishes messages of one QoS at a steady pace until told to stop.
pub(super) async fn publish(
    client: Client,
    account: Arc<Account>,
    topic: String,
    qos: QoS,
    mut pace: Pace,
    fates: mpsc::UnboundedSender<(u32, Delivery)>,
) {
    let mut tick = interval(pace.every());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !pace.next().await {
            return;
        }
        // Before it is sent: it may be back before the next line runs.
        let n = account.ledger().accept(qos as u8);
        let accepted = client.publish(&topic, payload(n)).qos(qos).accepted();
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = pace.stopped() => {
                account.ledger().withdraw(qos as u8);
                return;
            }
        };
        match accepted {
            Ok(delivery) => drop(fates.send((n, delivery))), // its reader outlives this task
            Err(error) => {
                tracing::error!(%error, "a message was not accepted");
                account.ledger().withdraw(qos as u8);
                return;
            }
        }
    }
}

/// Notes what became of the messages of one QoS.
pub(super) async fn settle(
    client: Client,
    account: Arc<Account>,
    qos: QoS,
    mut fates: mpsc::UnboundedReceiver<(u32, Delivery)>,
) {
    while let Some((n, delivery)) = fates.recv().await {
        let outcome = match delivery.await {
            everlink::Outcome::Delivered(_) => Outcome::Delivered,
            everlink::Outcome::Rejected(_) => Outcome::Rejected,
            everlink::Outcome::Expired => Outcome::Expired,
            everlink::Outcome::Dropped(_) => Outcome::Dropped,
            // no fate: it counts as unaccounted
            everlink::Outcome::Held | everlink::Outcome::Superseded => continue,
        };
        account.ledger().settle(qos as u8, n, outcome);
        // at QoS 0 it says only that the message left
        if outcome == Outcome::Delivered && qos != QoS::AtMostOnce {
            account.moved(&client);
        }
    }
}

/// Notes what comes back.
pub(super) async fn receive(
    client: Client,
    account: Arc<Account>,
    mut subscription: Subscription,
    topics: [String; 3],
) {
    while let Some(message) = subscription.next().await {
        note(&account, &message, &topics);
        account.moved(&client);
    }
}

fn note(account: &Account, message: &Message, topics: &[String; 3]) {
    let lane = topics.iter().position(|topic| **topic == *message.topic);
    let mut ledger = account.ledger();
    match (lane, number(&message.payload)) {
        (Some(qos), Some(n)) if message.qos as usize == qos => ledger.receive(qos as u8, n),
        (lane, _) => ledger.receive_alien(lane.unwrap_or(0) as u8),
    }
}

/// Waits until the client's messages move again after the path was healed at `healed`; with
/// `broken_at`, over a connection made since then. If there is nothing left to move, being connected
/// counts.
pub(super) async fn recovered(
    client: &Client,
    account: &Account,
    flow: &Flow,
    healed: Instant,
    broken_at: Option<Instant>,
) -> Instant {
    let mut signs = account.signs();
    let fresh = |since: Instant| broken_at.is_none_or(|broken| since > broken);
    loop {
        let sign = *signs.borrow_and_update();
        if let Some(sign) = sign.filter(|s| s.at >= healed && s.up_since.is_some_and(fresh)) {
            return sign.at;
        }
        let state = client.state();
        if flow.is_over()
            && state.is_up()
            && fresh(state.since)
            && account.ledger().outstanding() == 0
        {
            return state.since.max(healed);
        }
        // The sender is ours and alive; the time is for what no sign tells.
        let _ = tokio::time::timeout(Duration::from_millis(20), signs.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_number_only_if_whole() {
        for n in [0, 1, 25, 26, 1000, u32::MAX] {
            let whole = payload(n);
            assert_eq!(number(whole.as_bytes()), Some(n));
            assert_ne!(number(&whole.as_bytes()[1..]), Some(n));
            assert_eq!(number(format!("{whole}.").as_bytes()), None);
        }
        assert_eq!(number(&payload(1).as_bytes()[..9]), None);
        assert_eq!((number(b""), number(b"\xff"), number(b"seven x")), (None, None, None));
    }
}
