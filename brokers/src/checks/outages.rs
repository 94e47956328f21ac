//! Messages while connections are cut and the broker is killed.

use std::cell::RefCell;

use everlink::{Client, QoS};
use everlink_sim::proxy::{Direction, Proxy};
use tokio::time::timeout;

use super::{LONG, Ledger, Running, Site, Trouble, publish_numbers, subscribed};

const MESSAGES: usize = 600;
const CUTS: usize = 8;
const KILLS: usize = 2;

/// Prints every packet that passed, if that is wanted and the check failed.
fn trace(
    site: &Site<'_>,
    seen: Result<(), String>,
    proxies: [(&str, &Proxy); 2],
) -> Result<(), String> {
    if let Err(seen) = &seen
        && site.trace
    {
        println!("{seen}");
        for (who, proxy) in proxies {
            for r in proxy.since(0) {
                let (to, dup) =
                    (if r.direction == Direction::ToBroker { "->" } else { "<-" }, r.dup);
                let marks =
                    [(r.flag, " flag"), (dup, " dup")].map(|(on, s)| if on { s } else { "" });
                let (kind, qos, id) = (r.packet, r.qos, r.id.unwrap_or(0));
                println!(
                    "{who} {:3} {:9.3} {to} {kind:?} #{id} q{qos} {} bytes{}",
                    r.connection,
                    r.at.as_secs_f64(),
                    r.len,
                    marks.concat()
                );
            }
        }
    }
    seen
}

/// A client by way of a proxy, whose session is kept over all that happens here.
async fn through(site: &Site<'_>, who: &str) -> Result<(Proxy, Running), String> {
    let upstream = site.broker.addr(site.version);
    let proxy = Proxy::start(upstream).await.map_err(|e| e.to_string())?;
    let hour = std::time::Duration::from_secs(3600);
    let client = site.client_at(proxy.addr(), who, |b| b.session_expiry(hour));
    Ok((proxy, client))
}

/// Both connections are cut again and again, by turns, at what moment chance will have it.
pub(super) async fn cuts(site: &Site<'_>, qos: QoS) -> Result<(), Trouble> {
    let topic = site.topic("cuts");
    let (to_reader, reader) = through(site, "reader").await?;
    let (to_writer, writer) = through(site, "writer").await?;
    let mut stream = subscribed(&reader, &topic, qos).await?;
    let mut ledger = Ledger::default();
    let mut done = 0;
    let read = ledger.take(&mut stream, MESSAGES - 1, async |came| {
        if came >= (done + 1) * MESSAGES / (CUTS + 2) && done < CUTS {
            done += 1;
            if done % 2 == 0 { to_reader.reset().await } else { to_writer.reset().await }
        }
    });
    let write = publish_numbers(&writer, &topic, qos, 0..MESSAGES);
    let (read, write) = tokio::join!(read, write);
    let seen = read.and(write).and_then(|()| ledger.judge(MESSAGES, qos));
    trace(site, seen, [("reader", &to_reader), ("writer", &to_writer)])?;
    reader.leave().await;
    writer.leave().await;
    Ok(())
}

/// The broker is killed; what is published after it came up again waits for the subscriber, because
/// a broker that lost its sessions has nobody to give it to before.
pub(super) async fn kills(site: &mut Site<'_>, qos: QoS) -> Result<(), Trouble> {
    let topic = site.topic("kills");
    let (to_reader, reader) = through(site, "reader").await?;
    let (to_writer, writer) = through(site, "writer").await?;
    let mut stream = subscribed(&reader, &topic, qos).await?;
    let mut ledger = Ledger::default();
    let broker = RefCell::new(&mut *site.broker);
    let failed = RefCell::new(Ok(()));
    let mut done = 0;
    let read = ledger.take(&mut stream, MESSAGES - 1, async |came| {
        if came >= (done + 1) * MESSAGES / (KILLS + 2) && done < KILLS {
            done += 1;
            let _ = to_writer.refuse(true).await;
            to_writer.reset().await;
            let restarted = broker.borrow_mut().restart();
            let back = match restarted {
                Ok(()) => back(&reader).await,
                failure => failure,
            };
            let _ = to_writer.refuse(false).await;
            if back.is_err() {
                *failed.borrow_mut() = back;
            }
        }
    });
    let write = publish_numbers(&writer, &topic, qos, 0..MESSAGES);
    let (read, write) = tokio::join!(read, write);
    failed.into_inner()?;
    let seen = read.and(write).and_then(|()| ledger.judge(MESSAGES, qos));
    trace(site, seen, [("reader", &to_reader), ("writer", &to_writer)])?;
    reader.leave().await;
    writer.leave().await;
    Ok(())
}

/// Waits until the client is connected and its subscriptions are made: what it asks the broker
/// afterwards is answered afterwards.
async fn back(client: &Client) -> Result<(), String> {
    let again = async {
        loop {
            if !client.up().await {
                return Err("the client stopped".to_owned());
            }
            if client.ping(LONG).await.is_some() {
                return Ok(());
            }
        }
    };
    // A broker that reads its queues from the disk may take as long for that as to start.
    let again = timeout(3 * LONG, again).await;
    again.map_err(|_| format!("the subscriber does not return: {:?}", client.state()))?
}
