//! everlink as its README has it: the driver in a task of its own, everything else by default.

use everlink::{Client, QoS, Subscription};
use tokio::task::JoinHandle;

use super::{Job, TOPIC, runtime};
use crate::Result;
use crate::measure::{Meter, Sample};

/// A client whose connection is up, and the task of its driver.
async fn connect(job: &Job) -> Result<(Client, JoinHandle<()>)> {
    let url = format!("mqtt://127.0.0.1:{}", job.port);
    let (client, driver) = Client::builder(url).client_id("bench").build()?;
    let driver = tokio::spawn(async move {
        driver.run().await;
    });
    client.up().await;
    Ok((client, driver))
}

pub(crate) fn publish(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let (client, driver) = connect(job).await?;
        let payload = vec![b'x'; job.payload];

        let meter = Meter::start();
        for _ in 0..job.messages {
            client.publish(TOPIC, &payload).qos(QoS::AtLeastOnce).accepted().await?;
        }
        client.flush().await;
        let sample = meter.stop(client.stats().delivered);
        client.close();
        driver.await?;
        Ok(sample)
    })
}

pub(crate) fn receive(job: &Job) -> Result<Sample> {
    runtime()?.block_on(async {
        let (client, driver) = connect(job).await?;

        let meter = Meter::start();
        let filter = job.source_filter();
        let mut messages: Subscription = client.subscribe(&filter, QoS::AtLeastOnce).await?;
        let mut received = 0;
        while received < job.messages {
            let message = messages.next().await.ok_or("the subscription ended")?;
            assert_eq!(message.payload.len(), job.payload, "payload length");
            received += 1;
        }
        let sample = meter.stop(received);
        client.close();
        driver.await?;
        Ok(sample)
    })
}
