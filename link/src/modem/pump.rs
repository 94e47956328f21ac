//! A module at a serial port of a board.
//!
//! ```no_run
//! # use embassy_sync::blocking_mutex::raw::NoopRawMutex;
//! # use everlink_link::embedded::relay::Relay;
//! # use everlink_link::modem::{self, Broker, EspAt, ModemOptions, Network, Route};
//! # async fn example(rx: impl embedded_io_async::Read, tx: impl embedded_io_async::Write) {
//! # fn spawn(_: impl Future) {}
//! # struct Pin;
//! # impl Pin { fn set_low(&mut self) {} fn set_high(&mut self) {} }
//! # let mut pin = Pin;
//! let route = Route {
//!     networks: &[Network { ssid: "shed", passphrase: "a secret" }],
//!     brokers: &[Broker::tcp("broker.local", 1883)],
//! };
//! let (mut up, mut down) = ([0; 256], [0; 256]);
//! let relay = Relay::<NoopRawMutex>::new(&mut up, &mut down);
//! let options = ModemOptions { has_reset_pin: true, ..ModemOptions::default() };
//! let mut modem = EspAt::new(options, [0; 512], [0; 512]);
//! let reset = |low| if low { pin.set_low() } else { pin.set_high() };
//! spawn(modem::pump(&relay, &mut modem, route, rx, tx, reset));
//! let link = relay.link(); // for the driver
//! # let _ = link;
//! # }
//! ```

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};

use embassy_sync::blocking_mutex::raw::RawMutex;
use embassy_time::{Duration, Timer};
use embedded_io_async::{Read, Write};
use everlink_proto::engine::{Cause, Fault, Step};
use everlink_proto::time::Instant;

use super::esp_at::LONGEST_COMMAND;
use super::{Broker, EspAt, Network, Output, Plan, State};
use crate::embedded::relay::{Relay, Request, Want};

/// Bytes moved at a time.
const BLOCK: usize = 64;
/// Pause after an error of the port, which may be there to stay.
const PAUSE: Duration = Duration::from_millis(20);
/// Rounds before other tasks get their turn.
const ROUNDS: usize = 16;

/// Where a module is to go: networks in the order to try them, and the brokers that the client counts
/// as its endpoints.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    /// The networks; without any, the module goes to the one in its own memory.
    pub networks: &'r [Network<'r>],
    /// The brokers. With none, every attempt fails.
    pub brokers: &'r [Broker<'r>],
}

/// One of the brokers of a route.
struct Trip<'r>(Route<'r>, u16);

impl Plan for Trip<'_> {
    fn network(&self, number: usize) -> Option<Network<'_>> {
        self.0.networks.get(number).copied()
    }

    fn broker(&self) -> Broker<'_> {
        let number = usize::from(self.1).checked_rem(self.0.brokers.len());
        // A port at which nothing is: the module refuses that.
        number.and_then(|n| self.0.brokers.get(n)).copied().unwrap_or(Broker::tcp("0.0.0.0", 0))
    }
}

/// Lets `modem` serve the client at the other end of `relay`, over a serial port, for ever.
///
/// `reset` sets the module's reset pin, low if it is told `true`; it is called only if the modem's options
/// say that there is one. The receiving half of the port needs a buffer, or the line its RTS and CTS:
/// the module speaks when it likes. Dropping the future may lose bytes.
pub async fn pump<M, B>(
    relay: &Relay<'_, M>,
    modem: &mut EspAt<B>,
    route: Route<'_>,
    rx: impl Read,
    tx: impl Write,
    reset: impl FnMut(bool),
) -> Infallible
where
    M: RawMutex,
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let modem = RefCell::new(modem);
    let client = Client { relay, modem: &modem, trip: Trip(route, 0), at_hand: None, told: None };
    let mut inward = pin!(inward(&modem, rx));
    let mut outward = pin!(outward(client, tx, reset));
    // In this order: what was heard may call for an answer. Neither is ever dropped half-way.
    poll_fn(|cx| {
        let _: Poll<Infallible> = inward.as_mut().poll(cx);
        let _: Poll<Infallible> = outward.as_mut().poll(cx);
        Poll::Pending
    })
    .await
}

fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

type Shared<'s, 'e, B> = &'s RefCell<&'e mut EspAt<B>>;

/// From the port to the modem.
async fn inward<B>(modem: Shared<'_, '_, B>, mut rx: impl Read) -> Infallible
where
    B: AsRef<[u8]> + AsMut<[u8]>,
{
    let mut block = [0; BLOCK];
    loop {
        match rx.read(&mut block).await {
            Ok(n @ 1..) => {
                modem.borrow_mut().receive(now(), block.get(..n).unwrap_or(&[]));
            }
            Ok(0) | Err(_) => {
                modem.borrow_mut().line_lost(Cause::Io(0));
                Timer::after(PAUSE).await;
            }
        }
    }
}

