//! Enhanced authentication (4.12).

use everlink_proto::wire::{Auth, Packet, Properties, Property, ReasonCode};

use super::*;

impl Broker {
    pub(super) fn start_auth(&mut self, id: PipeId, method: &str, connect: &[u8]) {
        if self.cfg.auth.as_ref().is_none_or(|plan| plan.method != method) {
            return self.refuse(id, &ReasonCode::BAD_AUTHENTICATION_METHOD.into());
        }
        self.challenge(id, 0, connect.to_vec(), false);
    }

    pub(super) fn on_auth(&mut self, id: PipeId, auth: &Auth<'_>) {
        let Some(conn) = self.conns.get(&id) else { return };
        let plan = self.cfg.auth.clone().unwrap_or_default();
        if auth.props.authentication_method() != Some(&plan.method) {
            // [MQTT-4.12.0-5]
            let what = format!("method {:?}", auth.props.authentication_method());
            return self.offend(id, "MQTT-4.12.0-5", what, ReasonCode::PROTOCOL_ERROR);
        }
        match (&conn.phase, auth.reason) {
            (Phase::Up, ReasonCode::RE_AUTHENTICATE) => self.challenge(id, 0, Vec::new(), true),
            (
                Phase::Authenticating { round, connect, again },
                ReasonCode::CONTINUE_AUTHENTICATION,
            ) => {
                let wanted = plan.rounds.get(*round).map(|(_, answer)| answer.as_slice());
                if auth.props.authentication_data() != wanted {
                    let refusal = ReasonCode::NOT_AUTHORIZED;
                    return if *again {
                        self.end(id, Some(refusal), true)
                    } else {
                        self.refuse(id, &refusal.into())
                    };
                }
                let (next, connect, again) = (round + 1, connect.clone(), *again);
                self.challenge(id, next, connect, again);
            }
            (phase, reason) => {
                let what = format!("AUTH {reason:?} in {phase:?}");
                self.offend(id, "unexpected AUTH", what, ReasonCode::PROTOCOL_ERROR);
            }
        }
    }

    /// Sends challenge `round`, or ends the authentication well.
    fn challenge(&mut self, id: PipeId, round: usize, connect: Vec<u8>, again: bool) {
        let plan = self.cfg.auth.clone().unwrap_or_default();
        let Some((data, _)) = plan.rounds.get(round) else {
            return self.authenticated(id, &connect, again);
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.phase = Phase::Authenticating { round, connect, again };
        }
        let list =
            [Property::AuthenticationMethod(&plan.method), Property::AuthenticationData(data)];
        let (reason, props) = (ReasonCode::CONTINUE_AUTHENTICATION, Properties::from_list(&list));
        self.send(id, Auth { reason, props });
    }

    fn authenticated(&mut self, id: PipeId, connect: &[u8], again: bool) {
        if !again {
            if let Ok((version, connect)) = Packet::decode_connect(connect) {
                self.accept(id, version, &connect);
            }
            return;
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.phase = Phase::Up;
        }
        let plan = self.cfg.auth.clone().unwrap_or_default();
        let list = [Property::AuthenticationMethod(&plan.method)];
        self.send(id, Auth { reason: ReasonCode::SUCCESS, props: Properties::from_list(&list) });
    }
}
