//! rumqttc 0.25 as its README has it: `AsyncClient`, a task that publishes, a loop that polls. It has
//! a module for each protocol version, with the same names in both.

use super::Job;
use crate::measure::Sample;
use crate::{Protocol, Result};

/// MQTT 3.1.1 unless asked otherwise: that is what its README shows.
pub(crate) fn publish(job: &Job) -> Result<Sample> {
    match job.protocol {
        Some(Protocol::V5) => v5::publish(job),
        _ => v4::publish(job),
    }
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    match job.protocol {
        Some(Protocol::V5) => v5::receive(job),
        _ => v4::receive(job),
    }
}

macro_rules! contender {
    () => {
        use ::rumqttc::Outgoing;

        use crate::Result;
        use crate::contenders::{Job, TOPIC, runtime};
        use crate::measure::{Meter, Sample};

        fn qos(job: &Job) -> QoS {
            [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(job.qos)]
        }

        /// A client whose connection is up.
        async fn connect(job: &Job, id: &str) -> Result<(AsyncClient, EventLoop)> {
            let mut options = MqttOptions::new(id, "127.0.0.1", job.port);
            limit(&mut options, job.window);
            let (client, mut events) = AsyncClient::new(options, usize::from(job.window));
            while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
            Ok((client, events))
        }

        pub(super) fn publish(job: &Job) -> Result<Sample> {
            runtime()?.block_on(async {
                let (client, mut events) = connect(job, "bench").await?;
                let (messages, payload, qos) = (job.messages, job.payload, qos(job));

                let meter = Meter::start();
                let publisher = tokio::spawn(async move {
                    for _ in 0..messages {
                        client.publish(TOPIC, qos, false, vec![b'x'; payload]).await?;
                    }
                    Ok::<_, ClientError>(client)
                });
                let mut done = 0;
                while done < messages {
                    done += u64::from(match events.poll().await? {
                        Event::Outgoing(Outgoing::Publish(_)) => qos == QoS::AtMostOnce,
                        Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) => true,
                        _ => false,
                    });
                }
                let sample = meter.stop(done);
                let client = publisher.await??;
                disconnect(client, events).await;
                Ok(sample)
            })
        }

        pub(super) fn receive(job: &Job) -> Result<Sample> {
            runtime()?.block_on(async {
                let (client, mut events) = connect(job, "bench").await?;

                let meter = Meter::start();
                client.subscribe(job.source_filter(), qos(job)).await?;
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

        /// A task for each connection, which does what a program does that waits for events.
        pub(super) async fn idle(job: &Job, number: usize) -> Result<Box<dyn std::any::Any>> {
            let (client, mut events) = connect(job, &format!("bench{number}")).await?;
            tokio::spawn(async move { while events.poll().await.is_ok() {} });
            Ok(Box::new(client))
        }
    };
}

mod v4 {
    use ::rumqttc::{AsyncClient, ClientError, Event, EventLoop, MqttOptions, Packet, QoS};

    contender!();

    fn limit(options: &mut MqttOptions, window: u16) {
        options.set_inflight(window);
    }
}

mod v5 {
    use ::rumqttc::v5::mqttbytes::{QoS, v5::Packet};
    use ::rumqttc::v5::{AsyncClient, ClientError, Event, EventLoop, MqttOptions};

    contender!();

    fn limit(options: &mut MqttOptions, window: u16) {
        options.set_outgoing_inflight_upper_limit(window);
    }
}

pub(crate) fn idle(job: &Job, number: usize) -> super::Connecting<'_> {
    match job.protocol {
        Some(Protocol::V5) => Box::pin(v5::idle(job, number)),
        _ => Box::pin(v4::idle(job, number)),
    }
}
