//! Messages as JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use everlink::{Message, MessageProperties};
use serde::Serialize;

/// As `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    qos: u8,
    retain: bool,
    dup: bool,
    properties: Listed<'a>,
}

/// The properties there are, under the names that `-D` uses. User properties are a list of pairs:
/// they have an order, and a name can come twice.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(rename = "user-property", skip_serializing_if = "<[_]>::is_empty")]
    user_properties: &'a [(String, String)],
}

impl<'a> From<&'a MessageProperties> for Listed<'a> {
    fn from(p: &'a MessageProperties) -> Self {
        let (text, base64) = p.correlation_data.as_deref().map_or((None, None), text_or_base64);
        Self {
            payload_format_indicator: p.payload_is_utf8.map(u8::from),
            message_expiry_interval: p.message_expiry,
            content_type: p.content_type.as_deref(),
            response_topic: p.response_topic.as_deref(),
            correlation_data: text,
            correlation_data_base64: base64,
            user_properties: &p.user_properties,
        }
    }
}

/// One of the two.
fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

/// Writes the object of `--json`, without a line end.
pub(super) fn write(message: &Message, out: &mut Vec<u8>) {
    let (payload, payload_base64) = text_or_base64(&message.payload);
    append(
        out,
        &Line {
            topic: &message.topic,
            payload,
            payload_base64,
            qos: message.qos as u8,
            retain: message.retain,
            dup: message.dup,
            properties: message.properties().into(),
        },
    );
}

/// Writes the object of mosquitto's `%j`, or with `raw` of `%J`, which has the payload as it is;
/// `false` if that is not JSON.
pub(super) fn write_like_mosquitto(
    message: &Message,
    time: &str,
    raw: bool,
    out: &mut Vec<u8>,
) -> bool {
    let payload = match raw {
        true => match serde_json::from_slice(&message.payload) {
            Ok(value) => value,
            Err(_) => return false,
        },
        false => String::from_utf8_lossy(&message.payload).into_owned().into(),
    };
    let properties: Listed<'_> = message.properties().into();
    let properties = serde_json::to_value(properties).unwrap_or_default();
    #[derive(Serialize)]
    struct Line<'a> {
        tst: &'a str,
        topic: &'a str,
        qos: u8,
        retain: u8,
        payloadlen: usize,
        #[serde(skip_serializing_if = "is_zero")]
        mid: u16,
        #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
        properties: serde_json::Map<String, serde_json::Value>,
        payload: serde_json::Value,
    }
    let mut map = match properties {
        serde_json::Value::Object(map) => map,
        _ => serde_json::Map::new(),
    };
    if let Some(pairs) = map.remove("user-property") {
        // mosquitto has an object here.
        let pairs: Vec<(String, String)> = serde_json::from_value(pairs).unwrap_or_default();
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        map.insert("user-properties".into(), serde_json::to_value(pairs).unwrap_or_default());
    }
    append(
        out,
        &Line {
            tst: time,
            topic: &message.topic,
            qos: message.qos as u8,
            retain: message.retain.into(),
            payloadlen: message.payload.len(),
            mid: message.packet_identifier(),
            properties: map,
            payload,
        },
    );
    true
}

/// At QoS 0 there is no Packet Identifier.
fn is_zero(mid: &u16) -> bool {
    *mid == 0
}

fn append(out: &mut Vec<u8>, line: &impl Serialize) {
    // Neither the types nor writing to memory can fail.
    let _ = serde_json::to_writer(out, line);
}
