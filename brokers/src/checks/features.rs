//! What brokers offer besides delivery.

use std::time::Duration;

use everlink::{QoS, Version, Will};

use super::{Site, Trouble, deviates, publish, subscribed, text, within};

const Q1: QoS = QoS::AtLeastOnce;

pub(super) async fn retained(site: &Site<'_>) -> Result<(), Trouble> {
    let topic = site.topic("retained");
    let client = site.client("", |b| b);
    within("the connection", client.up()).await?;
    if !client.limits().retain_available {
        return Err(Trouble::NotOffered);
    }
    for value in ["old", "new"] {
        let retained = client.publish(&topic, value).qos(Q1).retain(true);
        within("acknowledgement", retained).await?.map_err(|e| e.to_string())?;
    }
    let mut stream = subscribed(&client, &topic, Q1).await?;
    let message = within("the retained message", stream.next()).await?.ok_or("it ended")?;
    if (text(&message).as_str(), message.retain) != ("new", true) {
        return deviates(format!("{:?} came, retain {}", text(&message), message.retain));
    }
    within("UNSUBACK", stream.unsubscribe()).await?;
    let removed = client.publish(&topic, "").qos(Q1).retain(true);
    within("acknowledgement", removed).await?.map_err(|e| e.to_string())?;
    let mut stream = subscribed(&client, &topic, Q1).await?;
    publish(&client, &topic, "live", Q1).await?;
    let message = within("a message", stream.next()).await?.ok_or("it ended")?;
    client.leave().await;
    match (text(&message).as_str(), message.retain) {
        ("live", false) => Ok(()),
        (other, retain) => deviates(format!("after its removal {other:?} comes, retain {retain}")),
    }
}

pub(super) async fn will(site: &Site<'_>) -> Result<(), Trouble> {
    let topic = site.topic("will");
    let watcher = site.client("watcher", |b| b);
    let mut stream = subscribed(&watcher, &topic, Q1).await?;
    let will = Will::new(&topic, "gone").map_err(|e| e.to_string())?.qos(Q1);
    let victim = site.client("victim", |b| b.will(will).session_expiry(Duration::ZERO));
    within("the connection", victim.up()).await?;
    drop(victim); // and its socket, without DISCONNECT
    let message = within("the will", stream.next()).await?.ok_or("the subscription ended")?;
    watcher.leave().await;
    if text(&message) == "gone" { Ok(()) } else { deviates("it came altered") }
}

pub(super) async fn unsubscribe(site: &Site<'_>) -> Result<(), Trouble> {
    let (topic, other) = (site.topic("a"), site.topic("b"));
    let client = site.client("", |b| b);
    let stream = subscribed(&client, &topic, Q1).await?;
    // Takes what belongs to no other stream.
    let mut rest = subscribed(&client, &other, Q1).await?;
    within("UNSUBACK", stream.unsubscribe()).await?;
    let before = client.stats().received;
    publish(&client, &topic, "unwanted", Q1).await?;
    publish(&client, &other, "wanted", Q1).await?;
    within("a message", rest.next()).await?.ok_or("the subscription ended")?;
    let came = client.stats().received - before;
    client.leave().await;
    if came == 1 { Ok(()) } else { deviates(format!("{came} messages came for one subscription")) }
}

pub(super) async fn take_over(site: &Site<'_>) -> Result<(), Trouble> {
    let first = site.client("", |b| b);
    within("the connection", first.up()).await?;
    let mut watch = first.watch();
    let second = site.client("", |b| b);
    within("the second connection", second.up()).await?;
    let lost = watch.wait_for(|s| !s.is_up());
    within("the end of the first connection", lost).await?.map_err(|e| e.to_string())?;
    drop(first);
    second.leave().await;
    Ok(())
}

pub(super) async fn shared(site: &Site<'_>) -> Result<(), Trouble> {
    const MESSAGES: usize = 100;
    let topic = site.topic("shared");
    let filter = format!("$share/group/{topic}");
    let (one, two) = (site.client("one", |b| b), site.client("two", |b| b));
    within("the connection", one.up()).await?;
    if !one.limits().shared_subscription_available {
        return Err(Trouble::NotOffered);
    }
    let mut streams = [subscribed(&one, &filter, Q1).await?, subscribed(&two, &filter, Q1).await?];
    let writer = site.client("writer", |b| b);
    super::publish_numbers(&writer, &topic, Q1, 0..MESSAGES).await?;
    let mut counts = [0; MESSAGES];
    let [a, b] = &mut streams;
    for _ in 0..MESSAGES {
        let either = async {
            tokio::select! { m = a.next() => m, m = b.next() => m }
        };
        let message = within("a message", either).await?.ok_or("a subscription ended")?;
        let number: usize = text(&message).parse().map_err(|_| "a message came altered")?;
        counts[number] += 1;
    }
    for client in [one, two, writer] {
        client.leave().await;
    }
    if counts.iter().all(|c| *c == 1) { Ok(()) } else { deviates(format!("{counts:?} copies")) }
}

pub(super) async fn properties(site: &Site<'_>) -> Result<(), Trouble> {
    let topic = site.topic("properties");
    let client = site.client("", |b| b);
    let mut stream = subscribed(&client, &topic, Q1).await?;
    let message =
        client.publish(&topic, "x").qos(Q1).user_property("a", "1").user_property("a", "2");
    let message = message.content_type("text/plain").response_topic("answers");
    let message = message.correlation_data(b"17").expiry(Duration::from_secs(100));
    within("acknowledgement", message).await?.map_err(|e| e.to_string())?;
    let message = within("the message", stream.next()).await?.ok_or("the subscription ended")?;
    client.leave().await;
    let came = message.properties();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let mut wrong = Vec::new();
    let user = [pair("a", "1"), pair("a", "2")];
    if came.user_properties != user {
        wrong.push(if came.user_properties.starts_with(&user) {
            "more user properties than were sent"
        } else {
            "user properties"
        });
    }
    if came.content_type.as_deref() != Some("text/plain") {
        wrong.push("content type");
    }
    if came.response_topic.as_deref() != Some("answers") {
        wrong.push("response topic");
    }
    if came.correlation_data.as_deref() != Some(&b"17"[..]) {
        wrong.push("correlation data");
    }
    if !came.message_expiry.is_some_and(|s| (90..=100).contains(&s)) {
        wrong.push("message expiry");
    }
    if wrong.is_empty() { Ok(()) } else { deviates(format!("not as sent: {}", wrong.join(", "))) }
}

pub(super) async fn options(site: &Site<'_>) -> Result<(), Trouble> {
    debug_assert_eq!(site.version, Version::V5);
    let topic = site.topic("options");
    let (own, other) = (site.client("own", |b| b), site.client("other", |b| b));
    let stream = own.subscribe(&topic, Q1).no_local().open().map_err(|e| e.to_string())?;
    let mut stream = stream;
    within("SUBACK", stream.granted()).await?.map_err(|e| e.to_string())?;
    publish(&own, &topic, "own", Q1).await?;
    publish(&other, &topic, "other", Q1).await?;
    let message = within("a message", stream.next()).await?.ok_or("the subscription ended")?;
    let identified = !message.properties().subscription_ids.is_empty();
    let offered = own.limits().subscription_identifier_available;
    own.leave().await;
    other.leave().await;
    match text(&message).as_str() {
        "own" => deviates("No Local is not heeded"),
        _ if offered && !identified => deviates("without Subscription Identifier"),
        _ => Ok(()),
    }
}
