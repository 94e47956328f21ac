//! The beginning and the end of a node's connection, its will, its sleep (6.2 to 6.4, 6.11 to 6.14).

use everlink_proto::sn::wire::{Connect, Message, ReturnCode, WillTopic};
use everlink_proto::wire::QoS;

use super::node::Phase;
use super::turn::Turn;
use super::{Close, Event, NodeId, Open, Outside, Predefined};

impl<A: Copy, O: Outside<A>, P: Predefined> Turn<'_, '_, A, O, P> {
    /// CONNECT. Tells who the node is now: a session that begins anew is another.
    pub(crate) fn connect(&mut self, connect: &Connect<'_>) -> NodeId {
        let again = self.node.phase == Phase::Opening
            && !connect.will
            && connect.clean_session == self.node.clean;
        if again {
            // Sent again because the broker takes its time.
            return self.id;
        }
        if connect.clean_session {
            self.begin_anew();
        }
        self.node.clean = connect.clean_session;
        self.node.keep_alive = connect.duration;
        self.node.names.doubt();
        self.node.changed = true;
        self.suspend();
        if connect.will {
            self.node.phase = Phase::WillTopic;
            self.patience();
            self.send(&Message::WillTopicReq);
        } else {
            self.open();
        }
        self.id
    }

    /// WILLTOPIC, also when WILLMSGREQ was lost and it comes again.
    pub(crate) fn will_topic(&mut self, will: Option<&WillTopic<'_>>) {
        if !matches!(self.node.phase, Phase::WillTopic | Phase::WillMessage) {
            return;
        }
        if !self.take_will_topic(will) {
            return self.refused(ReturnCode::CONGESTION);
        }
        if will.is_none() {
            // Deletes the will; there is nothing more to ask for (6.3).
            return self.will_is_known();
        }
        self.node.phase = Phase::WillMessage;
        self.patience();
        self.send(&Message::WillMsgReq);
    }

    /// WILLMSG, also when CONNACK was lost and it comes again.
    pub(crate) fn will_message(&mut self, data: &[u8]) {
        match self.node.phase {
            Phase::WillMessage if self.node.names.set_will_message(data) => self.will_is_known(),
            Phase::WillMessage => self.refused(ReturnCode::CONGESTION),
            Phase::Active => self.send(&Message::ConnAck(ReturnCode::ACCEPTED)),
            _ => {}
        }
    }

    /// WILLTOPICUPD.
    pub(crate) fn will_topic_update(&mut self, will: Option<&WillTopic<'_>>) {
        let code =
            if self.take_will_topic(will) { ReturnCode::ACCEPTED } else { ReturnCode::CONGESTION };
        self.out.will(self.id, self.node.names.will());
        self.send(&Message::WillTopicResp(code));
    }

    /// WILLMSGUPD.
    pub(crate) fn will_message_update(&mut self, data: &[u8]) {
        let fits = self.node.names.set_will_message(data);
        self.node.changed = true;
        let code = if fits { ReturnCode::ACCEPTED } else { ReturnCode::CONGESTION };
        self.out.will(self.id, self.node.names.will());
        self.send(&Message::WillMsgResp(code));
    }

    /// The node's MQTT session is connected.
    pub(crate) fn up(&mut self, resumed: bool) {
        self.node.up = true;
        if !resumed {
            self.node.buffer.outlive_session();
        }
        if self.node.phase == Phase::Opening {
            self.accept();
        }
    }

    pub(crate) fn down(&mut self) {
        self.node.up = false;
        self.node.buffer.outlive_connection();
    }

    /// The node cannot be served.
    pub(crate) fn refused(&mut self, code: ReturnCode) {
        if code == ReturnCode::CONGESTION {
            self.common.stats.congestion += 1;
        }
        match self.node.phase {
            Phase::Opening | Phase::WillTopic | Phase::WillMessage => {
                self.send(&Message::ConnAck(code));
            }
            phase if phase.is_connected() => self.send(&Message::Disconnect(None)),
            _ => return,
        }
        self.close(false);
    }

    /// DISCONNECT.
    pub(crate) fn disconnect(&mut self, duration: Option<u16>) {
        match duration {
            Some(seconds) if seconds > 0 && self.node.phase.is_connected() => {
                self.node.sleep = seconds;
                self.suspend();
                self.node.phase = Phase::Asleep;
                (self.node.changed, self.node.roused) = (true, false);
                self.heard();
                self.event(|node| Event::Asleep { node, seconds });
            }
            _ if self.node.phase != Phase::Disconnected => {
                self.close(false);
                self.event(|node| Event::Disconnected { node });
            }
            _ => {}
        }
        self.send(&Message::Disconnect(None));
    }

