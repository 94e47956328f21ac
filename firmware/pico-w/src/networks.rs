//! The WiFi networks, given when the program is built.

/// A network and its key.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    /// Its name, at most 32 bytes; empty when none was given.
    pub(crate) ssid: &'static str,
    /// Its WPA key; empty for a network without.
    pub(crate) password: &'static str,
}

/// The networks in the order in which they are tried: `WIFI_SSID` and `WIFI_PASSWORD`, `WIFI_SSID_2`
/// and `WIFI_PASSWORD_2`.
pub(crate) const NETWORKS: [Network; 2] = [
    network(option_env!("WIFI_SSID"), option_env!("WIFI_PASSWORD")),
    network(option_env!("WIFI_SSID_2"), option_env!("WIFI_PASSWORD_2")),
];

const fn network(ssid: Option<&'static str>, password: Option<&'static str>) -> Network {
    let ssid = match ssid {
        Some(ssid) => ssid,
        None => "",
    };
    let password = match password {
        Some(password) => password,
        None => "",
    };
    Network { ssid, password }
}
