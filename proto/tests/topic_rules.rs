//! Which Topic Names and Topic Filters exist: sections 4.7 and 4.8.2 of the specification.

use everlink_proto::topic::{TopicError as E, TopicFilter, TopicName};

// [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]
#[test]
fn names() {
    for name in ["a", "/", "//", "/finance", " ", "sport/tennis/player1", "$SYS/x", "åß/漢", "$"]
    {
        assert_eq!(TopicName::new(name).map(TopicName::as_str), Ok(name));
    }
    let bad = [
        ("", E::Empty),
        ("a\0b", E::Nul),
        ("\0", E::Nul),
        ("+", E::WildcardInName),
        ("a/#", E::WildcardInName),
        ("a+b", E::WildcardInName),
        // U+0000 is named first: it is wrong everywhere.
        ("#\0", E::Nul),
    ];
    for (name, fault) in bad {
        assert_eq!(TopicName::new(name), Err(fault), "{name:?}");
    }
}

#[test]
fn a_bad_character_is_found_wherever_it_is() {
    for len in 1..40 {
        for at in 0..len {
            for bad in ['\0', '+', '#'] {
                let mut name = "x".repeat(len);
                name.replace_range(at..=at, &bad.to_string());
                let fault = if bad == '\0' { E::Nul } else { E::WildcardInName };
                assert_eq!(TopicName::new(&name), Err(fault), "{name:?}");
            }
            // Neighbours of the bad ones in the code table, and what differs by the top bit.
            for good in ['\u{1}', '*', ',', '"', '$', '\u{80}', '\u{ab}', '\u{a3}'] {
                let mut name = "x".repeat(len);
                name.replace_range(at..=at, &good.to_string());
                assert!(TopicName::new(&name).is_ok(), "{name:?}");
            }
        }
    }
}

// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
#[test]
fn filters() {
    let good = [
        "a",
        "#",
        "+",
        "/",
        "/+",
        "+/+",
        "+/",
        "+/tennis/#",
        "sport/#",
        "sport/+/player1",
        "$SYS/#",
        "$SYS/monitor/+",
        "a/+/+/#",
        "//#",
        "$share",
        "$shared/x",
        "$share/g/a",
        "$share/g/#",
        "$share/g/+/b",
        "$share/g//",
        "$share/g//a",
        "$share/g/$share/h/a",
    ];
    for filter in good {
        assert_eq!(TopicFilter::new(filter).map(TopicFilter::as_str), Ok(filter));
    }
    let bad = [
        ("", E::Empty),
        ("a\0", E::Nul),
        ("sport/tennis#", E::WildcardNotAlone),
        ("sport/tennis/#/ranking", E::HashNotLast),
        ("sport+", E::WildcardNotAlone),
        ("+a", E::WildcardNotAlone),
        ("++", E::WildcardNotAlone),
        ("##", E::WildcardNotAlone),
        ("a/#b", E::WildcardNotAlone),
        ("#/", E::HashNotLast),
        ("#/#", E::HashNotLast),
        ("$share/", E::BadShareName),
        ("$share//a", E::BadShareName),
        ("$share/+/a", E::BadShareName),
        ("$share/a#/b", E::BadShareName),
        ("$share/g", E::NoSharedFilter),
        ("$share/g/", E::NoSharedFilter),
        ("$share/g/a#", E::WildcardNotAlone),
        ("$share/g/#/b", E::HashNotLast),
    ];
    for (filter, fault) in bad {
        assert_eq!(TopicFilter::new(filter), Err(fault), "{filter:?}");
    }
}

// [MQTT-4.7.3-3]
#[test]
fn the_longest() {
    let longest = "x".repeat(65_535);
    assert!(TopicName::new(&longest).is_ok());
    assert!(TopicFilter::new(&longest).is_ok());
    let longer = "x".repeat(65_536);
    assert_eq!(TopicName::new(&longer), Err(E::TooLong));
    assert_eq!(TopicFilter::new(&longer), Err(E::TooLong));
}

#[test]
fn parts_of_a_shared_subscription() {
    let share = |filter| TopicFilter::new(filter).unwrap().share();
    assert_eq!(share("$share/consumer1/sport/tennis/+"), Some(("consumer1", "sport/tennis/+")));
    assert_eq!(share("$share/g//a"), Some(("g", "/a")));
    assert_eq!(share("sport/$share/g/a"), None);
    assert!(TopicFilter::new("$share/g/a").unwrap().is_shared());
    assert!(!TopicFilter::new("$share").unwrap().is_shared());
}

#[test]
fn errors_tell_people_what_to_do() {
    assert_eq!(E::HashNotLast.to_string(), "'#' is the last level of a filter");
}
