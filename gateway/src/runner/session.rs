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
    Will(Option<Will>),
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
    fn change_will(&self, will: Option<Will>, running: bool) {
        self.client.set_will(will);
        if running {
            self.client.close();
        }
    }

    fn say(&self, word: Word) {
        // Nobody listens while the gateway stops.
        let _ = self.words.send((self.node, word));
    }

    fn leave(&self, how: Close) {
        match how {
            Close { will: true, .. } => self.client.close_with_will(),
            Close { forget: true, .. } => self.client.close_expiring(Duration::ZERO),
            Close { .. } => self.client.close(),
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
