//! Which topics a filter matches: the examples of section 4.7 of the specification, and borders.

use everlink_proto::topic::{TopicFilter, TopicName};
use proptest::prelude::*;

#[track_caller]
fn check(filter: &str, matching: &[&str], other: &[&str]) {
    let parsed = TopicFilter::new(filter).unwrap();
    for topic in matching {
        assert!(parsed.matches(topic), "{filter} should match {topic}");
    }
    for topic in other {
        assert!(!parsed.matches(topic), "{filter} should not match {topic}");
    }
}

#[test]
fn multi_level_wildcard() {
    // 4.7.1.2
    check(
        "sport/tennis/player1/#",
        &[
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
        &["sport/tennis", "sport/tennis/player10", "sport/tennis/player2/ranking"],
    );
    check("sport/#", &["sport", "sport/", "sport/tennis"], &["sports", "/sport", "spor"]);
    check("#", &["a", "/", "a/b/c", "//"], &["$SYS", "$SYS/x"]);
    check("/#", &["/", "/a", "/a/b", ""], &["a", "a/"]);
}

#[test]
fn single_level_wildcard() {
    // 4.7.1.3
    check(
        "sport/tennis/+",
        &["sport/tennis/player1", "sport/tennis/player2", "sport/tennis/"],
        &["sport/tennis/player1/ranking", "sport/tennis"],
    );
    check("sport/+", &["sport/"], &["sport"]);
    check("+", &["finance"], &["/finance", "finance/", "$SYS"]);
    check("+/+", &["/finance", "/", "a/b"], &["a", "a/b/c"]);
    check("/+", &["/finance"], &["//finance", "finance"]);
    check("+/tennis/#", &["sport/tennis", "/tennis/x", "a/tennis/b/c"], &["tennis", "a/b/tennis"]);
    check("sport/+/player1", &["sport/tennis/player1", "sport//player1"], &["sport/player1"]);
}

#[test]
fn dollar_topics() {
    // 4.7.2
    check("#", &["x"], &["$SYS/monitor/Clients"]);
    check("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]);
    check("+/#", &["a", "a/b"], &["$SYS/monitor"]);
    check("$SYS/#", &["$SYS", "$SYS/monitor/Clients"], &["SYS", "$sys/x"]);
    check("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor/a/b"]);
    // Only a leading `$` is special.
    check("a/+", &["a/$b"], &[]);
    check("a/#", &["a/$b/c"], &[]);
}

#[test]
fn no_wildcard() {
    // 4.7.3: case and slashes matter, spaces are characters.
    check(
        "ACCOUNTS",
        &["ACCOUNTS"],
        &["Accounts", "accounts", "ACCOUNTS/", "/ACCOUNTS", "ACCOUNT"],
    );
    check("Accounts payable", &["Accounts payable"], &["Accounts", "Accountspayable"]);
    check("/finance", &["/finance"], &["finance"]);
    check("a//b", &["a//b"], &["a/b", "a/x/b"]);
    check("é/漢", &["é/漢"], &["e/漢"]);
}

#[test]
fn shared_subscriptions() {
    // 4.8.2
    check("$share/g/sport/+", &["sport/tennis"], &["sport", "$share/g/sport/tennis"]);
    check("$share/g/#", &["a/b"], &["$SYS/x"]);
    check("$share/g/$SYS/#", &["$SYS/x"], &["x"]);
    check("$share/g//a", &["/a"], &["a"]);
}

fn levels(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

/// Matching as the specification describes it, level by level, on lists.
fn model(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        ([], []) | (["#"], _) => true,
        ([f, filter @ ..], [t, topic @ ..]) => (*f == "+" || f == t) && model(filter, topic),
        _ => false,
    }
}

proptest! {
    #[test]
    fn agrees_with_the_recursive_definition(
        topic in "[ab$]{0,2}(/[ab]{0,1}){0,3}",
        filter in "([ab$]{0,1}|\\+)(/([ab]{0,1}|\\+)){0,3}(/#)?",
    ) {
        let Ok(topic) = TopicName::new(&topic) else { return Ok(()) };
        let topic = topic.as_str();
        let Ok(parsed) = TopicFilter::new(&filter) else { return Ok(()) };
        let (f, t) = (levels(&filter), levels(topic));
        let hidden = topic.starts_with('$') && matches!(f[0], "+" | "#");
        prop_assert_eq!(parsed.matches(topic), model(&f, &t) && !hidden);
    }
}
