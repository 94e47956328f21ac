//! What the broker refuses is that call's error. The connection stays.

mod support;

use everlink::{NotDelivered, PublishError, QoS, ReasonCode, SubscribeError, Version};
use support::mosquitto::Mosquitto;
use support::{Direction, Kind, Proxy, VERSIONS, soon, text};

/// Everything may be done below `ok/`, nothing elsewhere.
const RIGHTS: &str = r#"{
    "defaultACLAccess": {
        "publishClientSend": false, "publishClientReceive": true,
        "subscribe": false, "unsubscribe": true
    },
    "anonymousGroup": "all",
    "groups": [{ "groupname": "all", "roles": [{ "rolename": "ok" }] }],
    "roles": [{ "rolename": "ok", "acls": [
        { "acltype": "publishClientSend", "topic": "ok/#", "allow": true },
        { "acltype": "subscribePattern", "topic": "ok/#", "allow": true }
    ] }]
}"#;

fn broker() -> Mosquitto {
    let plugin = [
        "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so",
        "/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so",
        "/usr/lib/mosquitto_dynamic_security.so",
    ];
    let plugin = plugin.iter().find(|p| std::path::Path::new(p).exists());
    let plugin = plugin.expect("mosquitto's plugin for rights is installed");
    Mosquitto::with_files(
        &format!(
            "allow_anonymous true\npersistence false\nplugin {plugin}\n\
             plugin_opt_config_file DIR/rights.json\n"
        ),
        &[("rights.json", RIGHTS)],
    )
}

#[tokio::test]
async fn a_refused_publish_is_its_own_error() {
    let broker = broker();
    let proxy = Proxy::start(broker.addr()).await.unwrap();
    let (client, _driver) = support::through(&proxy, Version::V5, "refused", |b| b);
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let refused = soon("refused", client.publish("secret", "x").qos(qos)).await;
        let Err(PublishError::NotDelivered(NotDelivered::Rejected(ack))) = refused else {
            panic!("{qos:?}: {refused:?}");
        };
        assert_eq!(ack.reason, ReasonCode::NOT_AUTHORIZED, "{qos:?}");
        soon("allowed", client.publish("ok/x", "x").qos(qos)).await.unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.rejected, stats.delivered, stats.outages), (2, 2, 0));
    assert_eq!(proxy.counters().joined, 1, "the connection stays");
}

#[tokio::test]
async fn a_refused_subscription_is_its_own_error() {
    for version in VERSIONS {
        let broker = broker();
        let proxy = Proxy::start(broker.addr()).await.unwrap();
        let (client, _driver) = support::through(&proxy, version, "refused", |b| b);
        let mut good = soon("granted", client.subscribe("ok/+", QoS::AtLeastOnce)).await.unwrap();
        let connections = proxy.counters().joined;

        let refused = soon("refused", client.subscribe("secret/#", QoS::AtLeastOnce)).await;
        let Err(SubscribeError::Rejected(ack)) = refused else { panic!("{refused:?}") };
        let reason = match version {
            Version::V311 => ReasonCode::UNSPECIFIED_ERROR,
            Version::V5 => ReasonCode::NOT_AUTHORIZED,
        };
        assert_eq!(ack.reason, reason);
        // Not awaited, it ends its stream.
        let mut refused = client.subscribe("secret/+", QoS::AtLeastOnce).open().unwrap();
        assert!(soon("the end", refused.next()).await.is_none());

        soon("publish", client.publish("ok/x", "still here").qos(QoS::ExactlyOnce)).await.unwrap();
        assert_eq!(text(&soon("message", good.next()).await.unwrap()), "still here");
        assert_eq!(client.stats().outages, 0, "{version:?}");
        assert_eq!(proxy.counters().joined, connections, "{version:?}: the connection stays");

        // A refused filter is not asked for again after an outage.
        let lost = proxy.position();
        proxy.reset().await;
        soon("publish", client.publish("ok/x", "again").qos(QoS::ExactlyOnce)).await.unwrap();
        let asked = proxy.since(lost);
        let asked = asked.iter().filter(|r| r.packet == Kind::Subscribe);
        assert_eq!(asked.filter(|r| r.direction == Direction::ToBroker).count(), 0);
    }
}
