//! A client that is not ours, a gateway on UDP, a mosquitto.

#[allow(dead_code, unreachable_pub)] // not all of it is needed here
#[path = "../../../client/tests/support/mosquitto.rs"]
mod mosquitto;
mod peer;

mod connection_mosquitto;
mod own_node_mosquitto;
mod publish_mosquitto;
mod subscribe_mosquitto;

use std::net::SocketAddr;
use std::time::Duration;

use everlink::{Client, FirstConnect, Message, QoS, Subscription};
use everlink_gateway::runner::{Config, Server};
use mosquitto::Mosquitto;
use peer::Peer;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Broker, gateway, and somebody at the broker.
struct World {
    stop: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<()>>,
    address: SocketAddr,
    observer: Client,
    runtime: Runtime,
    broker: Mosquitto,
}

impl World {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Mosquitto::start(), change)
    }

    fn at(broker: Mosquitto, change: impl FnOnce(&mut Config)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let url = format!("mqtt://{}", broker.addr());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(url.as_str(), vec![any.into()]);
        config.predefined.add(7, "known/seven");
        change(&mut config);
        let (address, server, stop, observer) = runtime.block_on(async {
            let mut server = Server::bind(config).await.unwrap();
            let address = server.addresses()[0];
            let (stop, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(async move {
                server.run(async { drop(stopped.await) }).await;
            });
            let builder = Client::builder(url).first_connect(FirstConnect::Forever);
            let (observer, driver) = builder.build().unwrap();
            tokio::spawn(driver.run());
            (address, task, stop, observer)
        });
        let (stop, server) = (Some(stop), Some(server));
        Self { stop, server, address, observer, runtime, broker }
    }

    fn peer(&self) -> Peer {
        Peer::new(self.address)
    }

    /// Everything that is published to `filter` from now on.
    fn watch(&self, filter: &str) -> Watch<'_> {
        let wait = async { self.observer.subscribe(filter, QoS::ExactlyOnce).await.unwrap() };
        Watch { stream: self.runtime.block_on(wait), world: self }
    }

    /// Somebody publishes, and the broker has it.
    fn publish(&self, topic: &str, data: &str, qos: QoS, retain: bool) {
        let publish = self.observer.publish(topic, data).qos(qos).retain(retain);
        self.runtime.block_on(async { publish.await.unwrap() });
    }

    /// The gateway goes, politely.
    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server).unwrap();
        }
    }
}

struct Watch<'a> {
    stream: Subscription,
    world: &'a World,
}

impl Watch<'_> {
    fn next(&mut self) -> Message {
        let next =
            async { tokio::time::timeout(Duration::from_secs(20), self.stream.next()).await };
        self.world.runtime.block_on(next).expect("a message comes").unwrap()
    }

    /// The next message is to this topic and says this.
    fn expect(&mut self, topic: &str, data: &str) {
        let message = self.next();
        assert_eq!((&*message.topic, &*message.payload), (topic, data.as_bytes()));
    }

    /// Nothing comes for a while.
    fn silence(&mut self, time: Duration) {
        let next = async { tokio::time::timeout(time, self.stream.next()).await };
        if let Ok(message) = self.world.runtime.block_on(next) {
            panic!("came unasked: {message:?}");
        }
    }
}
