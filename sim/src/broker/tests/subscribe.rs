use everlink_proto::wire::{RetainHandling, Unsubscribe, UnsubscribeFilters};

use super::*;

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

fn up_to(qos: QoS) -> SubscribeOptions {
    SubscribeOptions::new(qos)
}

impl Bench {
    fn publish(&mut self, topic: &str, payload: &[u8], qos: QoS, retain: bool) {
        self.broker.publish(self.now, topic, payload, qos, retain);
    }
}

#[test]
fn messages_reach_subscribers_at_the_lower_qos() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new();
        b.client(1, version, "c");
        assert!(b.subscribe(1, "a/+", up_to(Q1))[0].contains("codes: [1]"));
        b.publish("a/b", b"2", Q2, false);
        b.publish("a/b", b"0", Q0, false);
        b.publish("b", b"-", Q2, false);
        let got = b.take(1);
        assert_eq!(got, [r#"PUBLISH q1 #1 "a/b" "2""#, r#"PUBLISH q0 "a/b" "0""#]);
        b.send(1, ack(AckKind::PubAck, 1));
        assert_eq!(b.broker.backlog("c"), 0);
        let filters = UnsubscribeFilters::from_list(&["a/+", "x"]);
        b.ask(1, Unsubscribe { pid: pid(3), props: Properties::EMPTY, filters });
        b.publish("a/b", b"2", Q2, false);
        assert!(b.take(1).is_empty());
    }
}

#[test]
fn unacknowledged_messages_come_again_in_order_after_a_resume() {
    for version in [Version::V311, Version::V5] {
        let mut b = Bench::new();
        b.client(1, version, "c");
        b.subscribe(1, "t", up_to(Q2));
        for qos in [Q1, Q2, Q2] {
            b.publish("t", b"x", qos, false);
        }
        b.take(1);
        assert_eq!(b.ask(1, ack(AckKind::PubRec, 2)), ["PUBREL #2"]);
        b.drop(1);
        b.publish("t", b"offline", Q1, false);
        b.publish("t", b"lost", Q0, false);
        b.broker.opened(b.now, PipeId(2));
        b.versions.insert(2, version);
        let list = [Property::SessionExpiryInterval(60)];
        let props = Properties::from_list(&list);
        let got = {
            b.send(2, Connect { client_id: "c", props, ..Connect::default() });
            b.take(2)
        };
        assert_eq!(
            got[1..],
            [
                r#"PUBLISH q1 #1 dup "t" "x""#,
                "PUBREL #2",
                r#"PUBLISH q2 #3 dup "t" "x""#,
                r#"PUBLISH q1 #4 "t" "offline""#,
            ]
        );
    }
}

