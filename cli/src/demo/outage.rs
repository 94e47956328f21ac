//! What each kind of outage does to the paths and to the broker.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use everlink_sim::proxy::{Action, Direction, Heal, PacketType, Proxy, Rule};
use tokio::time::{Instant, sleep, timeout};

use super::broker::{Broker, Sessions};
use super::pace::Flow;
use super::party::Party;
use super::schedule::{Kind, Step};

/// Longest wait for a packet that is to be cut.
const NEXT_PACKET: Duration = Duration::from_secs(5);
/// The rate of [`Kind::Throttle`], in bytes a second; the traffic is some ten times that.
const TRICKLE: NonZeroU32 = NonZeroU32::new(2000).unwrap();

/// Everything an outage can reach.
pub(super) struct Stage {
    pub(super) broker: Broker,
    pub(super) parties: Vec<Party>,
    pub(super) flow: Flow,
}

/// When an outage began and ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Struck {
    pub(super) began: Instant,
    /// From now on everything passes.
    pub(super) healed: Instant,
}

impl Stage {
    /// Causes an outage and ends it. When it returns the path is good.
    pub(super) async fn strike(&mut self, step: &Step) -> io::Result<Struck> {
        use Direction::{ToBroker, ToClient};
        if step.kind == Kind::SessionsLost {
            self.silence().await;
        }
        let began = Instant::now();
        match step.kind {
            Kind::Reset => self.reset().await,
            Kind::Close => self.close().await,
            Kind::Refuse => self.refuse(step.lasts).await?,
            Kind::HalfOpen => self.hold(step.lasts, Heal::Drop).await,
            Kind::Pause => self.hold(step.lasts, Heal::Forward).await,
            Kind::Silent => self.silent(step.lasts).await,
            Kind::CutToBroker => self.cut(ToBroker, step.seed).await,
            Kind::CutToClient => self.cut(ToClient, step.seed).await,
            Kind::Throttle => self.throttle(step.lasts).await,
            Kind::Jitter => self.jitter(step.lasts).await,
            Kind::NoPuback => self.swallow(PacketType::Puback, step.lasts).await,
            Kind::NoPubrec => self.swallow(PacketType::Pubrec, step.lasts).await,
            Kind::NoPubrel => self.swallow(PacketType::Pubrel, step.lasts).await,
            Kind::NoPubcomp => self.swallow(PacketType::Pubcomp, step.lasts).await,
            Kind::DoubledAcks => self.double(step.lasts).await,
            Kind::Garbage => self.inject(&garbage(step.seed)),
            Kind::BrokerRestart => self.restart(step.lasts).await?,
            Kind::SessionsLost => self.lose_sessions(step.lasts).await?,
        }
        Ok(Struck { began, healed: Instant::now() })
    }

    fn paths(&self) -> impl Iterator<Item = &Proxy> {
        self.parties.iter().map(|party| &party.path)
    }

    async fn reset(&self) {
        for path in self.paths() {
            path.reset().await;
        }
    }

    async fn close(&self) {
        for path in self.paths() {
            path.close().await;
        }
    }

    async fn refuse(&self, lasts: Duration) -> io::Result<()> {
        for path in self.paths() {
            path.refuse(true).await?;
        }
        self.flow.wait(lasts).await;
        for path in self.paths() {
            path.refuse(false).await?;
        }
        Ok(())
    }

    async fn hold(&self, lasts: Duration, heal: Heal) {
        self.paths().for_each(|path| path.black_hole(Direction::Both));
        self.flow.wait(lasts).await;
        for path in self.paths() {
            path.heal(heal).await;
        }
    }

    /// Those who connected meanwhile are not told that it is over.
    async fn silent(&self, lasts: Duration) {
        self.paths().for_each(|path| path.accept_silently(true));
        self.reset().await;
        self.flow.wait(lasts).await;
        self.paths().for_each(|path| path.accept_silently(false));
    }

