//! rumqttc 0.25, MQTT 3.1.1, as its README has it: `AsyncClient`, a task that publishes, a loop
//! that polls.

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};

use super::{Job, TOPIC, runtime};
use crate::Result;
use crate::measure::{Meter, Sample};

/// A client whose connection is up.
async fn connect(job: &Job) -> Result<(AsyncClient, EventLoop)> {
    let mut options = MqttOptions::new("bench", "127.0.0.1", job.port);
    options.set_inflight(job.window);
    let (client, mut events) = AsyncClient::new(options, usize::from(job.window));
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok((client, events))
}

pub(crate) fn publish(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let (client, mut events) = connect(job).await?;
        let (messages, payload) = (job.messages, job.payload);

        let meter = Meter::start();
        let publisher = tokio::spawn(async move {
            for _ in 0..messages {
                client.publish(TOPIC, QoS::AtLeastOnce, false, vec![b'x'; payload]).await?;
            }
            Ok::<_, rumqttc::ClientError>(client)
        });
        let mut acked = 0;
        while acked < messages {
            if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
                acked += 1;
            }
        }
        let sample = meter.stop(acked);
        let client = publisher.await??;
        disconnect(client, events).await;
        Ok(sample)
    })
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let (client, mut events) = connect(job).await?;

        let meter = Meter::start();
        client.subscribe(job.source_filter(), QoS::AtLeastOnce).await?;
        let mut received = 0;
        while received < job.messages {
            if let Event::Incoming(Packet::Publish(message)) = events.poll().await? {
                assert_eq!(message.payload.len(), job.payload, "payload length");
                received += 1;
            }
        }
        let sample = meter.stop(received);
        disconnect(client, events).await;
        Ok(sample)
    })
}

/// Sends what is left, acknowledgements too; the event loop reports the end as an error.
async fn disconnect(client: AsyncClient, mut events: EventLoop) {
    if client.disconnect().await.is_ok() {
        while events.poll().await.is_ok() {}
    }
}
