//! Publishes a reading each second and prints what arrives, whatever happens to the network.
//!
//! `cargo run --example shed -- mqtt://localhost`

use std::time::Duration;

use everlink::{Client, FirstConnect, QoS};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("mqtt://localhost".into());
    let builder = Client::builder(url).first_connect(FirstConnect::Forever);
    let (client, driver) = builder.build()?;
    tokio::spawn(driver.run());

    let mut readings = client.subscribe("shed/#", QoS::AtLeastOnce).await?;
    let publisher = client.clone();
    tokio::spawn(async move {
        for n in 0.. {
            let payload = format!("reading {n}");
            let delivery = publisher.publish("shed/temp", payload).qos(QoS::ExactlyOnce);
            println!("{n}: {:?}", delivery.await); // the broker's final acknowledgement
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    while let Some(message) = readings.next().await {
        println!("{}: {}", message.topic, String::from_utf8_lossy(&message.payload));
    }
    Ok(())
}
