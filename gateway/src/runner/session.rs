//! A node's MQTT session in transparent mode: a client of its own.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use everlink::{Client, Driver, Message, QoS, Stopped, Subscription, Will};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::streams::{Heard, Streams};
use crate::core::{Close, NodeId};

/// Messages on the way from a session to the core that the core has not taken.
const CREDIT: usize = 16;

/// What the core wants of a session.
#[derive(Debug)]
pub(super) enum Order {
    /// Connect, again perhaps.
    Open,
    Close(Close),
    Will(Option<LastWords>),
    Subscribe {
        token: u16,
        filter: String,
        stream: Subscription,
    },
    Unsubscribe {
        token: u16,
        filter: String,
    },
    /// The core took a message.
    Taken,
}

/// What a session tells the core.
#[derive(Debug)]
pub(super) enum Word {
    Up { resumed: bool },
    Down,
    Refused,
    Subscribed { token: u16, granted: Option<QoS> },
    Unsubscribed { token: u16 },
    Published { token: u16, how: crate::core::Published },
    Arrived(Message),
}

/// Everybody's words arrive here.
pub(super) type Words = UnboundedSender<(NodeId, Word)>;

/// A session's task.
pub(super) struct Session {
    pub(super) node: NodeId,
    pub(super) client: Client,
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) words: Words,
    pub(super) streams: Streams,
    pub(super) last_words: Option<LastWords>,
    /// The gateway goes on where it was when it is started again.
    pub(super) survives: bool,
}

/// The broker waits so long before it publishes the will of a node whose gateway was killed: the gateway may
/// come back, and the node was never away.
const DELAY: Duration = Duration::from_secs(60);
/// How long a will that the gateway publishes itself may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// A node's will.
#[derive(Clone, Debug)]
pub(super) struct LastWords {
    pub(super) topic: String,
    pub(super) message: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl LastWords {
    /// As CONNECT says it.
    pub(super) fn will(&self, delayed: bool) -> Option<Will> {
        let will = Will::new(self.topic.as_str(), self.message.as_slice()).ok()?;
        let will = will.qos(self.qos).retain(self.retain);
        Some(if delayed { will.delay(DELAY) } else { will })
    }
}

type Running = Pin<Box<dyn Future<Output = Stopped> + Send>>;

impl Session {
    /// Lives until the core gives the session up.
    pub(super) async fn run(mut self, driver: Driver) {
        let mut running: Option<Running> = Some(Box::pin(driver.run()));
        let mut resting: Option<Driver> = None;
        let (mut wanted, mut forget) = (true, false);
        let mut watch = self.client.watch();
        let (mut up, mut credit) = (false, CREDIT);
        loop {
            tokio::select! {
                stopped = drive(&mut running) => {
                    running = None;
                    if std::mem::take(&mut up) {
                        self.say(Word::Down);
                    }
                    if forget {
                        return;
                    }
                    resting = Some(stopped.driver);
                }
                // Nobody gives orders to a session that is given up.
                order = self.orders.recv(), if !forget => match order {
                    None => return,
                    Some(Order::Open) => wanted = true,
                    Some(Order::Close(how)) => {
                        (wanted, forget) = (false, how.forget);
                        self.leave(how);
                        if running.is_none() && forget {
                            return;
                        }
                    }
                    Some(Order::Will(will)) => self.change_will(will, running.is_some()),
                    Some(Order::Taken) => credit += 1,
                    Some(order) => self.change(order),
                },
                heard = self.streams.next(), if credit > 0 => match heard {
                    Heard::Message(message) => {
                        credit -= 1;
                        self.say(Word::Arrived(message));
                    }
                    Heard::Granted { token, qos } => {
                        self.say(Word::Subscribed { token, granted: qos });
                    }
                },
                changed = watch.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let state = *watch.borrow_and_update();
                    if state.is_up() != up {
                        up = state.is_up();
                        self.say(if up { Word::Up { resumed: state.resumed } } else { Word::Down });
                    }
                }
            }
            if wanted && let Some(driver) = resting.take() {
                running = Some(Box::pin(driver.run()));
            }
        }
    }

    /// A will is said in CONNECT only: leave, and come back at once.
    fn change_will(&mut self, last_words: Option<LastWords>, running: bool) {
        self.client.set_will(last_words.as_ref().and_then(|words| words.will(self.survives)));
        self.last_words = last_words;
        if running {
            self.client.close();
        }
    }

    fn say(&self, word: Word) {
        // Nobody listens while the gateway stops.
        let _ = self.words.send((self.node, word));
    }

    fn leave(&self, how: Close) {
        let client = self.client.clone();
        let bye = move || match how.forget {
            true => client.close_expiring(Duration::ZERO),
            false => client.close(),
        };
        match &self.last_words {
            // The broker would wait with a will that it was told to delay. Without a connection it is on
            // its way already.
            Some(words) if how.will && self.survives && self.client.state().is_up() => {
                let publish = self.client.publish(&words.topic, &words.message);
                let sent = publish.qos(words.qos).retain(words.retain).send();
                tokio::spawn(async move {
                    if let Ok(delivery) = sent {
                        let _ = tokio::time::timeout(FAREWELL, delivery).await;
                    }
                    bye();
                });
            }
            Some(_) if how.will => self.client.close_with_will(),
            _ => bye(),
        }
    }

    /// A subscription is made or ended.
    fn change(&mut self, order: Order) {
        match order {
            Order::Subscribe { token, filter, stream } => {
                self.streams.add(filter, stream, Some(token));
            }
            Order::Unsubscribe { token, filter } => {
                let (node, words) = (self.node, self.words.clone());
                let stream = self.streams.remove(&filter);
                let client = self.client.clone();
                // The broker's answer is waited for beside everything else.
                tokio::spawn(async move {
                    match stream {
                        Some(stream) => drop(stream.unsubscribe().await),
                        // Of an earlier run.
                        None => drop(client.unsubscribe(&filter).await),
                    }
                    let _ = words.send((node, Word::Unsubscribed { token }));
                });
            }
            _ => {}
        }
    }
}

async fn drive(running: &mut Option<Running>) -> Stopped {
    match running {
        Some(run) => run.await,
        None => pending().await,
    }
}
