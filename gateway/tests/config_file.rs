//! The configuration file says what is meant, and what is wrong in which line.

use std::time::Duration;

use everlink_gateway::core::{Limits, Predefined, WhenFull};
use everlink_gateway::runner::Config;

const WHOLE: &str = r#"
# Everything that there is.
listen = ["udp://127.0.0.1:10000", "udp://127.0.0.1:0?multicast=239.255.18.84:10000"]
broker = "mqtt://broker.local"
state = "/var/lib/gateway"
name = "cellar"
status = "house/gateways"
gateway-id = 3
nodes = 50
max-message = 60
allow = ["pump", "lamp-*"]

[timers]
retry = 2.5
retries = 4
patience = 1
session-expiry = 3600
advertise = 0

[buffer]
messages = 10
bytes = 1000
when-full = "latest"

[predefined]
1 = "house/one"

[node.pump]
predefined = { 1 = "cellar/one", 2 = "cellar/two" }
buffer = { messages = 20 }
"#;

#[test]
fn every_key_is_understood() {
    let config = Config::parse("gateway.toml", WHOLE).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert!(config.listen[1].multicast.is_some());
    assert_eq!(config.name, "cellar");
    assert_eq!(config.state.as_deref(), Some(std::path::Path::new("/var/lib/gateway")));
    assert_eq!((config.nodes, config.settings.gateway), (50, 3));
    assert_eq!(config.settings.retry, Duration::from_millis(2500));
    assert!(config.settings.advertise.is_zero());
    let limits = Limits { messages: 10, bytes: 1000, when_full: WhenFull::Latest };
    assert_eq!(config.admit("lamp-7"), Some(limits));
    assert_eq!(config.admit("pump"), Some(Limits { messages: 20, ..limits }));
    assert_eq!(config.admit("stranger"), None);
    assert_eq!(config.predefined.topic("lamp-7", 1), Some("house/one"));
    assert_eq!(config.predefined.topic("pump", 1), Some("cellar/one"));
    assert_eq!(config.predefined.topic("lamp-7", 2), None);
}

#[test]
fn two_lines_are_enough() {
    let text = "listen = [\"udp://0.0.0.0:10000\"]\nbroker = \"mqtt://broker.local\"\n";
    let config = Config::parse("gateway.toml", text).unwrap();
    assert_eq!(config.state, None);
    assert!(config.admit("anybody").is_some());
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases = [
        ("name = \"cellar\"", "nmae = \"cellar\"", "unknown field `nmae`"),
        ("retry = 2.5", "retry = \"soon\"", "invalid type: string \"soon\""),
        ("retry = 2.5", "retry = -1", "more than 0"),
        ("1 = \"house/one\"", "0 = \"house/one\"", "1 to 65534"),
        ("1 = \"house/one\"", "1 = \"house/+\"", "no wildcard"),
        ("when-full = \"latest\"", "when-full = \"panic\"", "drop-oldest"),
        ("nodes = 50", "nodes = 0", "from 1 to"),
        ("\"mqtt://broker.local\"", "\"smtp://broker.local\"", "broker address"),
        ("udp://127.0.0.1:10000", "tcp://127.0.0.1:10000", "udp://0.0.0.0:10000"),
        ("nodes = 50", "nodes = = 50", ""),
    ];
    for (right, wrong, problem) in cases {
        let line = WHOLE.lines().position(|line| line.contains(right)).unwrap() + 1;
        let error = Config::parse("gateway.toml", &WHOLE.replacen(right, wrong, 1)).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("gateway.toml, line {line} (")), "{wrong}: {said}");
        assert!(said.contains(wrong) && said.contains(problem), "{wrong}: {said}");
        assert!(!said.contains('\n'), "{said}");
    }
}
