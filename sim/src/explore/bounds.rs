//! How much may happen.

use std::fmt;

use everlink_proto::wire::{QoS, Version};

/// The limits of one search.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Protocol version.
    pub version: Version,
    /// Messages the application publishes, in this order.
    pub out: &'static [QoS],
    /// Messages the broker has for the client, in this order.
    pub inbound: &'static [QoS],
    /// Times the connection breaks.
    pub cuts: u8,
    /// So many of them, the broker loses its sessions.
    pub losses: u8,
    /// Times the client's host loses its power, with a durable store; also a cut.
    pub crashes: u8,
    /// The store confirms records later than it takes them.
    pub grouped: bool,
    /// Times that half of the response time passes; if any, the broker may forget an acknowledgement.
    pub waits: u8,
    /// The application acknowledges later, in any order.
    pub manual: bool,
    /// The broker passes a QoS 2 message on at PUBREL only.
    pub take_at_release: bool,
    /// Most messages under way to the broker.
    pub window: u16,
}

const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

impl Bounds {
    const fn new(version: Version, out: &'static [QoS], inbound: &'static [QoS]) -> Self {
        Self {
            version,
            out,
            inbound,
            cuts: 0,
            losses: 0,
            crashes: 0,
            grouped: false,
            waits: 0,
            manual: false,
            take_at_release: false,
            window: 10,
        }
    }

    const fn cuts(self, cuts: u8, losses: u8) -> Self {
        Self { cuts, losses, ..self }
    }

    /// What every test run searches: seconds.
    pub fn small() -> Vec<Self> {
        let both = |version| {
            [
                Self::new(version, &[Q2], &[Q2]).cuts(1, 1),
                Self::new(version, &[Q2, Q2], &[]).cuts(2, 0),
                Self::new(version, &[Q2], &[]).cuts(2, 1),
                Self::new(version, &[], &[Q2]).cuts(2, 1),
                Self::new(version, &[], &[Q2, Q2]).cuts(1, 1),
                Self::new(version, &[Q1, Q2], &[Q1]).cuts(1, 1),
                Self { take_at_release: true, ..Self::new(version, &[Q2, Q2], &[]).cuts(1, 1) },
                Self { manual: true, ..Self::new(version, &[], &[Q1, Q1]).cuts(1, 0) },
                Self { window: 1, ..Self::new(version, &[Q2, Q1], &[]).cuts(1, 1) },
                Self { crashes: 1, ..Self::new(version, &[Q2], &[Q2]).cuts(0, 0) },
                Self { crashes: 1, grouped: true, ..Self::new(version, &[Q2], &[]).cuts(1, 1) },
                Self { waits: 2, ..Self::new(version, &[Q2], &[]).cuts(1, 0) },
            ]
        };
        [Version::V311, Version::V5].into_iter().flat_map(both).collect()
    }

    /// What takes minutes.
    pub fn large() -> Vec<Self> {
        let both = |version| {
            [
                Self::new(version, &[Q2], &[Q2]).cuts(2, 1),
                Self::new(version, &[Q2, Q2], &[Q2]).cuts(2, 1),
                Self::new(version, &[Q1, Q2], &[Q1, Q2]).cuts(2, 1),
                Self::new(version, &[Q2, Q1, Q2], &[]).cuts(2, 1),
                Self::new(version, &[], &[Q2, Q1, Q2]).cuts(2, 1),
                Self { manual: true, ..Self::new(version, &[], &[Q2, Q1, Q2]).cuts(2, 1) },
                Self { take_at_release: true, ..Self::new(version, &[Q2, Q2, Q1], &[]).cuts(2, 0) },
                Self { window: 2, ..Self::new(version, &[Q2, Q2, Q2], &[]).cuts(2, 1) },
                Self { crashes: 1, ..Self::new(version, &[Q2, Q1], &[]).cuts(1, 1) },
                Self { crashes: 1, ..Self::new(version, &[], &[Q2, Q2]).cuts(1, 1) },
                Self { crashes: 1, ..Self::new(version, &[Q2], &[Q2]).cuts(1, 1) },
                Self { crashes: 1, grouped: true, ..Self::new(version, &[Q2], &[Q2]).cuts(1, 0) },
                Self { waits: 3, ..Self::new(version, &[Q2, Q1], &[]).cuts(1, 0) },
            ]
        };
        [Version::V311, Version::V5].into_iter().flat_map(both).collect()
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |list: &[QoS]| list.iter().map(|qos| (*qos as u8).to_string()).collect::<String>();
        let version = if self.version == Version::V5 { "5" } else { "3.1.1" };
        write!(f, "{version:5} out {:3} in {:3}", list(self.out), list(self.inbound))?;
        write!(f, " cuts {} losses {} crashes {}", self.cuts, self.losses, self.crashes)?;
        let marks = [
            (self.grouped, " grouped"),
            (self.waits > 0, " waits"),
            (self.manual, " manual"),
            (self.take_at_release, " at PUBREL"),
            (self.window < 10, " window"),
        ];
        marks.into_iter().filter(|(on, _)| *on).try_for_each(|(_, mark)| f.write_str(mark))
    }
}
