//! What can be wrong with a module.

/// What was wrong, in terms of the module; a [`Cause`](everlink_proto::engine::Cause) has no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// It does not answer: no power, another rate, wires crossed, or it hangs.
    NoAnswer,
    /// It says that it is busy, for too long.
    Busy,
    /// It restarted.
    Restarted,
    /// Its answer makes no sense: bytes were lost on the line, or it is another device.
    Nonsense,
    /// A name or passphrase cannot be told to it.
    Unspeakable,
    /// No network was joined.
    NoNetwork,
    /// The network did not answer in time.
    NetworkSilent,
    /// The network does not take the passphrase.
    Passphrase,
    /// There is no such network in reach.
    NetworkAway,
    /// The network refused.
    NetworkRefused,
    /// The association was lost.
    NetworkLost,
    /// The name was not resolved; it does not say why.
    Name,
    /// It has no passive mode: the firmware is older than 1.7.
    OldFirmware,
    /// It cannot check certificates or names.
    Unverifiable,
    /// It could not connect; it does not say why.
    Connect,
    /// TLS could not be opened; it does not say whether TCP, the certificate or the name was wrong.
    Tls,
    /// It could not send.
    Send,
}

impl core::fmt::Display for Trouble {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "the module does not answer; check its power, its wires and the rate",
            Self::Busy => "the module says that it is busy, for too long",
            Self::Restarted => "the module restarted",
            Self::Nonsense => "the module's answer makes no sense; bytes were lost on the line, perhaps",
            Self::Unspeakable => "the module cannot be told this name or passphrase",
            Self::NoNetwork => "the module is in no network and was given none",
            Self::NetworkSilent => "the network did not answer in time",
            Self::Passphrase => "the network does not take the passphrase",
            Self::NetworkAway => "there is no such network in reach",
            Self::NetworkRefused => "the network refused",
            Self::NetworkLost => "the module lost the network",
            Self::Name => "the module cannot resolve the name; there is none such, or no name server",
            Self::OldFirmware => "the module's firmware is too old: it has no passive mode (ESP-AT 1.7)",
            Self::Unverifiable => {
                "the module's firmware cannot check the broker's certificate and name (ESP-AT 2.1)"
            }
            Self::Connect => "the module cannot connect; it does not say why",
            Self::Tls => {
                "the module opens no TLS; it does not say whether the way or the certificate is wrong"
            }
            Self::Send => "the module could not send",
        })
    }
}
