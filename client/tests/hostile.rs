//! A broker that says anything: a typed fault and a new attempt, never a panic, never a busy loop.

mod support;

use std::time::Duration;

use everlink::{Cause, Client, QoS, ReasonCode, Version};
use everlink_proto::wire::{
    Ack, AckKind, Auth, ConnAck, Disconnect, Packet, PacketId, PacketType, Properties, Property,
    Publish, SubAck, UnsubAck,
};
use support::memory::{Listener, MemoryLink, Path};
use support::peer::Peer;
use support::{VERSIONS, over_memory, soon, spawn, text};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

type Running = JoinHandle<everlink::Stopped<MemoryLink>>;

struct Victim {
    version: Version,
    client: Client,
    path: Path,
    listener: Listener,
    running: Running,
}

impl Victim {
    fn new(version: Version) -> Self {
        Self::with(version, |b| b.maximum_packet_size(4096))
    }

    fn with(version: Version, shape: impl FnOnce(everlink::Builder) -> everlink::Builder) -> Self {
        let (client, driver, path, listener) = over_memory(version, shape);
        let running = spawn(driver);
        Self { version, client, path, listener, running }
    }

    async fn accept(&mut self) -> Peer {
        // After some refusals the pause is 30 s.
        let io = timeout(Duration::from_secs(60), self.listener.accept()).await;
        Peer::new(io.expect("an attempt"), self.version)
    }

    /// A connection that is up.
    async fn up(&mut self) -> Peer {
        loop {
            let mut peer = self.accept().await;
            peer.accept(false, &[]).await;
            // An attempt that was given up meanwhile is of no use.
            if timeout(Duration::from_millis(10), self.client.up()).await.is_ok() {
                return peer;
            }
        }
    }

    /// What the client says broke.
    async fn fault(&self) -> Cause {
        let mut watch = self.client.watch();
        let down = watch.wait_for(|s| !s.is_up() && s.fault.is_some());
        let state = timeout(Duration::from_secs(120), down).await.expect("a fault").unwrap();
        state.fault.unwrap().cause
    }

    /// After all that, a good broker finds a good client.
    async fn is_well(&mut self) {
        assert!(!self.running.is_finished(), "the driver stopped");
        let publish = self.client.publish("t", "fine").qos(QoS::ExactlyOnce);
        let delivery = soon("room", publish.accepted()).await.unwrap();
        let serving = async {
            loop {
                let mut peer = self.accept().await;
                let Some(got) = peer.next().await else { continue };
                assert_eq!(got.kind(), PacketType::Connect);
                peer.connack(false, ReasonCode::SUCCESS, &[]).await;
                peer.serve().await;
            }
        };
        tokio::select! {
            () = serving => {}
            outcome = timeout(Duration::from_secs(300), delivery) => {
                assert!(outcome.expect("it is delivered").is_delivered());
            }
        }
        self.path.cut();
        sleep(Duration::from_millis(1)).await;
    }
}

/// Small, fast, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// One of each packet a server may send.
fn good_packets(version: Version) -> Vec<Vec<u8>> {
    let pid = PacketId::new(1).unwrap();
    let v5 = version == Version::V5;
    let list = [
        Property::UserProperty("a", "b"),
        Property::ContentType("c"),
        Property::SubscriptionIdentifier(1),
        Property::TopicAlias(2),
    ];
    let props = if v5 { Properties::from_list(&list) } else { Properties::EMPTY };
    let publish = |qos, pid, dup| {
        let (retain, topic, payload) = (false, "t/u", &b"payload"[..]);
        Packet::Publish(Publish { dup, qos, retain, topic, pid, props, payload })
    };
    let success = ReasonCode::SUCCESS;
    let mut packets = vec![
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason: success,
            props: Properties::EMPTY,
        }),
        publish(QoS::AtMostOnce, None, false),
        publish(QoS::AtLeastOnce, Some(pid), false),
        publish(QoS::ExactlyOnce, Some(pid), true),
        Packet::SubAck(SubAck { pid, props: Properties::EMPTY, codes: &[1] }),
        Packet::UnsubAck(UnsubAck {
            pid,
            props: Properties::EMPTY,
            codes: if v5 { &[0] } else { &[] },
        }),
        Packet::PingResp,
        Packet::PingReq,
    ];
    for kind in [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp] {
        packets.push(Packet::Ack(Ack::new(kind, pid)));
    }
    if v5 {
        packets.push(Packet::Disconnect(Disconnect { reason: success, props: Properties::EMPTY }));
        packets.push(Packet::Auth(Auth {
            reason: ReasonCode::CONTINUE_AUTHENTICATION,
            props: Properties::EMPTY,
        }));
    }
    let encode = |packet: &Packet<'_>| {
        let mut bytes = vec![0; packet.encoded_len(version)];
        let n = packet.encode(version, &mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    };
    packets.iter().map(encode).collect()
}

