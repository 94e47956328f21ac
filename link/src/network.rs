//! A WiFi network.

/// A network to join.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network<'n> {
    /// Its name.
    pub ssid: &'n str,
    /// WPA2 or WPA3 passphrase; empty for an open network. Never shown by `Debug`.
    pub passphrase: &'n str,
}

impl core::fmt::Debug for Network<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").field("ssid", &self.ssid).finish_non_exhaustive()
    }
}
