//! The client handle over MQTT-SN and UDP: the same words, another protocol.

use std::net::SocketAddr;
use std::time::Duration;

use everlink::{
    BuildError, Client, Delivery, Driver, FirstConnect, Outcome, QoS, Refused, Step, Will,
};
use everlink_proto::sn::wire::{
    Filter, Message, PubAck, Publish, RegAck, Register, ReturnCode, SubAck, Topic, Version,
};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const V: Version = Version::V12;
const OK: ReturnCode = ReturnCode::ACCEPTED;
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that gives every topic the id 7, and sends back on it what it gets.
struct Gateway {
    socket: UdpSocket,
    node: Option<SocketAddr>,
    /// Topic Names of REGISTER and SUBSCRIBE, data of PUBLISH, Will topics and messages.
    heard: Vec<String>,
    /// Send QoS 1 messages back.
    echo: bool,
}

impl Gateway {
    async fn new(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).await.expect("a free port");
        Self { socket, node: None, heard: Vec::new(), echo: true }
    }

    async fn anywhere() -> Self {
        Self::new(([127, 0, 0, 1], 0).into()).await
    }

    fn url(&self) -> String {
        format!("mqttsn://{}", self.socket.local_addr().expect("an address"))
    }

    async fn say(&self, message: Message<'_>) {
        let mut bytes = [0; 1500];
        let n = message.encode(V, &mut bytes).expect("a legal message");
        let node = self.node.expect("somebody spoke first");
        self.socket.send_to(&bytes[..n], node).await.expect("sent");
    }

    /// Serves for ever, or until it heard this.
    async fn serve(&mut self, until: &str) {
        let mut bytes = [0; 1500];
        while !self.heard.iter().any(|text| text == until) {
            let (n, from) = self.socket.recv_from(&mut bytes).await.expect("received");
            let known = self.node.replace(from) == Some(from);
            let message = Message::decode(V, &bytes[..n]).expect("a message");
            if !known && !matches!(message, Message::Connect(_)) {
                self.say(Message::Disconnect(None)).await;
                continue;
            }
            self.answer(message).await;
        }
    }

    async fn answer(&mut self, message: Message<'_>) {
        match message {
            Message::Connect(connect) if connect.will => self.say(Message::WillTopicReq).await,
            Message::Connect(_) => self.say(Message::ConnAck(OK)).await,
            Message::WillTopic(Some(will)) => {
                self.heard.push(will.topic.to_owned());
                self.say(Message::WillMsgReq).await;
            }
            Message::WillMsg(data) => {
                self.heard.push(String::from_utf8_lossy(data).into_owned());
                self.say(Message::ConnAck(OK)).await;
            }
            Message::WillTopicUpd(_) => self.say(Message::WillTopicResp(OK)).await,
            Message::WillMsgUpd(data) => {
                self.heard.push(String::from_utf8_lossy(data).into_owned());
                self.say(Message::WillMsgResp(OK)).await;
            }
            Message::Register(r) => {
                self.heard.push(r.topic.to_owned());
                self.say(Message::RegAck(RegAck { topic_id: 7, msg_id: r.msg_id, code: OK })).await;
            }
            Message::Subscribe(s) => {
                if let Filter::Name(name) = s.filter {
                    self.heard.push(name.to_owned());
                }
                let (qos, msg_id) = (s.qos, s.msg_id);
                self.say(Message::SubAck(SubAck { qos, topic_id: 0, msg_id, code: OK })).await;
            }
            Message::Publish(publish) => self.published(&publish).await,
            Message::PubRel(id) => self.say(Message::PubComp(id)).await,
            Message::PingReq(_) => self.say(Message::PingResp).await,
            Message::Disconnect(duration) => {
                self.heard.push(format!("bye {duration:?}"));
                self.say(Message::Disconnect(None)).await;
            }
            _ => {}
        }
    }

    async fn published(&mut self, publish: &Publish<'_>) {
        match publish.qos.in_connection().expect("in a connection") {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.say(Message::PubAck(PubAck::to(publish, OK))).await,
            QoS::ExactlyOnce => self.say(Message::PubRec(publish.msg_id)).await,
        }
        if self.echo && !publish.dup {
            self.say(Message::Register(Register { topic_id: 9, msg_id: 1, topic: "in/x" })).await;
            let topic = Topic::Id(9);
            self.say(Message::Publish(Publish { topic, msg_id: 500, ..*publish })).await;
        }
        self.heard.push(String::from_utf8_lossy(publish.data).into_owned());
    }
}

fn client(url: String) -> (Client, Driver) {
    let builder = Client::builder(url).client_id("node").first_connect(FirstConnect::Forever);
    builder.response_time(Duration::from_millis(200)).build().expect("buildable")
}

