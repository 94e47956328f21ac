//! A radio below any link: it joins a network before the link is opened, and is the deeper rungs of
//! the recovery ladder.

use core::future::Future;
use core::time::Duration;

use embassy_time::{Instant, Timer, with_timeout};
use everlink_proto::engine::{Cause, Depth, Fault, Step};

pub use crate::network::Network;
use crate::{Link, Progress};

/// What a radio can do. To be implemented for a driver.
///
/// Any of these futures may be dropped half-way; [`leave`](Self::leave) or [`reset`](Self::reset)
/// come next then.
pub trait Wifi {
    /// Joins a network: returns when associated; addresses are not its business.
    fn join(&mut self, network: &Network<'_>) -> impl Future<Output = Result<(), Cause>>;

    /// Leaves the network, if any, so that the access point and everything behind it knows.
    fn leave(&mut self) -> impl Future<Output = ()>;

    /// Resets the radio, by its pin or power if there is one, and makes it ready to join again.
    fn reset(&mut self) -> impl Future<Output = ()>;

    /// Whether it is associated at present.
    fn is_joined(&mut self) -> bool;
}

/// How a [`WifiLink`] joins.
#[derive(Clone, Copy, Debug)]
pub struct JoinOptions {
    /// How long one network is tried.
    pub patience: Duration,
    /// How long an association must hold before it is trusted. At the edge of the range a radio joins
    /// and is thrown out again for hours.
    pub stable: Duration,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), stable: Duration::from_secs(2) }
    }
}

/// How often an association is looked at until it is trusted.
const LOOK: embassy_time::Duration = embassy_time::Duration::from_millis(250);

/// A link over a radio.
///
/// Opening joins a network first, if the radio is not in one: the one that served last before the
/// others in their order. [`Depth::Link`] leaves the network and [`Depth::Device`] resets the radio;
/// how long they stay down is the [ladder's](https://docs.rs/everlink) hold time. The time to open
/// a connection must cover all that: 30 s is a good value.
#[derive(Debug)]
pub struct WifiLink<'n, W, L> {
    wifi: W,
    link: L,
    networks: &'n [Network<'n>],
    options: JoinOptions,
    /// The network that served last.
    remembered: usize,
    /// The radio may be half-way to somewhere.
    unsure: bool,
}

impl<'n, W: Wifi, L: Link> WifiLink<'n, W, L> {
    /// `link` over `wifi`, which joins one of `networks`.
    pub fn new(wifi: W, link: L, networks: &'n [Network<'n>]) -> Self {
        let options = JoinOptions::default();
        Self { wifi, link, networks, options, remembered: 0, unsure: false }
    }

    /// Replaces the options.
    #[must_use]
    pub fn options(mut self, options: JoinOptions) -> Self {
        self.options = options;
        self
    }

    /// Index of the network that served last, to be kept over a reset.
    pub fn remembered(&self) -> usize {
        self.remembered
    }

    /// Begins with this network.
    #[must_use]
    pub fn remember(mut self, network: usize) -> Self {
        self.remembered = network;
        self
    }

    /// Joins the first network that will have us.
    async fn join(&mut self) -> Result<(), Cause> {
        if self.wifi.is_joined() && !self.unsure {
            return Ok(());
        }
        let mut told = Cause::Unreachable;
        let first = self.remembered.min(self.networks.len().saturating_sub(1));
        let others = (0..self.networks.len()).filter(|at| *at != first);
        for at in core::iter::once(first).chain(others) {
            let Some(network) = self.networks.get(at) else { break };
            if core::mem::replace(&mut self.unsure, true) {
                self.wifi.leave().await;
            }
            match try_join(&mut self.wifi, network, &self.options).await {
                Ok(()) => {
                    (self.remembered, self.unsure) = (at, false);
                    return Ok(());
                }
                Err(cause) => told = cause,
            }
        }
        Err(told)
    }
}

async fn try_join(
    wifi: &mut impl Wifi,
    network: &Network<'_>,
    options: &JoinOptions,
) -> Result<(), Cause> {
    let patience = duration(options.patience);
    with_timeout(patience, wifi.join(network)).await.unwrap_or(Err(Cause::OpenTimeout))?;
    let until = Instant::now() + duration(options.stable);
    while Instant::now() < until {
        Timer::after(LOOK.min(until.saturating_duration_since(Instant::now()))).await;
        if !wifi.is_joined() {
            return Err(Cause::Reset);
        }
    }
    Ok(())
}

fn duration(d: Duration) -> embassy_time::Duration {
    embassy_time::Duration::from_micros(d.as_micros().min(1 << 52) as u64)
}

impl<W: Wifi, L: Link> Link for WifiLink<'_, W, L> {
    type Pipe = L::Pipe;

    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<L::Pipe, Fault> {
        progress.set(Step::Link);
        self.join().await.map_err(|cause| Fault::new(Step::Link, cause))?;
        self.link.open(endpoint, progress).await
    }

    async fn cycle(&mut self, depth: Depth) {
        if depth == Depth::Pipe {
            return;
        }
        self.unsure = true;
        match depth {
            Depth::Device => self.wifi.reset().await,
            _ => self.wifi.leave().await,
        }
        self.unsure = false;
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        self.link.redirect(server, permanent)
    }
}