    /// Ends the connections in the middle of their next PUBLISH.
    async fn cut(&self, direction: Direction, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rules: Vec<_> = self
            .paths()
            .map(|path| {
                let cut = Action::Cut(rng.usize(1..30));
                (path, path.rule(Rule::new(direction, PacketType::Publish, cut).times(1)))
            })
            .collect();
        let hit = async {
            while rules.iter().any(|(path, rule)| path.hits(*rule) == 0) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        // There is none if the last message was just sent.
        let _ = timeout(NEXT_PACKET, hit).await;
        rules.into_iter().for_each(|(path, rule)| path.lift(rule));
    }

    async fn throttle(&self, lasts: Duration) {
        let set = |rate| self.paths().for_each(|path| path.throttle(Direction::Both, rate));
        set(Some(TRICKLE));
        self.flow.wait(lasts).await;
        set(None);
    }

    async fn jitter(&self, lasts: Duration) {
        let set = |fixed, jitter| {
            let ms = Duration::from_millis;
            self.paths().for_each(|path| path.delay(Direction::Both, ms(fixed), ms(jitter)));
        };
        set(200, 600);
        self.flow.wait(lasts).await;
        set(0, 0);
    }

    /// All packets of the type, and in the end the connection: if only one were missing and later
    /// ones passed, the broker would route the messages in another order, and rightly so.
    async fn swallow(&self, packet: PacketType, lasts: Duration) {
        let rules: Vec<_> =
            self.paths().map(|path| (path, path.swallow(Direction::Both, packet, None))).collect();
        self.flow.wait(lasts).await;
        self.reset().await;
        rules.into_iter().for_each(|(path, rule)| path.lift(rule));
    }

    async fn double(&self, lasts: Duration) {
        use PacketType::{Puback, Pubcomp, Pubrec, Pubrel};
        let mut rules = Vec::new();
        for path in self.paths() {
            for packet in [Puback, Pubrec, Pubrel, Pubcomp] {
                rules.push((path, path.double(Direction::Both, packet, None)));
            }
        }
        self.flow.wait(lasts).await;
        rules.into_iter().for_each(|(path, rule)| path.lift(rule));
    }

    fn inject(&self, bytes: &[u8]) {
        for path in self.paths() {
            path.inject(Direction::ToClient, bytes);
        }
    }

    async fn restart(&mut self, lasts: Duration) -> io::Result<()> {
        self.broker.stop().await;
        self.flow.wait(lasts).await;
        self.broker.resume(Sessions::Kept).await
    }

    /// Waits until no message is under way.
    ///
    /// A broker that loses its sessions takes with it what it acknowledged and did not pass on yet,
    /// which no client can mend. So it must have nothing of that kind.
    async fn silence(&self) {
        self.flow.pause();
        for party in &self.parties {
            party.quiet(&self.flow).await;
        }
    }

    /// The path is held first, so that the messages published meanwhile are on their way and not
    /// yet at the broker.
    async fn lose_sessions(&mut self, lasts: Duration) -> io::Result<()> {
        self.paths().for_each(|path| path.black_hole(Direction::Both));
        self.flow.resume();
        self.flow.wait(lasts).await;
        self.broker.stop().await;
        for party in &self.parties {
            party.path.heal(Heal::Drop).await;
            party.account.ledger().sessions_lost();
        }
        self.broker.resume(Sessions::Lost).await
    }
}

/// Bytes that no MQTT peer may send, whatever the state of the connection.
fn garbage(seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let start: &[u8] = match rng.u8(..4) {
        // a packet type that does not exist
        0 => &[0x0f, 0x04],
        // a Remaining Length of more than four bytes [MQTT-1.5.5-1]
        1 => &[0x30, 0xff, 0xff, 0xff, 0xff, 0x7f],
        // a PUBLISH of QoS 3 [MQTT-3.3.1-4]
        2 => &[0x36, 0x07, 0x00, 0x01, b'x', 0x00, 0x01],
        // a captive portal
        _ => b"HTTP/1.1 511 Network Authentication Required\r\n\r\n",
    };
    let mut bytes = start.to_vec();
    bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(64));
    bytes
}

impl Kind {
    /// Whether it ends the connection; else the client may keep it.
    pub(super) fn breaks(self) -> bool {
        !matches!(self, Self::Pause | Self::Throttle | Self::Jitter | Self::DoubledAcks)
    }
}
