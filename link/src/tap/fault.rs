//! Breaks a link on purpose, by a seeded schedule.

use core::fmt;
use core::str::FromStr;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use everlink_proto::engine::{Cause, Depth, Fault, Step};

use crate::{Link, Pipe, Progress};

/// What is to go wrong. Where there is a range, each connection draws a value from it, evenly; the
/// same seed draws the same values.
///
/// Written in one line, as [`FromStr`] reads it:
/// `seed=7,refuse=20%,cut=1000..20000,stall=5000..90000,delay=5..50,first=10`; each part may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where the random numbers begin.
    pub seed: u64,
    /// So many attempts of a hundred are refused before anything is opened; 0 to 100.
    pub refuse: u8,
    /// The connection is reset after so many bytes, both directions together.
    pub cut: Option<(u64, u64)>,
    /// After so many bytes nothing goes through any more, and nothing says so: a connection that is half-open.
    pub stall: Option<(u64, u64)>,
    /// Each write waits so many milliseconds.
    pub delay: Option<(u64, u64)>,
    /// Only the first so many attempts are touched; the others go well.
    pub first: Option<u64>,
}

/// What is wrong with a [`Plan`] in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPlan {
    /// No such fault.
    Unknown,
    /// A value is no number, no range of two numbers, or no percentage.
    Value,
}

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the faults are refuse=20%, cut=BYTES, stall=BYTES and delay=MS, with seed=N and first=N",
            Self::Value => "a number, a range such as 1000..20000, or with refuse a percentage is wanted",
        })
    }
}

impl core::error::Error for BadPlan {}

impl FromStr for Plan {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let mut plan = Self::default();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(BadPlan::Unknown)?;
            let number = || value.parse::<u64>().map_err(|_| BadPlan::Value);
            match name {
                "seed" => plan.seed = number()?,
                "first" => plan.first = Some(number()?),
                "refuse" => plan.refuse = percent(value)?,
                "cut" => plan.cut = Some(range(value)?),
                "stall" => plan.stall = Some(range(value)?),
                "delay" => plan.delay = Some(range(value)?),
                _ => return Err(BadPlan::Unknown),
            }
        }
        Ok(plan)
    }
}

fn percent(text: &str) -> Result<u8, BadPlan> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|percent| *percent <= 100).ok_or(BadPlan::Value)
}

fn range(text: &str) -> Result<(u64, u64), BadPlan> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().map_err(|_| BadPlan::Value);
    let (from, to) = (number(from)?, number(to)?);
    if from > to { Err(BadPlan::Value) } else { Ok((from, to)) }
}

/// One alarm of whatever keeps time.
pub trait Alarm: Default {
    /// It rings so long from now.
    fn set(&mut self, after: Duration);

    /// Ready once it has rung; the waker of `cx` is registered.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Tokio's time.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub struct TokioAlarm(Option<core::pin::Pin<std::boxed::Box<tokio::time::Sleep>>>);

#[cfg(feature = "tokio")]
impl Alarm for TokioAlarm {
    fn set(&mut self, after: Duration) {
        self.0 = Some(std::boxed::Box::pin(tokio::time::sleep(after)));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        use core::future::Future;
        self.0.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

/// Embassy's time.
#[cfg(any(feature = "embassy-net", feature = "uart", feature = "embedded-tls", feature = "wifi"))]
#[derive(Debug, Default)]
pub struct EmbassyAlarm(Option<embassy_time::Timer>);

#[cfg(any(feature = "embassy-net", feature = "uart", feature = "embedded-tls", feature = "wifi"))]
impl Alarm for EmbassyAlarm {
    fn set(&mut self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.0 = Some(embassy_time::Timer::after_micros(micros));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        use core::{future::Future, pin::Pin};
        self.0.as_mut().map_or(Poll::Ready(()), |timer| Pin::new(timer).poll(cx))
    }
}

/// A link that breaks on purpose.
#[derive(Debug)]
pub struct FaultLink<L, A> {
    link: L,
    plan: Plan,
    random: u64,
    attempts: u64,
    alarm: core::marker::PhantomData<A>,
}

impl<L, A: Alarm> FaultLink<L, A> {
    /// Breaks `link` by `plan`.
    pub fn new(link: L, plan: Plan) -> Self {
        Self { link, plan, random: plan.seed, attempts: 0, alarm: core::marker::PhantomData }
    }

    /// SplitMix64: one multiplication more than a counter, and good enough to break things.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn draw(&mut self, range: Option<(u64, u64)>) -> Option<u64> {
        let (from, to) = range?;
        let random = self.random();
        let span = to.saturating_sub(from).checked_add(1);
        Some(from + span.map_or(random, |span| random % span))
    }
}

impl<L: Link, A: Alarm> Link for FaultLink<L, A> {
    type Pipe = FaultPipe<L::Pipe, A>;