async fn delivered(delivery: Delivery) {
    let outcome = timeout(PATIENCE, delivery).await.expect("in time");
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
}

#[tokio::test]
async fn messages_go_both_ways() {
    let mut gateway = Gateway::anywhere().await;
    let (client, driver) = client(gateway.url());
    tokio::spawn(driver.run());
    let serving = tokio::spawn(async move {
        gateway.serve("bye None").await;
        gateway.heard
    });
    let mut stream = client.subscribe("in/#", QoS::ExactlyOnce).await.expect("granted");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let payload = format!("{qos:?}");
        delivered(client.publish("out/x", &payload).qos(qos).send().expect("accepted")).await;
        let message = timeout(PATIENCE, stream.next()).await.expect("in time").expect("open");
        assert_eq!((&*message.topic, &*message.payload), ("in/x", payload.as_bytes()));
    }
    assert!(client.ping(PATIENCE).await.is_some());
    assert_eq!(client.held(), 0);
    client.close();
    let heard = timeout(PATIENCE, serving).await.expect("in time").expect("no panic");
    assert_eq!(heard, ["in/#", "out/x", "AtMostOnce", "AtLeastOnce", "ExactlyOnce", "bye None"]);
}

#[tokio::test]
async fn what_is_published_without_a_gateway_is_delivered_when_there_is_one() {
    let mut gateway = Gateway::anywhere().await;
    let address = gateway.socket.local_addr().expect("an address");
    let (client, driver) = client(gateway.url());
    tokio::spawn(driver.run());
    let first = client.publish("out/x", "first").qos(QoS::AtLeastOnce).send().expect("accepted");
    timeout(PATIENCE, gateway.serve("first")).await.expect("in time");
    delivered(first).await;
    drop(gateway);
    let second = client.publish("out/x", "second").qos(QoS::ExactlyOnce).send().expect("accepted");
    let mut watch = client.watch();
    let down = watch.wait_for(|state| state.step != Step::Up);
    timeout(PATIENCE, down).await.expect("in time").expect("the client lives");
    let mut gateway = Gateway::new(address).await;
    gateway.echo = false;
    tokio::spawn(async move { gateway.serve("nothing").await });
    delivered(second).await;
}

#[tokio::test]
async fn the_will_is_told_and_told_again() {
    let mut gateway = Gateway::anywhere().await;
    let builder = Client::builder(gateway.url()).client_id("node");
    let will = |text: &str| Some(Will::new("gone", text).expect("a Topic Name"));
    let (client, driver) = builder.will(will("one").expect("some")).build().expect("buildable");
    tokio::spawn(driver.run());
    timeout(PATIENCE, gateway.serve("one")).await.expect("in time");
    assert!(client.up().await);
    client.set_will(will("two"));
    timeout(PATIENCE, gateway.serve("two")).await.expect("in time");
    assert_eq!(gateway.heard, ["gone", "one", "two"]);
}

#[tokio::test]
async fn it_sleeps_and_wakes_to_publish() {
    let mut gateway = Gateway::anywhere().await;
    let (client, driver) = client(gateway.url());
    tokio::spawn(driver.run());
    client.sleep(60, Duration::from_secs(30)).expect("a node");
    timeout(PATIENCE, gateway.serve("bye Some(60)")).await.expect("in time");
    let delivery = client.publish("ab", "woken").qos(QoS::AtLeastOnce).send().expect("accepted");
    timeout(PATIENCE, gateway.serve("woken")).await.expect("in time");
    delivered(delivery).await;
    assert_eq!(client.stats().outages, 0);
}

#[tokio::test]
async fn what_the_protocol_has_not_is_refused() {
    let build = |id: &str, urls: [&str; 2]| {
        let builder = Client::builder(urls[0]).endpoint(urls[1]).client_id(id);
        builder.build().map(|(client, _)| client)
    };
    let (sn, mqtt) = ("mqttsn://127.0.0.1:1", "mqtt://127.0.0.1:1");
    assert!(matches!(build("node", [sn, mqtt]), Err(BuildError::Mixed)));
    let long = build("more than twenty-three characters", [sn, sn]);
    assert!(matches!(long, Err(BuildError::Connect(_))), "{long:?}");
    // Made up, and short enough.
    let client = build("", [sn, sn]).expect("buildable");
    assert_eq!(client.client_id().len(), 19);
    let large = client.publish("ab", vec![0; 1400]).send();
    assert!(large.is_err(), "{large:?}");
    assert_eq!(client.reauthenticate(), Err(Refused::Unsupported));
    let client = build("node", [mqtt, mqtt]).expect("buildable");
    assert_eq!(client.sleep(60, Duration::ZERO), Err(Refused::Unsupported));
    assert_eq!(client.wake(), Err(Refused::Unsupported));
}