/// From the modem to the port, and both ways to the client.
async fn outward<M: RawMutex, B: AsRef<[u8]> + AsMut<[u8]>>(
    mut client: Client<'_, '_, '_, '_, M, B>,
    mut tx: impl Write,
    mut reset: impl FnMut(bool),
) -> Infallible {
    let mut out = [0; LONGEST_COMMAND];
    loop {
        let what = poll_fn(|cx| client.poll(cx, &mut out)).await;
        let sent = match what {
            Output::Send(n) => {
                let sent = tx.write_all(out.get(..n).unwrap_or(&[])).await;
                if sent.is_ok() { tx.flush().await } else { sent }
            }
            Output::Pin { low } => {
                reset(low);
                Ok(())
            }
            Output::Wait(_) => Ok(()),
        };
        if sent.is_err() {
            client.modem.borrow_mut().line_lost(Cause::Io(0));
            Timer::after(PAUSE).await;
        }
    }
}

/// What the client wants, and how far it is served.
struct Client<'c, 'm, 'e, 'r, M: RawMutex, B> {
    relay: &'c Relay<'m, M>,
    modem: Shared<'c, 'e, B>,
    trip: Trip<'r>,
    at_hand: Option<(Want, Request<'c, 'm, M>)>,
    /// The step it was told last.
    told: Option<Step>,
}

impl<M: RawMutex, B: AsRef<[u8]> + AsMut<[u8]>> Client<'_, '_, '_, '_, M, B> {
    /// Waits for something to carry out.
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<Output> {
        for _ in 0..ROUNDS {
            let moved = self.exchange(cx);
            let mut modem = self.modem.borrow_mut();
            let before = modem.state();
            match modem.poll(now(), &self.trip, out) {
                // The client is to be told.
                Output::Wait(_) if moved || modem.state() != before => {}
                Output::Wait(at) => {
                    let Some(at) = at else { return Poll::Pending };
                    let at = embassy_time::Instant::from_micros(at.as_micros().saturating_add(1));
                    return pin!(Timer::at(at)).poll(cx).map(|()| Output::Wait(None));
                }
                output => return Poll::Ready(output),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves what can be moved between client and modem, and tells the client where it stands.
    fn exchange(&mut self, cx: &mut Context<'_>) -> bool {
        if let Poll::Ready((want, request)) = pin!(self.relay.request()).poll(cx) {
            let mut modem = self.modem.borrow_mut();
            match want {
                Want::Open(number) => {
                    self.trip.1 = number;
                    modem.open();
                }
                Want::Cycle(depth) => modem.cycle(depth),
            }
            (self.at_hand, self.told) = (Some((want, request)), None);
        }
        let Some((want, request)) = self.at_hand else { return false };
        if pin!(request.abandoned()).poll(cx).is_ready() {
            self.modem.borrow_mut().abandon();
            self.at_hand = None;
            return false;
        }
        let state = self.modem.borrow().state();
        match (state, want) {
            (State::Busy(step), _) => {
                // Telling wakes us, too.
                if self.told.replace(step) != Some(step) {
                    request.progress(step);
                }
                false
            }
            (State::Open, _) => {
                if self.told.replace(Step::Up) != Some(Step::Up) {
                    request.accept();
                }
                let down = self.down(cx, request);
                self.up(cx, request) || down
            }
            (State::Ended(_), _) if self.down(cx, request) => true,
            (State::Ended(_), _) if self.modem.borrow().has_received() => false,
            (State::Ended(None), _) => self.part(|| request.end()),
            (State::Ended(Some(cause)), _) => {
                self.part(|| request.fail(Fault::new(Step::Transport, cause)))
            }
            (State::Failed(fault), _) => self.part(|| request.fail(fault)),
            (State::Idle, Want::Cycle(_)) => self.part(|| request.accept()),
            (State::Idle, Want::Open(_)) => self.part(|| request.end()),
        }
    }

    fn part(&mut self, tell: impl FnOnce()) -> bool {
        tell();
        self.at_hand = None;
        false
    }

    /// From the client.
    fn up(&mut self, cx: &mut Context<'_>, request: Request<'_, '_, M>) -> bool {
        let mut modem = self.modem.borrow_mut();
        let mut block = [0; BLOCK];
        let room = modem.room().min(BLOCK);
        let Some(block) = block.get_mut(..room).filter(|b| !b.is_empty()) else { return false };
        let read = pin!(request.read(block)).poll(cx);
        match read {
            Poll::Ready(Some(n)) => modem.write(block.get(..n).unwrap_or(&[])) > 0,
            Poll::Ready(None) => {
                // Said all, or gone; the latter shows next time.
                modem.close();
                false
            }
            Poll::Pending => false,
        }
    }

    /// To the client.
    fn down(&mut self, cx: &mut Context<'_>, request: Request<'_, '_, M>) -> bool {
        let mut modem = self.modem.borrow_mut();
        let Poll::Ready(Some(n)) = request.poll_write(cx, modem.received()) else { return false };
        modem.consume(n);
        n > 0
    }
}
