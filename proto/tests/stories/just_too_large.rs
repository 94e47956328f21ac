//! What fits to the last byte is accepted; one byte more is refused, not queued for ever.

use everlink_proto::engine::{Engine as _, Refused, Subscription, Tag};
use everlink_proto::session::{Config, Queue};
use everlink_proto::topic::TopicFilter;
use everlink_proto::wire::{Properties, SubscribeOptions, Version};
use everlink_sim::host::Post;

use crate::support::*;

#[test]
fn a_message() {
    for (version, around) in [(Version::V311, 9), (Version::V5, 21)] {
        let cfg = Config { transmit_buffer: 64, ..config(version) };
        let mut s = script(cfg);
        let now = s.now();
        let topic = "t".repeat(64 - around);
        let longer = format!("{topic}t");
        assert!(s.hosts[0].post(now, Post::new(&topic, &[0; 500], Q1)).is_ok(), "{version:?}");
        let refused = s.hosts[0].post(now, Post::new(&longer, b"", Q1));
        assert_eq!(refused, Err(Refused::TooLarge));
    }
}

#[test]
fn a_message_that_no_queue_of_this_size_can_hold() {
    let queue = Queue { bytes: 100, ..Queue::default() };
    let mut s = script(Config { queue, ..config(Version::V5) });
    let now = s.now();
    assert_eq!(s.hosts[0].post(now, Post::new("t", &[0; 100], Q1)), Err(Refused::TooLarge));
    assert!(s.hosts[0].post(now, Post::new("t", &[0; 99], Q1)).is_ok());
    // Full to the last byte: this one may wait.
    assert_eq!(s.hosts[0].post(now, Post::new("t", b"", Q1)), Err(Refused::QueueFull));
}

#[test]
fn a_topic_filter() {
    let cfg = Config { transmit_buffer: 64, ..config(Version::V5) };
    let mut s = script(cfg);
    let now = s.now();
    let host = &mut s.hosts[0];
    for (len, right) in [(32, Ok(())), (33, Err(Refused::TooLarge)), (40, Err(Refused::TooLarge))] {
        let filter = "f".repeat(len);
        let (filter, options) = (TopicFilter::new(&filter).unwrap(), SubscribeOptions::new(Q1));
        let props = Properties::EMPTY;
        let sub = Subscription { filter, options, id: 0, props, tag: Tag::NONE };
        assert_eq!(host.engine.subscribe(now, &sub, &mut host.inbox), right, "{len}");
        assert_eq!(host.engine.unsubscribe(now, filter, Tag::NONE, &mut host.inbox), right);
    }
    let filter = TopicFilter::new("f").unwrap();
    for (id, right) in [(268_435_455, Ok(())), (268_435_456, Err(Refused::Invalid))] {
        let (options, props) = (SubscribeOptions::new(Q1), Properties::EMPTY);
        let sub = Subscription { filter, options, id, props, tag: Tag::NONE };
        assert_eq!(host.engine.subscribe(now, &sub, &mut host.inbox), right, "{id}");
    }
}
