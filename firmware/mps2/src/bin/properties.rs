//! MQTT 5 properties, all of them: prints those of every message on `to/properties`, and answers as a
//! service does, on the message's Response Topic with its Correlation Data.
//!
//! Arguments: those of `client::start` and `net::start`.
#![no_std]
#![no_main]

use core::time::Duration;

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use everlink::embedded::{Message, Subscription};
use everlink::{Property, QoS};
use mps2::client::{self, Client};
use mps2::{Board, log, net, semihost};

#[cortex_m_rt::entry]
fn main() -> ! {
    mps2::start(|spawner, board| spawner.spawn(properties(spawner, board).expect("spawned once")))
}

#[embassy_executor::task]
async fn properties(spawner: Spawner, board: Board) {
    let Some((stack, _nic)) = net::start(spawner, board.args) else {
        log!("failed: no NIC");
        semihost::exit(1)
    };
    let client = client::start(spawner, board.args, stack);
    match client.subscribe("to/properties", QoS::ExactlyOnce).await {
        Ok(requests) => serve(client, requests).await,
        Err(error) => log!("failed: {error}"),
    }
    semihost::exit(1)
}

async fn serve(client: Client, mut requests: Subscription<'static, NoopRawMutex>) {
    let limits = client.limits();
    log!(
        "ready receive-maximum={} maximum-packet-size={} topic-alias-maximum={}",
        limits.receive_maximum,
        limits.maximum_packet_size,
        limits.topic_alias_maximum
    );
    loop {
        let mut buffer = [0; 400];
        match requests.next_into(&mut buffer).await {
            Ok(message) => {
                message.props.iter().for_each(|property| log!("property {property:?}"));
                answer(&client, &message).await;
            }
            Err(error) => return log!("failed: {error:?}"),
        }
    }
}

async fn answer(client: &Client, request: &Message<'_>) {
    let Some(topic) = request.props.response_topic() else { return };
    let properties = [
        Property::CorrelationData(request.props.correlation_data().unwrap_or_default()),
        Property::ContentType("text/plain"),
        Property::PayloadFormatIndicator(true),
        Property::UserProperty("board", "mps2"),
        // Names may come twice, and keep their order.
        Property::UserProperty("board", "an385"),
    ];
    let publish = client.publish(topic, request.payload).properties(&properties);
    let publish = publish.expiry(Duration::from_secs(3600)).qos(QoS::ExactlyOnce);
    match publish.await {
        Ok(reason) => log!("answered reason={:#04x}", reason.0),
        Err(error) => log!("failed: {error}"),
    }
}
