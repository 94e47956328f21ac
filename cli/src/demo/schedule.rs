//! Which outages come when: decided by the seed alone.

use std::time::Duration;

use everlink::QoS;

/// Everything the demo does to the path and to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// The connection is reset.
    Reset,
    /// The connection is closed in order, without a DISCONNECT.
    Close,
    /// Connects are refused.
    Refuse,
    /// The connection stays open and nothing passes; in the end it is reset.
    HalfOpen,
    /// As half-open, but in the end everything held arrives.
    Pause,
    /// Connects are accepted and never answered.
    Silent,
    /// A PUBLISH to the broker breaks off in the middle.
    CutToBroker,
    /// A PUBLISH to the client breaks off in the middle.
    CutToClient,
    /// Few bytes a second.
    Throttle,
    /// Long and varying delays.
    Jitter,
    /// No PUBACK arrives, either way.
    NoPuback,
    /// No PUBREC arrives, either way.
    NoPubrec,
    /// No PUBREL arrives, either way.
    NoPubrel,
    /// No PUBCOMP arrives, either way.
    NoPubcomp,
    /// Every acknowledgement arrives twice.
    DoubledAcks,
    /// The client receives bytes that are not MQTT.
    Garbage,
    /// The broker restarts with its sessions.
    BrokerRestart,
    /// The broker restarts without its sessions.
    SessionsLost,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub(crate) const ALL: [Self; 18] = [
        Self::Reset,
        Self::Close,
        Self::Refuse,
        Self::HalfOpen,
        Self::Pause,
        Self::Silent,
        Self::CutToBroker,
        Self::CutToClient,
        Self::Throttle,
        Self::Jitter,
        Self::NoPuback,
        Self::NoPubrec,
        Self::NoPubrel,
        Self::NoPubcomp,
        Self::DoubledAcks,
        Self::Garbage,
        Self::BrokerRestart,
        Self::SessionsLost,
    ];

    /// For people.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Reset => "connection reset",
            Self::Close => "connection closed",
            Self::Refuse => "connects refused",
            Self::HalfOpen => "half-open",
            Self::Pause => "pause that heals",
            Self::Silent => "accepted, never answered",
            Self::CutToBroker => "packet to the broker cut",
            Self::CutToClient => "packet to the client cut",
            Self::Throttle => "few bytes a second",
            Self::Jitter => "long, varying delays",
            Self::NoPuback => "PUBACK swallowed",
            Self::NoPubrec => "PUBREC swallowed",
            Self::NoPubrel => "PUBREL swallowed",
            Self::NoPubcomp => "PUBCOMP swallowed",
            Self::DoubledAcks => "acknowledgements doubled",
            Self::Garbage => "garbage received",
            Self::BrokerRestart => "broker restarted",
            Self::SessionsLost => "broker lost its sessions",
        }
    }

    /// For programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Close => "close",
            Self::Refuse => "refuse",
            Self::HalfOpen => "half_open",
            Self::Pause => "pause",
            Self::Silent => "silent",
            Self::CutToBroker => "cut_to_broker",
            Self::CutToClient => "cut_to_client",
            Self::Throttle => "throttle",
            Self::Jitter => "jitter",
            Self::NoPuback => "no_puback",
            Self::NoPubrec => "no_pubrec",
            Self::NoPubrel => "no_pubrel",
            Self::NoPubcomp => "no_pubcomp",
            Self::DoubledAcks => "doubled_acks",
            Self::Garbage => "garbage",
            Self::BrokerRestart => "broker_restart",
            Self::SessionsLost => "sessions_lost",
        }
    }

    /// Whether it does anything to messages of these levels that a plain outage does not.
    pub(crate) fn concerns(self, levels: &[QoS]) -> bool {
        let any = |wanted: &[QoS]| levels.iter().any(|qos| wanted.contains(qos));
        match self {
            Self::NoPuback => any(&[QoS::AtLeastOnce]),
            Self::NoPubrec | Self::NoPubrel | Self::NoPubcomp => any(&[QoS::ExactlyOnce]),
            Self::DoubledAcks => any(&[QoS::AtLeastOnce, QoS::ExactlyOnce]),
            _ => true,
        }
    }

    /// How long it lasts, in milliseconds: a range for the seed to choose from. Zero: an instant.
    fn millis(self) -> std::ops::RangeInclusive<u64> {
        match self {
            Self::Reset | Self::Close | Self::CutToBroker | Self::CutToClient | Self::Garbage => {
                0..=0
            }
            Self::Refuse | Self::Pause => 1000..=2500,
            Self::HalfOpen => 3500..=5000,
            Self::Silent => 2000..=4000,
            Self::Throttle | Self::Jitter | Self::DoubledAcks => 2000..=3000,
            Self::NoPuback | Self::NoPubrec | Self::NoPubrel | Self::NoPubcomp => 1200..=2200,
            Self::BrokerRestart | Self::SessionsLost => 500..=1500,
        }
    }
}

