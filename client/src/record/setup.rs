//! How the engine was made.

use std::time::Duration;

use everlink_proto::session::{Backoff, Config, FirstConnect, Ladder, Queue};
use everlink_proto::wire::Version;

use super::format::{Get, Put};

/// What begins a recording.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Secrets were written over.
    pub(super) masked: bool,
    /// When the engine's clock began: microseconds since 1970, UTC.
    pub(super) began: u64,
    /// Which everlink wrote it.
    pub(super) by: String,
    pub(super) config: Config,
}

impl Setup {
    pub(super) fn put(&self, put: &mut Put) {
        put.byte(self.masked.into()).number(self.began).text(&self.by);
        config(&self.config, put);
    }

    pub(super) fn get(get: &mut Get<'_>) -> Option<Self> {
        let (masked, began, by) = (get.flag()?, get.number()?, get.text()?.to_owned());
        Some(Self { masked, began, by, config: read(get)? })
    }
}

/// Every field, taken apart by name so that none is forgotten.
// long: a list of fields
fn config(config: &Config, put: &mut Put) {
    let Config {
        version,
        keep_alive,
        ping_interval,
        response_time,
        adaptive,
        open_timeout,
        max_repeats,
        clean_start,
        clean_reconnect,
        session_expiry,
        ephemeral,
        receive_maximum,
        maximum_packet_size,
        largest_in_pieces,
        transmit_buffer,
        window,
        queue: Queue { messages, bytes, when_full },
        backoff: Backoff { min, max, refused, stable },
        first_connect,
        endpoints,
        shared_links,
        return_after,
        ladder:
            Ladder { pipe_hold, link_after, link_hold, device_after, device_hold, spare_working },
        topic_alias_maximum,
        topic_aliases,
        first_packet_id,
        seed,
    } = config;
    put.byte(match version {
        Version::V311 => 4,
        Version::V5 => 5,
    });
    for flag in [adaptive, clean_start, clean_reconnect, ephemeral, spare_working] {
        put.byte((*flag).into());
    }
    for small in [keep_alive, receive_maximum, window, endpoints, topic_alias_maximum] {
        put.number((*small).into());
    }
    put.number((*topic_aliases).into()).number((*first_packet_id).into());
    put.byte(*max_repeats);
    for number in [
        session_expiry,
        maximum_packet_size,
        largest_in_pieces,
        link_after,
        device_after,
        shared_links,
    ] {
        put.number((*number).into());
    }
    for size in [transmit_buffer, messages, bytes] {
        put.number(*size as u64);
    }
    put.policy(*when_full);
    let times = [ping_interval, response_time, open_timeout, min, max, refused, stable];
    for time in times.into_iter().chain([pipe_hold, link_hold, device_hold, return_after]) {
        put.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
    match first_connect {
        FirstConnect::Fail => put.byte(0),
        FirstConnect::Retry(times) => put.byte(1).number((*times).into()),
        FirstConnect::Forever => put.byte(2),
    };
    put.number(*seed);
}

// long: a list of fields
fn read(get: &mut Get<'_>) -> Option<Config> {
    let mut config = Config::default();
    let c = &mut config;
    c.version = match get.byte()? {
        4 => Version::V311,
        5 => Version::V5,
        _ => return None,
    };
    for flag in [
        &mut c.adaptive,
        &mut c.clean_start,
        &mut c.clean_reconnect,
        &mut c.ephemeral,
        &mut c.ladder.spare_working,
    ] {
        *flag = get.flag()?;
    }
    for small in [
        &mut c.keep_alive,
        &mut c.receive_maximum,
        &mut c.window,
        &mut c.endpoints,
        &mut c.topic_alias_maximum,
        &mut c.topic_aliases,
        &mut c.first_packet_id,
    ] {
        *small = get.small()?;
    }
    c.max_repeats = get.byte()?;
    for number in [
        &mut c.session_expiry,
        &mut c.maximum_packet_size,
        &mut c.largest_in_pieces,
        &mut c.ladder.link_after,
        &mut c.ladder.device_after,
        &mut c.shared_links,
    ] {
        *number = get.small()?;
    }
    for size in [&mut c.transmit_buffer, &mut c.queue.messages, &mut c.queue.bytes] {
        *size = get.small()?;
    }
    c.queue.when_full = get.policy()?;
    for time in [
        &mut c.ping_interval,
        &mut c.response_time,
        &mut c.open_timeout,
        &mut c.backoff.min,
        &mut c.backoff.max,
        &mut c.backoff.refused,
        &mut c.backoff.stable,
        &mut c.ladder.pipe_hold,
        &mut c.ladder.link_hold,
        &mut c.ladder.device_hold,
        &mut c.return_after,
    ] {
        *time = Duration::from_nanos(get.number()?);
    }
    c.first_connect = match get.byte()? {
        0 => FirstConnect::Fail,
        1 => FirstConnect::Retry(get.small()?),
        2 => FirstConnect::Forever,
        _ => return None,
    };
    c.seed = get.number()?;
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_configuration_survives() {
        // Written in their order, so that no two fields can be swapped unnoticed.
        let config = Config {
            version: Version::V311,
            keep_alive: 2,
            ping_interval: Duration::from_millis(3),
            response_time: Duration::from_millis(4),
            adaptive: true,
            open_timeout: Duration::from_millis(5),
            max_repeats: 6,
            clean_start: false,
            clean_reconnect: true,
            session_expiry: u32::MAX,
            ephemeral: true,
            receive_maximum: 8,
            maximum_packet_size: 9,
            largest_in_pieces: 10,
            transmit_buffer: 11,
            window: 12,
            queue: Queue {
                messages: usize::MAX,
                bytes: 14,
                when_full: everlink_proto::engine::WhenFull::Latest,
            },
            backoff: Backoff {
                min: Duration::from_millis(15),
                max: Duration::from_millis(16),
                refused: Duration::from_millis(17),
                stable: Duration::from_millis(18),
            },
            first_connect: FirstConnect::Retry(19),
            endpoints: 20,
            shared_links: 201,
            return_after: Duration::from_millis(202),
            ladder: Ladder {
                pipe_hold: Duration::from_millis(21),
                link_after: 22,
                link_hold: Duration::from_millis(23),
                device_after: 24,
                device_hold: Duration::from_millis(25),
                spare_working: true,
            },
            topic_alias_maximum: 26,
            topic_aliases: 27,
            first_packet_id: 28,
            seed: u64::MAX,
        };
        let setup = Setup { masked: true, began: 29, by: "0.1.0".into(), config };
        let mut put = Put::default();
        setup.put(&mut put);
        let again = Setup::get(&mut Get(&put.0)).expect("a setup");
        assert_eq!(format!("{again:?}"), format!("{setup:?}"));
    }
}
