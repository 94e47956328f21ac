//! Topic Names and Topic Filters against the plainest reading of section 4.7.

use everlink_proto::topic::{TopicFilter, TopicName};

/// Input: a Topic Filter, a line feed, a Topic Name.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, text));
    let name = TopicName::new(topic);
    assert_eq!(name.is_ok(), is_name(topic), "{topic:?}");
    let parsed = TopicFilter::new(filter);
    assert_eq!(parsed.is_ok(), is_filter(filter), "{filter:?}");
    let (Ok(parsed), Ok(_)) = (parsed, name) else { return };
    assert_eq!(parsed.is_shared(), filter.starts_with("$share/"));
    assert_eq!(parsed.matches(topic), matches(filter, topic), "{filter:?} on {topic:?}");
}

fn is_string(text: &str) -> bool {
    // [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
    !text.is_empty() && !text.contains('\0') && text.len() <= 65_535
}

fn is_name(text: &str) -> bool {
    is_string(text) && !text.contains(['+', '#'])
}

fn is_filter(text: &str) -> bool {
    if !is_string(text) {
        return false;
    }
    let levels: Vec<&str> = match text.split_once('/') {
        Some(("$share", rest)) => match rest.split_once('/') {
            // [MQTT-4.8.2-1] [MQTT-4.8.2-2]
            Some((share, rest)) if is_name(share) && !rest.is_empty() => rest.split('/').collect(),
            _ => return false,
        },
        _ => text.split('/').collect(),
    };
    let last = levels.len() - 1;
    levels.iter().enumerate().all(|(n, level)| match *level {
        "+" => true,
        "#" => n == last,
        level => !level.contains(['+', '#']),
    })
}

fn matches(filter: &str, topic: &str) -> bool {
    let filter = match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or("", |(_, filter)| filter),
        None => filter,
    };
    // [MQTT-4.7.2-1]
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (filter, topic): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    level_by_level(&filter, &topic)
}

fn level_by_level(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => level_by_level(filter, topic),
        ([a, filter @ ..], [b, topic @ ..]) if a == b => level_by_level(filter, topic),
        _ => false,
    }
}
