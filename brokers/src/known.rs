//! In what the brokers deviate from the standard, and why it is not everlink's doing.

use everlink::Version;

use crate::broker::Kind;
use crate::checks::Check;

/// A deviation that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Which broker.
    pub kind: Kind,
    /// In which version of the protocol; in both if none.
    pub version: Option<Version>,
    /// In which checks.
    pub checks: &'static [Check],
    /// Not in each run.
    pub sometimes: bool,
    /// What it does.
    pub what: &'static str,
}

/// All of them.
pub const KNOWN: &[Known] = &[
    Known {
        kind: Kind::Mosquitto,
        version: None,
        checks: &[Check::Kills2],
        sometimes: true,
        what: "acknowledges before it saves, once a second here. Killed in between, it sends again \
               what it had passed on, under other Packet Identifiers, or loses a message.",
    },
    Known {
        kind: Kind::Mosquitto,
        version: None,
        checks: &[Check::Kills1],
        sometimes: true,
        what: "acknowledges before it saves, once a second here. Killed in between, it loses what it \
               had acknowledged.",
    },
    Known {
        kind: Kind::Nats,
        version: None,
        checks: &[Check::Mixed],
        sometimes: false,
        what: "closes the connection at a PUBLISH of QoS 2, with every attempt (2.10 and later take \
               QoS 2). everlink keeps the message, and tries less and less often: publish at QoS 1.",
    },
    Known {
        kind: Kind::Nats,
        version: None,
        checks: &[Check::Cuts1, Check::Kills1],
        sometimes: true,
        what: "sends what was under way when a connection broke again only after half a minute, behind \
               what came later, and more than once.",
    },
    Known {
        kind: Kind::Mqtt5,
        version: None,
        checks: &[Check::Kills1, Check::Kills2],
        sometimes: true,
        what: "acknowledges messages that it has not written to its files. Killed, it loses them.",
    },
    Known {
        kind: Kind::Mqtt5,
        version: Some(Version::V5),
        checks: &[Check::Properties],
        sometimes: false,
        what: "adds user properties of its own to what it passes on.",
    },
    Known {
        kind: Kind::Rumqttd,
        version: None,
        checks: &[Check::Kills1, Check::Kills2],
        sometimes: true,
        what: "keeps everything in memory: what it had acknowledged and not yet passed on dies with it.",
    },
    Known {
        kind: Kind::Rumqttd,
        version: Some(Version::V5),
        checks: &[Check::Options],
        sometimes: false,
        what: "does not heed No Local.",
    },
    Known {
        kind: Kind::Rumqttd,
        version: Some(Version::V5),
        checks: &[Check::Cuts1, Check::Cuts2],
        sometimes: true,
        what: "loses the session, with the messages in it, of a client that connects again before it \
               has noticed the end of the old connection.",
    },
    Known {
        kind: Kind::Rumqttd,
        version: Some(Version::V311),
        checks: &[Check::Cuts2],
        sometimes: true,
        what: "sends QoS 2 messages again after a cut without DUP, and uses Packet Identifiers again \
               before PUBCOMP.",
    },
    Known {
        kind: Kind::Aedes,
        version: None,
        checks: &[Check::Cuts2],
        sometimes: true,
        what: "sends finished QoS 2 exchanges again after a cut, without DUP.",
    },
    Known {
        kind: Kind::Aedes,
        version: None,
        checks: &[Check::Kills1, Check::Kills2],
        sometimes: true,
        what: "keeps everything in memory here: what it had acknowledged dies with it.",
    },
];

/// The deviation of this broker in this check.
pub fn known(kind: Kind, version: Version, check: Check) -> Option<&'static Known> {
    let here = |k: &&Known| {
        k.kind == kind && k.version.is_none_or(|v| v == version) && k.checks.contains(&check)
    };
    KNOWN.iter().find(here)
}
