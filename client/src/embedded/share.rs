//! The driver's side of a hub.

use core::task::Context;

use embassy_sync::blocking_mutex::raw::RawMutex;
use everlink_proto::engine::{Engine, Event};
use everlink_proto::session::Session;
use everlink_proto::store::Store;
use everlink_proto::time::Instant;

use super::hub::Hub;
use super::inbox::Front;
use crate::driver::Share;

/// Shares a hub's engine with the driver.
pub(super) struct HubShare<'m, M: RawMutex, S>(pub(super) &'m Hub<'m, M, S>);

impl<'m, M: RawMutex, S: Store> Share for HubShare<'m, M, S> {
    type Engine = Session<'m, S>;
    type Inbox = Front<'m>;

    fn with<R: Default>(
        &self,
        cx: Option<&Context<'_>>,
        f: impl FnOnce(&mut Session<'m, S>, &mut Front<'m>) -> R,
    ) -> R {
        let result = self.0.with(|core, _| {
            if let Some(cx) = cx {
                match &mut core.driver {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
            }
            f(&mut core.engine, &mut core.front)
        });
        result.unwrap_or_default()
    }

    fn connect(
        &self,
        engine: &mut Session<'m, S>,
        front: &mut Front<'m>,
        now: Instant,
        tx: &mut [u8],
    ) -> usize {
        // What does not fit is reported as a fault of the handshake.
        engine.connect(now, front.connect.packet(), tx).unwrap_or(0)
    }

    fn event(&self, _engine: &Session<'m, S>, front: &mut Front<'m>, event: Event) {
        match event {
            Event::Up { .. } | Event::Down(_) => {}
            Event::GaveUp(_) | Event::Closed => front.close(),
        }
    }

    /// There is no memory for names of other servers: not followed.
    fn redirect(&self, _front: &mut Front<'m>, _apply: impl FnMut(&str, bool) -> bool) {}
}
