//! The lists are whole, tags are found, and what is missing is noticed.

use super::tags::Kind;
use super::*;

#[test]
fn the_lists_are_those_of_appendix_b() {
    let [v5, v311] = editions().unwrap();
    assert_eq!((v5.statements.len(), v311.statements.len()), (251, 141));
}

#[test]
fn a_line_that_is_none_is_refused() {
    for (text, wrong) in [
        ("MQTT-1 | nobody | says", "v5.txt:1"),
        ("# remark\nMQTT-1 | both", "v5.txt:2"),
        ("MQTT-1 | both | a | b | c", "v5.txt:1"),
        ("MQTT-1 | both | a\nMQTT-1 | both | b", "twice"),
    ] {
        let error = statements::parse(text, "v5.txt").unwrap_err();
        assert!(error.contains(wrong), "{error}");
    }
}

/// In two halves, so that this file has no tag of its own that would be found.
fn tag(id: &str) -> String {
    format!("[MQTT{id}]")
}

#[test]
fn tags_are_found_with_their_function() {
    let text = format!(
        "/// {a} why\n#[inline]\npub(super) fn one<T>() {{\n    // {b} of 3.1.1: why\n    two()\n}}\n\
         #[cfg(test)]\nmod tests {{\n    fn three() {{\n        check(); // {a} {c}\n    }}\n}}\n",
        a = tag("-4.6.0-1"),
        b = tag("-3.1.2-22"),
        c = tag("-4.6.0-2"),
    );
    let tags = tags::in_file("proto/src/a.rs", &text);
    let seen: Vec<_> = tags.iter().map(|t| (t.line, t.edition, t.id.as_str(), t.kind)).collect();
    let expected = [
        (1, "5.0", "MQTT-4.6.0-1", Kind::Code),
        (4, "3.1.1", "MQTT-3.1.2-22", Kind::Code),
        (10, "5.0", "MQTT-4.6.0-1", Kind::Test),
        (10, "5.0", "MQTT-4.6.0-2", Kind::Test),
    ];
    assert_eq!(seen, expected);
    let statements = statements::parse("MQTT-4.6.0-1 | client | x", "v5.txt").unwrap();
    let evidence = tags::of(&tags, "5.0", &statements[0]);
    assert_eq!(evidence.code, ["`proto/a::one`"]);
    assert_eq!(evidence.tests, ["`proto/a::three`"]);
}

#[test]
fn only_a_client_is_code() {
    let kind = |file: &str| tags::in_file(file, &format!("// {}", tag("-4.6.0-1")))[0].kind;
    assert_eq!(kind("proto/src/session/acks.rs"), Kind::Code);
    assert_eq!(kind("proto/tests/stories/will.rs"), Kind::Test);
    assert_eq!(kind("sim/src/check/mod.rs"), Kind::Test);
    assert_eq!(kind("sim/src/broker/deliver.rs"), Kind::Other);
    assert_eq!(kind("sim/src/broker/tests/publish.rs"), Kind::Other);
}

#[test]
fn what_is_missing_is_told() {
    let list =
        "MQTT-1.5.4-1 | both | a\nMQTT-1.5.4-2 | server | b\nMQTT-1.5.4-3 | client | c | why";
    let statements = statements::parse(list, "v5.txt").unwrap();
    let editions = [Edition { name: "5.0", statements }];
    let code = tags::in_file("proto/src/a.rs", &format!("// {}", tag("-1.5.4-1")));
    assert_eq!(
        offences(&editions, &code),
        ["MQTT 5.0, MQTT-1.5.4-1: no test says that it shows this"]
    );
    assert_eq!(offences(&editions, &[]).len(), 2);
    let wrong = tags::in_file("proto/tests/a.rs", &format!("\n// {}", tag("-9.9.9-9")));
    let found = offences(&editions, &wrong);
    assert_eq!(found[0], "proto/tests/a.rs:2: MQTT 5.0 has no statement MQTT-9.9.9-9");
}
