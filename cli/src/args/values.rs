//! Readers of single values.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use everlink::{FirstConnect, QoS, RetainHandling, Version, WhenFull};

use crate::secret::Secret;

pub(super) fn version(text: &str) -> Result<Version, String> {
    match text.to_ascii_lowercase().as_str() {
        "5" | "5.0" | "mqttv5" => Ok(Version::V5),
        "311" | "3.1.1" | "mqttv311" => Ok(Version::V311),
        _ => Err("the versions are 5 and 311".into()),
    }
}

pub(super) fn qos(text: &str) -> Result<QoS, String> {
    match text {
        "0" => Ok(QoS::AtMostOnce),
        "1" => Ok(QoS::AtLeastOnce),
        "2" => Ok(QoS::ExactlyOnce),
        _ => Err("QoS is 0, 1 or 2".into()),
    }
}

/// A whole number in a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync,
{
    move |text| {
        let number = text.parse().ok().filter(|n| range.contains(n));
        let (least, most) = (range.start(), range.end());
        number.ok_or_else(|| format!("a whole number from {least} to {most} is wanted"))
    }
}

/// Seconds, with a fraction if wanted.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of seconds is wanted, such as 5 or 0.25".to_string();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// Seconds that cannot be none.
pub(super) fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("it must be longer than 0 s".into()),
        time => Ok(time),
    }
}

/// An interface or a local address.
pub(super) fn link(text: &str) -> Result<String, String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '=');
    let is_name = (1..=15).contains(&text.len()) && !text.contains(odd);
    match text.parse::<std::net::IpAddr>().is_ok() || is_name {
        true => Ok(text.to_owned()),
        false => Err("neither an address nor the name of an interface".to_owned()),
    }
}

/// A Session Expiry Interval, spelled as mosquitto allows.
pub(super) fn session_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "\u{221e}" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "0 to 4294967295 s, or -1 for ever, is wanted".into()),
    }
}

/// A name for what a full queue does.
pub(super) fn when_full(text: &str) -> Result<WhenFull, String> {
    match text {
        "wait" => Ok(WhenFull::Wait),
        "reject" => Ok(WhenFull::Reject),
        "drop-oldest" => Ok(WhenFull::DropOldest),
        "drop-newest" => Ok(WhenFull::DropNewest),
        "latest" => Ok(WhenFull::Latest),
        _ => Err("the policies are wait, reject, drop-oldest, drop-newest and latest".into()),
    }
}

pub(super) fn first_connect(text: &str) -> Result<FirstConnect, String> {
    match text.split_once(':') {
        None if text == "fail" => Ok(FirstConnect::Fail),
        None if text == "forever" => Ok(FirstConnect::Forever),
        Some(("retry", times)) => {
            times.parse().map(FirstConnect::Retry).map_err(|_| "retry:N takes a number".into())
        }
        _ => Err("the choices are fail, retry:N and forever".into()),
    }
}

pub(super) fn retain_handling(text: &str) -> Result<RetainHandling, String> {
    match text {
        "always" => Ok(RetainHandling::AtSubscribe),
        "new" => Ok(RetainHandling::IfNew),
        "never" => Ok(RetainHandling::Never),
        _ => Err("the choices are always, new and never".into()),
    }
}

pub(super) fn secret() -> impl TypedValueParser<Value = Secret> {
    OsStringValueParser::new().map(|text| Secret(text.into_vec()))
}
