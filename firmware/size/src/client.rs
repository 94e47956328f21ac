//! The client with all a small device does: publishing at every QoS with and without waiting, a
//! subscription, state and counters, closing.

use core::time::Duration;

use embassy_futures::join::join;
use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use everlink::embedded::{Config, Connect, Hub, Memory};
use everlink::{QoS, Version};
use everlink_link::embedded::tcp::{Endpoint, TcpCell, TcpLink};
use static_cell::StaticCell;

use crate::SOCKET;
use crate::board::REGISTER;

/// What the caller gives: 8 messages in 1 KiB to send, 8 in 1 KiB received, 4 subscriptions.
type Given = Memory<8, 1024, 8, 1024, 4, 8, 0>;

#[embassy_executor::task]
pub(crate) async fn program(stack: Stack<'static>) {
    static GIVEN: StaticCell<Given> = StaticCell::new();
    static BUFFERS: StaticCell<[[u8; 512]; 2]> = StaticCell::new();
    let (mut rx, mut tx) = ([0; SOCKET], [0; SOCKET]);
    let cell = TcpCell::new(stack, &mut rx, &mut tx);
    let endpoints = [Endpoint::new("broker.local", 1883)];
    let link = TcpLink::new(&cell, &endpoints);
    let mut config = Config::unattended(REGISTER.read().into());
    config.version = if REGISTER.read() == 0 { Version::V311 } else { Version::V5 };
    let hub = Hub::<NoopRawMutex>::new(GIVEN.init_with(Memory::new), config, Connect::new("shed"));
    let [receive, transmit] = BUFFERS.init([[0; 512]; 2]);
    #[cfg(feature = "tls")]
    let (read, write, relay) = tls::memory();
    #[cfg(feature = "tls")]
    let (pump, link) = (tls::pump(link, &relay, read, write), relay.link());
    let mut driver = hub.driver(link, &mut receive[..], &mut transmit[..]);
    let client = hub.client();
    let application = async {
        let Ok(mut lamps) = client.subscribe("shed/lamp/+", QoS::ExactlyOnce).await else { return };
        let level = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        while let Some(len) = lamps.next(|message| message.payload.len()).await {
            let qos = level.get(REGISTER.read() as usize).copied().unwrap_or_default();
            let publish = client.publish("shed/temp", "21.5").qos(qos);
            let publish = publish.expiry(Duration::from_secs(60));
            let delivered = publish.await.is_ok_and(|reason| !reason.is_error());
            let _ = client.publish("shed/len", &[len as u8]).qos(qos).forget();
            REGISTER.write(delivered.into());
            REGISTER.write(client.state().attempts + client.stats().delivered as u32);
        }
        client.drain(Duration::from_secs(5)).await;
    };
    let client = join(driver.run(), application);
    #[cfg(feature = "tls")]
    let client = join(client, pump);
    client.await;
}

/// TLS between the client and TCP.
#[cfg(feature = "tls")]
mod tls {
    use core::convert::Infallible;

    use embassy_sync::blocking_mutex::raw::NoopRawMutex;
    use everlink_link::embedded::relay::Relay;
    use everlink_link::embedded::tcp::TcpLink;
    use everlink_link::embedded::tls::{Authority, CryptoRng, NoClock, Tls};
    use rand_core::{Error, RngCore, impls};
    use static_cell::StaticCell;

    use crate::board::REGISTER;

    /// Records from the broker and to it, and the relay's two rings.
    static BUFFERS: StaticCell<Buffers> = StaticCell::new();

    type Buffers = ([u8; 16_640], [u8; 1024], [[u8; 512]; 2]);

    type Memory = (&'static mut [u8], &'static mut [u8], Relay<'static, NoopRawMutex>);

    pub(super) fn memory() -> Memory {
        let (read, write, [to_pump, from_pump]) =
            BUFFERS.init(([0; 16_640], [0; 1024], [[0; 512]; 2]));
        (read, write, Relay::new(to_pump, from_pump))
    }

    pub(super) async fn pump(
        link: TcpLink<'_, '_>,
        relay: &Relay<'_, NoopRawMutex>,
        read: &mut [u8],
        write: &mut [u8],
    ) -> Infallible {
        let authority = Authority::new(&[0x30]);
        let mut tls = Tls::new(link, authority, &["broker.local"], Random);
        tls.pump::<NoClock, _>(relay, read, write).await
    }

    struct Random;

    impl RngCore for Random {
        fn next_u32(&mut self) -> u32 {
            REGISTER.read()
        }

        fn next_u64(&mut self) -> u64 {
            impls::next_u64_via_u32(self)
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            impls::fill_bytes_via_next(self, bytes);
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    impl CryptoRng for Random {}
}