fn mutate(random: &mut Random, packet: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(packet.len().max(1));
        match random.below(5) {
            0 if !packet.is_empty() => packet[at] ^= 1 << random.below(8),
            1 if !packet.is_empty() => packet[at] = random.next() as u8,
            2 => packet.truncate(at),
            3 => packet.insert(at, random.next() as u8),
            _ => packet.extend(random.bytes(3)),
        }
    }
}

/// Lets the server say something, with and without a proper beginning, and in slices.
async fn attack(victim: &mut Victim, random: &mut Random, says: &[u8]) {
    let mut peer = victim.accept().await;
    if random.below(3) > 0 {
        peer.accept(random.below(2) == 0, &[]).await;
        let _ = victim.client.publish("t", "x").qos(QoS::ExactlyOnce).send();
    }
    for slice in says.chunks(1 + random.below(says.len().max(1))) {
        peer.send_raw(slice).await;
        sleep(Duration::from_millis(random.next() % 3)).await;
    }
    if random.below(2) == 0 {
        // The client's word, if it has one; then the end.
        let _ = timeout(Duration::from_millis(5), peer.recv()).await;
    }
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn random_bytes() {
    for version in VERSIONS {
        let mut victim = Victim::new(version);
        for seed in 0..400 {
            let mut random = Random(seed);
            let n = 1 + random.below(200);
            let bytes = random.bytes(n);
            attack(&mut victim, &mut random, &bytes).await;
        }
        victim.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn mutated_packets() {
    for version in VERSIONS {
        let packets = good_packets(version);
        let mut victim = Victim::new(version);
        let mut stream = victim.client.subscribe("#", QoS::ExactlyOnce).open().unwrap();
        for seed in 0..1500 {
            let mut random = Random(seed);
            let mut says = Vec::new();
            for _ in 0..=random.below(6) {
                let mut packet = packets[random.below(packets.len())].clone();
                if random.below(2) == 0 {
                    mutate(&mut random, &mut packet);
                }
                says.extend(packet);
            }
            attack(&mut victim, &mut random, &says).await;
            while stream.try_next().is_some() {}
        }
        victim.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named() {
    use ReasonCode as R;
    let wrong: &[(&[u8], R)] = &[
        (&[0x20, 2, 2, 0], R::MALFORMED_PACKET), // reserved flags [MQTT-3.2.2-1]
        (&[0x21, 2, 0, 0], R::MALFORMED_PACKET), // reserved bits of the header
        (&[0x20, 2, 1, 0], R::PROTOCOL_ERROR),   // a session we asked to be discarded
        (&[0x20, 1, 0], R::MALFORMED_PACKET),    // too short
        (&[0xd0, 0], R::PROTOCOL_ERROR),         // PINGRESP before CONNACK
        (&[0x40, 2, 0, 1], R::PROTOCOL_ERROR),   // PUBACK before CONNACK
        (&[0x00, 0], R::MALFORMED_PACKET),       // no packet type
        (&[0x20, 0xff, 0xff, 0xff, 0xff], R::MALFORMED_PACKET),
    ];
    for (bytes, reason) in wrong {
        // A plain clean session: nothing but CONNACK without a session is right.
        let shape = |b: everlink::Builder| b.clean_reconnect(true);
        let mut victim = Victim::with(Version::V311, shape);
        let mut peer = victim.accept().await;
        peer.expect(PacketType::Connect).await;
        peer.send_raw(bytes).await;
        let cause = victim.fault().await;
        let Cause::Protocol(named) = cause else { panic!("{bytes:02x?}: {cause:?}") };
        assert_eq!(named, *reason, "{bytes:02x?}");
        victim.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_on_a_connection_is_named_and_told() {
    use ReasonCode as R;
    let wrong: &[(&[u8], R)] = &[
        (&[0x20, 3, 0, 0, 0], R::PROTOCOL_ERROR), // a second CONNACK
        (&[0xc0, 0], R::MALFORMED_PACKET),        // PINGREQ is not for servers
        (&[0x36, 5, 0, 1, b't', 0, 1, 0], R::MALFORMED_PACKET), // QoS 3
        (&[0x32, 6, 0, 1, b't', 0, 0, 0], R::PROTOCOL_ERROR), // Packet Identifier 0
        (&[0x30, 4, 0, 1, b'#', 0], R::MALFORMED_PACKET),
        (&[0x30, 3, 0, 0, 0], R::PROTOCOL_ERROR), // neither topic nor alias
        (&[0x30, 6, 0, 0, 3, 35, 0, 7], R::TOPIC_ALIAS_INVALID), // an alias never set
        (&[0x30, 7, 0, 1, b't', 3, 35, 0xff, 0xff], R::TOPIC_ALIAS_INVALID),
        (&[0x30, 9, 0, 1, b't', 4, 1, 1, 1, 0, b'x'], R::PROTOCOL_ERROR), // a property twice
        (&[0xf0, 2, 0x18, 0], R::PROTOCOL_ERROR),                         // AUTH nobody asked for
    ];
    for (bytes, reason) in wrong {
        let mut victim = Victim::new(Version::V5);
        let mut peer = victim.up().await;
        peer.send_raw(bytes).await;
        let got = peer.expect(PacketType::Disconnect).await;
        let Packet::Disconnect(told) = got.packet() else { unreachable!() };
        let cause = victim.fault().await;
        let Cause::Protocol(named) = cause else { panic!("{bytes:02x?}: {cause:?}") };
        assert_eq!(told.reason, named, "{bytes:02x?}");
        // Which of the two is a matter of taste in many cases; some name must be given.
        let same = named == *reason
            || [R::MALFORMED_PACKET, R::PROTOCOL_ERROR, R::NOT_AUTHORIZED].contains(&named)
                && [R::MALFORMED_PACKET, R::PROTOCOL_ERROR].contains(reason);
        assert!(same, "{bytes:02x?}: {named:?}, expected {reason:?}");
        victim.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_messages_than_allowed_wait_in_the_pipe() {
    let shape = |b: everlink::Builder| b.receive_maximum(2);
    let mut victim = Victim::with(Version::V5, shape);
    let mut stream = victim.client.subscribe("t", QoS::ExactlyOnce).manual_ack().open().unwrap();
    let mut peer = victim.up().await;
    peer.grant(2).await;
    for pid in 1..=3 {
        peer.publish("t", &pid.to_string(), QoS::ExactlyOnce, pid, false).await;
    }
    let mut held = Vec::new();
    for pid in ["1", "2"] {
        held.push(soon("a message", stream.next()).await.unwrap());
        assert_eq!(text(held.last().unwrap()), pid);
    }
    // The third is not even read before one is acknowledged.
    let minute = std::time::Duration::from_secs(60);
    assert!(tokio::time::timeout(minute, stream.next()).await.is_err());
    held[0].ack().unwrap();
    peer.expect(PacketType::PubRec).await;
    assert_eq!(text(&soon("the third", stream.next()).await.unwrap()), "3");
    assert_eq!(victim.client.stats().outages, 0);
    drop((stream, peer));
    victim.is_well().await;
}

#[tokio::test(start_paused = true)]
async fn packets_larger_than_the_buffer_are_skipped_and_answered() {
    for version in VERSIONS {
        let mut victim = Victim::new(version);
        let mut stream = victim.client.subscribe("t", QoS::ExactlyOnce).open().unwrap();
        let mut peer = victim.up().await;
        peer.grant(2).await;
        let large = "x".repeat(100_000);
        peer.publish("t", &large, QoS::AtMostOnce, 0, false).await;
        peer.publish("t", &large, QoS::AtLeastOnce, 5, false).await;
        let got = peer.expect(PacketType::PubAck).await;
        let too_large = |ack: Packet<'_>| match ack {
            Packet::Ack(ack) => ack.reason == ReasonCode::PACKET_TOO_LARGE,
            other => panic!("{other:?}"),
        };
        assert_eq!(too_large(got.packet()), version == Version::V5);
        peer.publish("t", &large, QoS::ExactlyOnce, 6, false).await;
        let got = peer.expect(PacketType::PubRec).await;
        assert_eq!(too_large(got.packet()), version == Version::V5);
        if version == Version::V311 {
            peer.ack(AckKind::PubRel, PacketId::new(6).unwrap()).await;
            peer.expect(PacketType::PubComp).await;
        }
        peer.publish("t", "small", QoS::AtLeastOnce, 7, false).await;
        peer.expect(PacketType::PubAck).await;
        assert_eq!(text(&soon("small", stream.next()).await.unwrap()), "small");
        assert!(stream.try_next().is_none());
        assert_eq!((victim.client.stats().skipped, victim.client.stats().outages), (3, 0));
        drop(stream);
        drop(peer);
        victim.is_well().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_packet_without_end_does_not_keep_a_publisher_waiting_for_ever() {
    for version in VERSIONS {
        let mut victim = Victim::new(version);
        let mut peer = victim.up().await;
        let delivery = victim.client.publish("t", "x").qos(QoS::AtLeastOnce).send().unwrap();
        peer.send_raw(&[0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b't']).await;
        let drip = async {
            loop {
                peer.send_raw(&[0; 100]).await;
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = drip => {}
            cause = victim.fault() => {
                // Bytes come, so it lives; but it does not acknowledge.
                assert_eq!(cause, Cause::AckMissing, "{version:?}");
            }
        }
        drop(peer);
        victim.is_well().await;
        assert!(soon("delivery", delivery).await.is_delivered());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_byte_by_byte_or_ends_in_a_packet() {
    for version in VERSIONS {
        let packets = good_packets(version);
        let publish = &packets[2];
        let mut victim = Victim::new(version);
        let mut stream = victim.client.subscribe("#", QoS::AtLeastOnce).open().unwrap();
        for cut in 1..publish.len() {
            let mut peer = victim.up().await;
            peer.grant(1).await;
            for byte in &publish[..cut] {
                peer.send_raw(&[*byte]).await;
                sleep(Duration::from_millis(1)).await;
            }
            drop(peer);
            assert_eq!(victim.fault().await, Cause::Eof);
            assert!(stream.try_next().is_none());
        }
        let mut peer = victim.up().await;
        peer.grant(1).await;
        for byte in publish {
            peer.send_raw(&[*byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(text(&soon("message", stream.next()).await.unwrap()), "payload");
    }
}

#[tokio::test(start_paused = true)]
async fn duplicate_identifiers() {
    for version in VERSIONS {
        let mut victim = Victim::new(version);
        let mut stream = victim.client.subscribe("t", QoS::ExactlyOnce).open().unwrap();
        let mut peer = victim.up().await;
        peer.grant(2).await;
        // At QoS 2 the same identifier is the same message until PUBREL.
        for n in 0..3 {
            peer.publish("t", "once", QoS::ExactlyOnce, 9, n > 0).await;
            peer.expect(PacketType::PubRec).await;
        }
        peer.ack(AckKind::PubRel, PacketId::new(9).unwrap()).await;
        peer.expect(PacketType::PubComp).await;
        peer.publish("t", "again", QoS::ExactlyOnce, 9, false).await;
        peer.expect(PacketType::PubRec).await;
        // The same number at QoS 1 is another message.
        peer.publish("t", "other", QoS::AtLeastOnce, 9, false).await;
        peer.expect(PacketType::PubAck).await;
        for wanted in ["once", "again", "other"] {
            assert_eq!(text(&soon(wanted, stream.next()).await.unwrap()), wanted);
        }
        assert!(stream.try_next().is_none());
        assert_eq!(victim.client.stats().duplicates, 2);

        // Acknowledgements of the wrong kind, and for identifiers of something else.
        let delivery = victim.client.publish("t", "x").qos(QoS::ExactlyOnce).send().unwrap();
        let pid = peer.expect(PacketType::Publish).await.pid();
        for kind in [AckKind::PubAck, AckKind::PubComp] {
            peer.ack(kind, pid).await;
        }
        peer.send(SubAck { pid, props: Properties::EMPTY, codes: &[2] }).await;
        peer.ack(AckKind::PubRec, pid).await;
        assert_eq!(peer.expect(PacketType::PubRel).await.pid(), pid);
        peer.ack(AckKind::PubComp, pid).await;
        assert!(soon("delivery", delivery).await.is_delivered());
        assert_eq!(victim.client.stats().outages, 0);
    }
}

/// Most attempts in any second, and all attempts, of a minute in which `serve` plays the broker.
async fn attempts_in_a_minute<F: Future<Output = ()>>(
    version: Version,
    serve: impl Fn(Peer) -> F,
) -> (usize, usize) {
    let mut victim = Victim::new(version);
    let end = Instant::now() + Duration::from_secs(60);
    while let Ok(io) = tokio::time::timeout_at(end, victim.listener.accept()).await {
        serve(Peer::new(io, version)).await;
    }
    let attempts = victim.path.attempts();
    let second = |from: &Instant| {
        let until = *from + Duration::from_secs(1);
        attempts.iter().filter(|a| (*from..until).contains(*a)).count()
    };
    let most = attempts.iter().map(second).max().unwrap_or(0);
    assert!(!victim.running.is_finished());
    (most, attempts.len())
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_at_once_is_not_besieged() {
    for version in VERSIONS {
        let (most, all) = attempts_in_a_minute(version, |peer| async { drop(peer) }).await;
        println!("closes at once: {all} attempts, at most {most} a second");
        assert!(most <= 10 && all <= 120, "{most} {all}");

        let (most, all) = attempts_in_a_minute(version, |mut peer| async move {
            peer.accept(false, &[]).await;
        })
        .await;
        println!("closes after CONNACK: {all} attempts, at most {most} a second");
        assert!(most <= 10 && all <= 300, "{most} {all}");

        let (most, all) = attempts_in_a_minute(version, |mut peer| async move {
            peer.accept(false, &[]).await;
            peer.send_raw(&[0xff; 64]).await;
            let _ = peer.recv().await;
        })
        .await;
        println!("garbage after CONNACK: {all} attempts, at most {most} a second");
        assert!(most <= 10 && all <= 300, "{most} {all}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_for_good_is_asked_seldom() {
    for version in VERSIONS {
        let (most, all) = attempts_in_a_minute(version, |mut peer| async move {
            peer.expect(PacketType::Connect).await;
            peer.connack(false, ReasonCode::BAD_USER_NAME_OR_PASSWORD, &[]).await;
        })
        .await;
        assert!(most == 1 && all <= 13, "{version:?}: {most} {all}");
    }
    // Two clients with the same identifier throw each other out.
    let (most, all) = attempts_in_a_minute(Version::V5, |mut peer| async move {
        peer.accept(false, &[]).await;
        let reason = ReasonCode::SESSION_TAKEN_OVER;
        peer.send(Disconnect { reason, props: Properties::EMPTY }).await;
    })
    .await;
    assert!(most == 1 && all <= 13, "{most} {all}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_anything_takes_bounded_memory() {
    for version in VERSIONS {
        let mut victim = Victim::with(version, |b| b.response_time(Duration::from_secs(5)));
        let mut flood = Vec::new();
        for pid in 1..=u16::MAX {
            let [high, low] = pid.to_be_bytes();
            flood.extend([0x62, 2, high, low]); // PUBREL of nothing
            flood.extend([0x50, 2, high, low]); // PUBREC of nothing
            flood.extend([0x40, 2, high, low]);
            flood.extend([0xd0, 0]);
        }
        let before = support::memory_in_use();
        for _ in 0..3 {
            let mut peer = victim.up().await;
            // It is not read from, so the answers pile up until the path takes no more.
            let pouring = async {
                loop {
                    peer.send_raw(&flood).await;
                    sleep(Duration::from_millis(100)).await;
                }
            };
            let _ = timeout(Duration::from_secs(6), pouring).await;
        }
        let grown = support::memory_in_use().saturating_sub(before);
        assert!(grown < 16 << 20, "{version:?}: {grown} bytes");
        victim.is_well().await;
    }
}