    async fn open(&mut self, endpoint: u16, progress: &Progress) -> Result<Self::Pipe, Fault> {
        self.attempts += 1;
        let touched = self.plan.first.is_none_or(|first| self.attempts <= first);
        let plan = if touched { self.plan } else { Plan::default() };
        // Drawn whether or not they are used: a refusal shifts nothing.
        let refused = self.random() % 100 < u64::from(plan.refuse);
        let (cut, stall) = (self.draw(plan.cut), self.draw(plan.stall));
        let delay = self.draw(plan.delay).map(Duration::from_millis);
        if refused {
            progress.set(Step::Transport);
            return Err(Fault::new(Step::Transport, Cause::Refused));
        }
        let pipe = self.link.open(endpoint, progress).await?;
        let ends = cut.into_iter().chain(stall).min();
        let stalls = ends.is_some() && ends == stall && ends != cut;
        let (alarm, waiting) = (A::default(), false);
        Ok(FaultPipe { pipe: Some(pipe), left: ends, stalls, delay, alarm, waiting })
    }

    async fn cycle(&mut self, depth: Depth) {
        self.link.cycle(depth).await;
    }

    async fn try_out(&mut self, endpoint: u16) -> bool {
        self.link.try_out(endpoint).await
    }

    #[cfg(feature = "std")]
    fn words(&self) -> Option<crate::Words> {
        self.link.words()
    }

    fn redirect(&mut self, server: &str, permanent: bool) -> bool {
        self.link.redirect(server, permanent)
    }
}

/// A pipe that breaks on purpose.
#[derive(Debug)]
pub struct FaultPipe<P, A> {
    /// `None` once it was cut.
    pipe: Option<P>,
    /// Bytes until it breaks, if it does.
    left: Option<u64>,
    /// It stalls then, and is not cut.
    stalls: bool,
    delay: Option<Duration>,
    alarm: A,
    /// The alarm is set for the next write.
    waiting: bool,
}

impl<P: Pipe, A: Alarm> FaultPipe<P, A> {
    /// How many of `len` bytes may pass, or that none will.
    fn pass(&mut self, len: usize) -> Poll<Result<usize, Cause>> {
        let left = self.left.map_or(len, |left| usize::try_from(left).unwrap_or(usize::MAX));
        match left {
            // Nothing will wake whoever waits for this: that is what a stall is.
            0 if len > 0 && self.stalls => Poll::Pending,
            0 if len > 0 => {
                self.pipe = None;
                Poll::Ready(Err(Cause::Reset))
            }
            _ => Poll::Ready(Ok(left.min(len))),
        }
    }

    fn passed(&mut self, n: usize) -> usize {
        self.left = self.left.map(|left| left.saturating_sub(n as u64));
        n
    }
}

impl<P: Pipe, A: Alarm> Pipe for FaultPipe<P, A> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Cause>> {
        let most = ready!(self.pass(buf.len()))?;
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Err(Cause::Reset)) };
        let n = ready!(pipe.poll_read(cx, &mut buf[..most]))?;
        Poll::Ready(Ok(self.passed(n)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Cause>> {
        let most = ready!(self.pass(buf.len()))?;
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Err(Cause::Reset)) };
        if let Some(delay) = self.delay {
            if !self.waiting {
                self.alarm.set(delay);
                self.waiting = true;
            }
            ready!(self.alarm.poll(cx));
        }
        let n = ready!(pipe.poll_write(cx, &buf[..most]))?;
        self.waiting = false;
        Poll::Ready(Ok(self.passed(n)))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.pipe.as_mut().map_or(Poll::Ready(Ok(())), |pipe| pipe.poll_flush(cx))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Through a stalled connection no end arrives either.
        match &mut self.pipe {
            Some(pipe) if !(self.stalls && self.left == Some(0)) => pipe.poll_close(cx),
            _ => Poll::Ready(()),
        }
    }
}
