//! What a host says in CONNECT, besides what the engine says.

use everlink_proto::wire::{Connect, Properties, Property, QoS, Will};

/// Identity, credentials and will.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// Client Identifier.
    pub client_id: String,
    /// User Name and Password.
    pub login: Option<(String, Vec<u8>)>,
    /// The will.
    pub will: Option<WillTemplate>,
    /// Authentication Method and initial data.
    pub auth: Option<(String, Vec<u8>)>,
}

/// A will.
#[derive(Clone, Debug)]
pub struct WillTemplate {
    /// Topic Name.
    pub topic: String,
    /// The application message.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN flag.
    pub retain: bool,
    /// Will Delay Interval, in seconds.
    pub delay: u32,
}

impl Template {
    /// Calls `use_it` with the CONNECT this makes.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&Connect<'_>) -> R) -> R {
        let delay = [Property::WillDelayInterval(self.will.as_ref().map_or(0, |w| w.delay))];
        let mut list = Vec::new();
        if let Some((method, data)) = &self.auth {
            list.extend([
                Property::AuthenticationMethod(method),
                Property::AuthenticationData(data),
            ]);
        }
        // The engine adds its own properties as a list, so these are encoded.
        let props = Properties::from_list(&list);
        let mut raw = vec![0; props.encoded_len()];
        let n = props.encode_raw(&mut raw).unwrap_or(0);
        use_it(&Connect {
            client_id: &self.client_id,
            username: self.login.as_ref().map(|(name, _)| name.as_str()),
            password: self.login.as_ref().map(|(_, password)| password.as_slice()),
            will: self.will.as_ref().map(|will| Will {
                topic: &will.topic,
                payload: &will.payload,
                qos: will.qos,
                retain: will.retain,
                props: Properties::from_list(&delay),
            }),
            props: Properties::from_trusted_raw(&raw[..n]),
            ..Connect::default()
        })
    }
}