#[test]
fn the_clients_receive_maximum_holds_messages_back() {
    let mut b = Bench::new();
    let list = [Property::ReceiveMaximum(2)];
    let props = Properties::from_list(&list);
    b.connect(1, Version::V5, Connect { client_id: "c", props, ..Connect::default() });
    b.subscribe(1, "t", up_to(Q2));
    for qos in [Q1, Q2, Q1] {
        b.publish("t", b"x", qos, false);
    }
    assert_eq!(b.take(1).len(), 2);
    b.send(1, ack(AckKind::PubRec, 2));
    assert_eq!(b.take(1), ["PUBREL #2"]);
    assert_eq!(b.ask(1, ack(AckKind::PubComp, 2)), [r#"PUBLISH q1 #3 "t" "x""#]);
}

#[test]
fn what_the_client_cannot_take_is_not_sent() {
    let mut b = Bench::new();
    let list = [Property::MaximumPacketSize(40)];
    let props = Properties::from_list(&list);
    b.connect(1, Version::V5, Connect { client_id: "c", props, ..Connect::default() });
    b.subscribe(1, "t", up_to(Q1));
    b.publish("t", &[0; 50], Q1, false);
    b.publish("t", b"small", Q1, false);
    assert_eq!(b.take(1), [r#"PUBLISH q1 #2 "t" "small""#]);
    assert_eq!(b.broker.backlog("c"), 1);
}

#[test]
fn aliases_shorten_repeated_topics() {
    let mut b = Bench::new();
    b.broker.cfg.use_aliases = true;
    let list = [Property::TopicAliasMaximum(1)];
    let props = Properties::from_list(&list);
    b.connect(1, Version::V5, Connect { client_id: "c", props, ..Connect::default() });
    b.subscribe(1, "#", up_to(Q0));
    for topic in ["a", "a", "b"] {
        b.publish(topic, b"x", Q0, false);
    }
    let got = b.take(1);
    assert_eq!(got[0], r#"PUBLISH q0 "a" "x" [topic-alias: 1]"#);
    assert_eq!(got[1], r#"PUBLISH q0 "" "x" [topic-alias: 1]"#);
    assert_eq!(got[2], r#"PUBLISH q0 "b" "x""#);
}

#[test]
fn overlapping_subscriptions_give_one_message_with_all_identifiers() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    for (id, filter, qos) in [(4, "a/#", Q0), (5, "a/b", Q2)] {
        let (list, id) = ([(filter, up_to(qos))], [Property::SubscriptionIdentifier(id)]);
        let (props, filters) = (Properties::from_list(&id), Filters::from_list(&list));
        b.ask(1, Subscribe { pid: pid(9), props, filters });
    }
    b.publish("a/b", b"x", Q2, false);
    let wanted =
        r#"PUBLISH q2 #1 "a/b" "x" [subscription-identifier: 4, subscription-identifier: 5]"#;
    assert_eq!(b.take(1), [wanted]);
}

#[test]
fn no_local_and_retain_as_published() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.client(2, Version::V5, "d");
    b.subscribe(1, "t", SubscribeOptions { no_local: true, ..up_to(Q0) });
    b.subscribe(2, "t", SubscribeOptions { retain_as_published: true, ..up_to(Q0) });
    b.send(1, Publish { retain: true, ..message("t", Q0, 0) });
    assert!(b.take(1).is_empty());
    assert_eq!(b.take(2), [r#"PUBLISH q0 retain "t" "m""#]);
    b.send(2, Publish { retain: true, ..message("t", Q0, 0) });
    assert_eq!(b.take(1), [r#"PUBLISH q0 "t" "m""#]);
}

#[test]
fn retained_messages_come_as_the_options_say() {
    let mut b = Bench::new();
    b.publish("r/1", b"one", Q1, true);
    b.publish("r/2", b"two", Q1, true);
    b.publish("r/2", b"", Q1, true);
    b.client(1, Version::V5, "c");
    let got = b.subscribe(1, "r/+", up_to(Q0));
    assert_eq!(got[1..], [r#"PUBLISH q0 retain "r/1" "one""#]);
    let handling = |retain_handling| SubscribeOptions { retain_handling, ..up_to(Q0) };
    assert_eq!(b.subscribe(1, "r/+", handling(RetainHandling::IfNew)).len(), 1);
    assert_eq!(b.subscribe(1, "r/#", handling(RetainHandling::IfNew)).len(), 2);
    assert_eq!(b.subscribe(1, "#", handling(RetainHandling::Never)).len(), 1);
    assert_eq!(b.subscribe(1, "r/+", handling(RetainHandling::AtSubscribe)).len(), 2);
    assert_eq!(b.broker.retained("r/1"), Some(b"one".as_slice()));
    assert_eq!(b.broker.retained("r/2"), None);
}

#[test]
fn a_share_gives_each_message_to_one_member() {
    let mut b = Bench::new();
    for (id, name) in [(1, "a"), (2, "b"), (3, "c")] {
        b.client(id, Version::V5, name);
        b.subscribe(id, "$share/g/t", up_to(Q0));
    }
    for _ in 0..30 {
        b.publish("t", b"x", Q0, false);
    }
    let counts = [b.take(1).len(), b.take(2).len(), b.take(3).len()];
    assert_eq!(counts, [10, 10, 10]);
    b.drop(2);
    for _ in 0..10 {
        b.publish("t", b"x", Q0, false);
    }
    assert_eq!(b.take(1).len() + b.take(3).len(), 10);
}

#[test]
fn expired_messages_are_not_delivered_and_others_say_what_is_left() {
    let mut b = Bench::new();
    b.client(1, Version::V5, "c");
    b.subscribe(1, "t", up_to(Q1));
    b.drop(1);
    b.client(2, Version::V5, "p");
    for secs in [5, 20] {
        let list = [Property::MessageExpiryInterval(secs)];
        b.send(2, Publish { props: Properties::from_list(&list), ..message("t", Q0, 0) });
        b.send(2, Publish { props: Properties::from_list(&list), ..message("t", Q1, 1) });
    }
    b.pass(8);
    b.client(1, Version::V5, "c");
    let mut again = b.take(1);
    again.retain(|line| line.starts_with("PUBLISH"));
    assert!(again.is_empty());
    // `client` took them with the CONNACK, so look at what is in flight.
    assert_eq!(b.broker.backlog("c"), 1);
    b.drop(1);
    b.broker.opened(b.now, PipeId(3));
    b.versions.insert(3, Version::V5);
    let got = b.ask(3, Connect { client_id: "c", ..Connect::default() });
    assert_eq!(got[1], r#"PUBLISH q1 #1 dup "t" "m" [message-expiry-interval: 12]"#);
}

#[test]
fn a_subscription_is_refused_by_rule_or_by_limits() {
    let mut b = Bench::new();
    b.broker.faults.refuse_subscribe.push(("no".to_owned(), ReasonCode::NOT_AUTHORIZED));
    b.broker.cfg.wildcards_available = false;
    b.broker.cfg.shared_available = false;
    b.client(1, Version::V5, "c");
    assert!(b.subscribe(1, "no", up_to(Q0))[0].contains("codes: [135]"));
    assert!(b.broker.subscriptions("c").is_empty());
    assert!(b.subscribe(1, "a/+", up_to(Q0))[0].contains("codes: [162]"));
    assert!(b.subscribe(1, "$share/g/a", up_to(Q0))[0].contains("codes: [158]"));
    assert_eq!(b.rules().len(), 2);
    assert_eq!(b.broker.subscribes().len(), 3);
}