/// Kinds that cost little time and so fill the rest of the schedule.
const QUICK: [Kind; 6] =
    [Kind::Reset, Kind::Close, Kind::CutToBroker, Kind::CutToClient, Kind::Garbage, Kind::Refuse];

/// How long the path is good before each outage, in milliseconds.
const GOOD: std::ops::RangeInclusive<u64> = 600..=1400;

/// How long the default demo's schedule is at least.
pub(crate) const LENGTH: Duration = Duration::from_secs(62);

/// One outage and the good time before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// How long the path is good before.
    pub(crate) good: Duration,
    /// What happens then.
    pub(crate) kind: Kind,
    /// For how long.
    pub(crate) lasts: Duration,
    /// Seeds what is random about the outage itself.
    pub(crate) seed: u64,
}

impl Step {
    fn new(kind: Kind, rng: &mut fastrand::Rng) -> Self {
        Self {
            good: Duration::from_millis(rng.u64(GOOD)),
            kind,
            lasts: Duration::from_millis(rng.u64(kind.millis())),
            seed: rng.u64(..),
        }
    }

    fn length(&self) -> Duration {
        self.good + self.lasts
    }
}

/// Each of `kinds` at least once in random order, then quick ones of them until `length` is filled.
/// Recoveries are not counted in it.
pub(crate) fn schedule(seed: u64, kinds: &[Kind], length: Duration) -> Vec<Step> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut steps: Vec<Step> = kinds.iter().map(|kind| Step::new(*kind, &mut rng)).collect();
    let quick: Vec<Kind> = QUICK.into_iter().filter(|k| kinds.contains(k)).collect();
    let mut total: Duration = steps.iter().map(Step::length).sum();
    while let Some(kind) = rng.choice(&quick).filter(|_| total < length) {
        let step = Step::new(*kind, &mut rng);
        total += step.length();
        steps.push(step);
    }
    rng.shuffle(&mut steps);
    steps
}

/// A short name for a schedule: equal if and, but for chance, only if the schedules are.
pub(crate) fn fingerprint(steps: &[Step]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for step in steps {
        add(step.kind.name().as_bytes());
        add(&step.good.as_nanos().to_le_bytes());
        add(&step.lasts.as_nanos().to_le_bytes());
        add(&step.seed.to_le_bytes());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_everything() {
        let of = |seed| schedule(seed, &Kind::ALL, LENGTH);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(fingerprint(&of(1)), fingerprint(&of(1)));
        assert_ne!(fingerprint(&of(1)), fingerprint(&of(2)));
    }

    #[test]
    fn every_kind_occurs_and_the_length_fits_the_demo() {
        for seed in 0..500 {
            let steps = schedule(seed, &Kind::ALL, LENGTH);
            for kind in Kind::ALL {
                assert!(steps.iter().any(|s| s.kind == kind), "seed {seed}: no {kind:?}");
            }
            let total: Duration = steps.iter().map(Step::length).sum();
            assert!((60..=75).contains(&total.as_secs()), "seed {seed}: {total:?}");
        }
    }

    #[test]
    fn a_choice_of_kinds_is_obeyed() {
        let steps = schedule(3, &[Kind::Reset, Kind::Throttle], Duration::from_secs(20));
        assert_eq!(steps.iter().filter(|s| s.kind == Kind::Throttle).count(), 1);
        assert!(steps.iter().all(|s| matches!(s.kind, Kind::Reset | Kind::Throttle)));
        assert_eq!(schedule(3, &[Kind::Throttle], Duration::from_secs(20)).len(), 1);
        assert!(schedule(3, &[], Duration::from_secs(20)).is_empty());
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|k| k.name()).collect();
        let labels: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|k| k.label()).collect();
        assert_eq!((names.len(), labels.len()), (18, 18));
    }
}
