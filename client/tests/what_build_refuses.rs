//! What cannot work is said by `build()`, in words, before anything is tried.

mod support;

use std::time::Duration;

use everlink::{
    Authenticator, BuildError, Builder, Client, Credentials, Property, QoS, Version, Will,
};
use support::VERSIONS;

#[derive(Debug)]
struct Anyone;

impl Authenticator for Anyone {
    fn method(&self) -> &str {
        "anyone"
    }

    fn start(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn challenge(&mut self, _data: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

fn to(url: &str) -> Builder {
    Client::builder(url)
}

fn shed(version: Version) -> Builder {
    to("mqtt://shed").version(version)
}

#[track_caller]
fn refused(builder: Builder) -> BuildError {
    builder.build().map(|_| ()).expect_err("an error")
}

#[test]
fn a_broker_must_be_named() {
    assert_eq!(refused(to("")), BuildError::NoBroker);
    assert_eq!(refused(shed(Version::V5).endpoint("")), BuildError::NoBroker);
    for url in ["mqtt://", "mqtt://shed:0", "mqtt://shed:65536", "http://shed", "mqtt://[::1"] {
        let error = refused(to(url));
        assert!(matches!(error, BuildError::Url(_)), "{url}: {error}");
        assert!(error.to_string().starts_with("broker address: "), "{error}");
    }
    for url in ["shed", "shed:1884", "mqtt://192.0.2.1", "mqtt://[2001:db8::1]:1884"] {
        assert!(to(url).build().is_ok(), "{url}");
    }
}

#[test]
fn values_have_their_ranges() {
    for (builder, what) in [
        (shed(Version::V5).window(0), "the window must be 1 to 65535"),
        (shed(Version::V5).receive_maximum(0), "the receive maximum must be 1 to 65535"),
        (
            shed(Version::V5).maximum_packet_size(63),
            "the maximum packet size must be at least 64 bytes",
        ),
        (shed(Version::V5).queue(0, 1000), "the queue's limits must be at least 1"),
        (shed(Version::V5).queue(1000, 0), "the queue's limits must be at least 1"),
        (
            shed(Version::V5).response_time(Duration::from_millis(99)),
            "the response time must be at least 0.1 s",
        ),
    ] {
        assert_eq!(refused(builder).to_string(), what);
    }
}

#[test]
fn connect_must_be_one_the_version_allows() {
    // [MQTT-3.1.2-22] of 3.1.1: a password needs a user name; MQTT 5 has dropped that.
    let password = Credentials { username: None, password: Some(b"secret".to_vec()) };
    let error = refused(shed(Version::V311).credentials(password.clone()));
    assert!(matches!(error, BuildError::Connect(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(shed(Version::V5).credentials(password).build().is_ok());

    let error = refused(shed(Version::V311).authenticator(Anyone));
    assert_eq!(error.to_string(), "enhanced authentication needs MQTT 5");
    assert!(shed(Version::V5).authenticator(Anyone).build().is_ok());

    let will = || Will::new("w", "x").unwrap().qos(QoS::ExactlyOnce);
    let error = refused(shed(Version::V5).will(will().property(Property::TopicAlias(1))));
    assert!(matches!(error, BuildError::Connect(_)), "{error}");
    let twice = Property::ContentType("text/plain");
    let error = refused(shed(Version::V5).will(will().property(twice).property(twice)));
    assert!(matches!(error, BuildError::Connect(_)), "{error}");

    for version in VERSIONS {
        let error = refused(shed(version).client_id("x".repeat(65_536)));
        assert!(matches!(error, BuildError::Connect(_)), "{error}");
    }
    for topic in ["", "a/+", "#", "a\0"] {
        assert!(Will::new(topic, "x").is_err(), "{topic:?}");
    }
}
