//! Messages from one client to another, with nothing in the way.

use everlink::QoS;

use super::{Ledger, Site, Trouble, deviates, publish, publish_numbers, subscribed, within};

const MESSAGES: usize = 200;

pub(super) async fn numbers(site: &Site<'_>, qos: QoS) -> Result<(), Trouble> {
    let topic = site.topic("numbers");
    let (reader, writer) = (site.client("reader", |b| b), site.client("writer", |b| b));
    let mut stream = subscribed(&reader, &topic, qos).await?;
    publish_numbers(&writer, &topic, qos, 0..MESSAGES).await?;
    let mut ledger = Ledger::default();
    ledger.take(&mut stream, MESSAGES - 1, async |_| ()).await?;
    ledger.judge(MESSAGES, qos)?;
    reader.leave().await;
    writer.leave().await;
    Ok(())
}

pub(super) async fn mixed(site: &Site<'_>) -> Result<(), Trouble> {
    let topic = site.topic("mixed");
    let client = site.client("", |b| b);
    let mut stream = subscribed(&client, &topic, QoS::AtLeastOnce).await?;
    publish(&client, &topic, "x", QoS::ExactlyOnce).await?;
    let message = within("the message", stream.next()).await?.ok_or("the subscription ended")?;
    client.leave().await;
    if message.qos == QoS::AtLeastOnce {
        Ok(())
    } else {
        deviates(format!("it came at {:?}", message.qos))
    }
}

pub(super) async fn large(site: &Site<'_>) -> Result<(), Trouble> {
    let topic = site.topic("large");
    let client = site.client("", |b| b.maximum_packet_size(1 << 20));
    let mut stream = subscribed(&client, &topic, QoS::AtLeastOnce).await?;
    let payload: Vec<u8> = (0..256 * 1024_u32).map(|n| (n / 7) as u8).collect();
    let publish = client.publish(&topic, &payload).qos(QoS::AtLeastOnce);
    within("acknowledgement", publish).await?.map_err(|e| e.to_string())?;
    let message = within("the message", stream.next()).await?.ok_or("the subscription ended")?;
    client.leave().await;
    if message.payload == payload { Ok(()) } else { deviates("it came altered") }
}

/// The subscriber leaves, with its session kept, and comes back as a new program would.
pub(super) async fn session(site: &Site<'_>) -> Result<(), Trouble> {
    const AWAY: usize = 50;
    let topic = site.topic("session");
    let day = std::time::Duration::from_secs(86_400);
    let reader = || site.client("reader", |b| b.clean_start(false).session_expiry(day));
    let before = reader();
    let stream = subscribed(&before, &topic, QoS::AtLeastOnce).await?;
    before.leave().await;
    drop(stream);
    let writer = site.client("writer", |b| b);
    publish_numbers(&writer, &topic, QoS::AtLeastOnce, 0..AWAY).await?;
    let after = reader();
    // Registered before the connection is up, so that nothing passes it by.
    let mut stream = after
        .subscribe(&topic, QoS::AtLeastOnce)
        .capacity(1000)
        .open()
        .map_err(|e| e.to_string())?;
    within("the connection", after.up()).await?;
    if !after.state().resumed {
        return deviates("the session is gone");
    }
    let mut ledger = Ledger::default();
    ledger.take(&mut stream, AWAY - 1, async |_| ()).await?;
    ledger.judge(AWAY, QoS::AtLeastOnce)?;
    after.leave().await;
    writer.leave().await;
    Ok(())
}
