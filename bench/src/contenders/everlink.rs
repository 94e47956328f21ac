//! everlink as its README has it: the driver in a task of its own, everything else by default.

use everlink::{Client, QoS, Version};

use super::{Connecting, Job, TOPIC, runtime};
use crate::measure::{Meter, Sample};
use crate::{Protocol, Result};

/// A client whose connection is up.
async fn connect(job: &Job, id: &str) -> Result<Client> {
    let url = format!("mqtt://127.0.0.1:{}", job.port);
    let mut builder = Client::builder(url).client_id(id);
    if let Some(protocol) = job.protocol {
        builder = builder.version(match protocol {
            Protocol::V311 => Version::V311,
            Protocol::V5 => Version::V5,
        });
    }
    // The window is a limit that an MQTT 5 server tells; 3.1.1 leaves it to the client.
    if job.protocol == Some(Protocol::V311) {
        builder = builder.window(job.window);
    }
    let (client, driver) = builder.build()?;
    tokio::spawn(driver.run());
    client.up().await;
    Ok(client)
}

fn qos(job: &Job) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(job.qos)]
}

pub(crate) fn publish(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let client = connect(job, "bench").await?;
        let payload = vec![b'x'; job.payload];

        let meter = Meter::start();
        for _ in 0..job.messages {
            client.publish(TOPIC, &payload).qos(qos(job)).accepted().await?;
        }
        client.flush().await;
        let sample = meter.stop(client.stats().delivered);
        leave(client).await;
        Ok(sample)
    })
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let client = connect(job, "bench").await?;

        let meter = Meter::start();
        let filter = job.source_filter();
        let mut messages = client.subscribe(&filter, qos(job)).await?;
        let mut received = 0;
        while received < job.messages {
            let message = messages.next().await.ok_or("the subscription ended")?;
            assert_eq!(message.payload.len(), job.payload, "payload length");
            received += 1;
        }
        let sample = meter.stop(received);
        leave(client).await;
        Ok(sample)
    })
}

async fn leave(client: Client) {
    client.close();
    let mut state = client.watch();
    let _ = state.wait_for(|state| state.step == everlink::Step::Idle).await;
}

pub(crate) fn idle(job: &Job, number: usize) -> Connecting<'_> {
    Box::pin(async move {
        let client = connect(job, &format!("bench{number}")).await?;
        Ok(Box::new(client) as Box<dyn std::any::Any>)
    })
}