    /// PINGREQ with a client identifier.
    pub(crate) fn wake(&mut self) {
        match self.node.phase {
            Phase::Active => self.send(&Message::PingResp),
            Phase::Awake => {
                // It misses something: PINGRESP, or what the gateway waits for an answer to.
                if let Some(flight) = &mut self.node.flight {
                    flight.due = self.now;
                    self.retransmit();
                }
            }
            _ => {
                self.node.phase = Phase::Awake;
                self.node.awake = self.node.buffer.len();
            }
        }
        self.heard();
        self.pump();
    }

    /// The time is over in which it should have said something.
    pub(crate) fn fell_silent(&mut self) {
        match self.node.phase {
            Phase::Opening => self.refused(ReturnCode::CONGESTION),
            Phase::WillTopic | Phase::WillMessage => self.close(false),
            // Nobody came back to the session.
            Phase::Disconnected => {
                (self.node.clean, self.node.changed) = (true, true);
                self.out.close(self.id, Close { will: false, forget: true });
            }
            Phase::Free => {}
            _ => self.lost(),
        }
    }

    /// A connected node does not answer any more: its will is published (6.14).
    pub(crate) fn lost(&mut self) {
        self.common.stats.lost_nodes += 1;
        self.send(&Message::Disconnect(None));
        self.close(true);
        self.event(|node| Event::Lost { node });
    }

    /// Ends the MQTT session's connection. A session that nobody comes back to goes with it.
    fn close(&mut self, will: bool) {
        self.suspend();
        self.node.phase = Phase::Disconnected;
        self.node.changed = true;
        self.node.silent = Some(self.now + self.common.settings.session_expiry);
        self.node.buffer.outlive_connection();
        if self.node.open {
            self.out.close(self.id, Close { will, forget: self.node.clean });
        }
        (self.node.open, self.node.up) = (false, false);
    }

    /// What is under way to the node stops; it begins again when the node is there.
    fn suspend(&mut self) {
        self.node.flight = None;
        self.node.awake = 0;
    }

    /// Deletes "all subscriptions and will data" (6.3). Whatever the old session still tells is of
    /// another generation.
    fn begin_anew(&mut self) {
        if self.node.open {
            self.out.close(self.id, Close { will: false, forget: true });
        }
        (self.node.open, self.node.up) = (false, false);
        self.node.clear();
        self.node.generation = self.node.generation.wrapping_add(1);
        self.id.generation = self.node.generation;
    }

    fn take_will_topic(&mut self, will: Option<&WillTopic<'_>>) -> bool {
        let (topic, qos, retain) =
            will.map_or(("", QoS::AtMostOnce, false), |will| (will.topic, will.qos, will.retain));
        self.node.changed = true;
        self.node.names.set_will_topic(topic, qos, retain)
    }

    fn will_is_known(&mut self) {
        if self.node.open {
            self.out.will(self.id, self.node.names.will());
        }
        self.open();
    }

    /// Asks for the MQTT session, or takes what is there already.
    fn open(&mut self) {
        self.node.phase = Phase::Opening;
        if self.node.open && self.node.up {
            return self.accept();
        }
        self.node.silent = Some(self.now + self.common.settings.patience);
        if !self.node.open {
            self.ask_for_session(self.node.clean);
        }
    }

    pub(crate) fn ask_for_session(&mut self, clean: bool) {
        (self.node.open, self.node.up) = (true, false);
        let open = Open {
            client_id: self.node.client_id.as_str(),
            clean,
            keep_alive: self.node.keep_alive,
            will: self.node.names.will(),
        };
        self.out.open(self.id, &open, &mut self.node.names.filters());
    }

    fn accept(&mut self) {
        self.node.phase = Phase::Active;
        (self.node.changed, self.node.roused) = (true, false);
        self.node.silent = None;
        self.heard();
        self.send(&Message::ConnAck(ReturnCode::ACCEPTED));
        self.event(|node| Event::Active { node });
        self.pump();
    }

    /// A node that does not go on with connecting is forgotten.
    fn patience(&mut self) {
        let settings = &self.common.settings;
        let longest = settings.retry.saturating_mul(u32::from(settings.retries) + 1);
        self.node.silent = Some(self.now + longest);
    }
}
