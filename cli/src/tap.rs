//! What looks at the link, as the flags ask.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everlink::record::Recorder;
use everlink::tap::{FaultLink, Pcap, Plan, Secrets, Spool, TapLink, TokioAlarm, Trace};
use everlink::{Builder, RoadLink};
use everlink_link::Elastic;

use crate::args::TapArgs;
use crate::exit::{Failure, say};

/// Largest packet that a trace describes as a whole, in bytes.
const PACKET: usize = 1 << 20;
/// How often the files are asked how they are.
const LOOK: Duration = Duration::from_millis(500);

type Clock = Box<dyn FnMut() -> Duration + Send>;
type Both = (Option<Trace<Clock, Lines, Elastic>>, Option<Pcap>);
/// A link with everything on it that the flags can ask for.
pub(crate) type Tapped = TapLink<FaultLink<RoadLink, TokioAlarm>, Arc<Mutex<Both>>>;

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    tap: Option<Arc<Mutex<Both>>>,
    plan: Option<Plan>,
    recorder: Option<Recorder>,
    outputs: Vec<Watched>,
}

/// An output, and whether it was told that it failed.
#[derive(Clone, Debug)]
struct Watched {
    name: String,
    spool: Spool,
    told: Arc<Mutex<bool>>,
}

impl Taps {
    /// Opens the files.
    pub(crate) fn open(args: &TapArgs) -> Result<Self, Failure> {
        let shows = args.trace || args.pcap.is_some() || args.record.is_some();
        if args.with_secrets && !shows {
            return Err(Failure::usage("--with-secrets: there is nothing that would show them"));
        }
        let secrets = if args.with_secrets { Secrets::Shown } else { Secrets::Masked };
        let mut taps = Self { plan: args.faults, ..Self::default() };
        let trace = match args.trace {
            true => Some(taps.trace()?.secrets(secrets)),
            false => None,
        };
        let pcap = args.pcap.as_deref().map(|path| taps.pcap(path, args.tap_limit)).transpose()?;
        let pcap = pcap.map(|pcap| pcap.secrets(secrets));
        let record = args.record.as_deref();
        let recorder = record.map(|path| taps.recorder(path, args.tap_limit)).transpose()?;
        taps.recorder = recorder.map(|recorder| recorder.secrets(secrets));
        if trace.is_some() || pcap.is_some() {
            taps.tap = Some(Arc::new(Mutex::new((trace, pcap))));
        }
        if !taps.outputs.is_empty() {
            let outputs = taps.outputs.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LOOK).await;
                    outputs.iter().for_each(Watched::look);
                }
            });
        }
        Ok(taps)
    }

    /// Records, if that was asked for.
    pub(crate) fn record(&self, builder: Builder) -> Builder {
        match &self.recorder {
            Some(recorder) => builder.record(recorder.clone()),
            None => builder,
        }
    }

    /// Whether nothing is to be put on the link.
    pub(crate) fn is_empty(&self) -> bool {
        self.tap.is_none() && self.plan.is_none()
    }

    /// What looks sees what the client sees: the faults, too.
    pub(crate) fn put_on(&self, link: RoadLink) -> Tapped {
        let link = FaultLink::new(link, self.plan.unwrap_or_default());
        TapLink::new(link, self.tap.clone().unwrap_or_default())
    }

    /// Waits, for some seconds at most, until the files are complete.
    pub(crate) async fn end(self) {
        let outputs = self.outputs;
        drop((self.tap, self.recorder));
        let ending = tokio::task::spawn_blocking(move || {
            for output in outputs {
                output.spool.flush();
                output.look();
            }
        });
        let _ = ending.await;
    }

    fn trace(&mut self) -> Result<Trace<Clock, Lines, Elastic>, Failure> {
        let spool = Spool::over(std::io::stderr(), u64::MAX, None);
        let spool = spool.map_err(|e| Failure::not_done(format!("--trace: {e}")))?;
        self.watch("--trace".into(), &spool);
        let start = Instant::now();
        let clock: Clock = Box::new(move || start.elapsed());
        let lines = Lines { spool, line: String::new() };
        Ok(Trace::new(clock, lines, Elastic::new(PACKET), Elastic::new(PACKET)))
    }

    fn pcap(&mut self, path: &Path, limit: u64) -> Result<Pcap, Failure> {
        let name = format!("--pcap {}", path.display());
        let pcap = Pcap::create(path, limit).map_err(|e| Failure::usage(format!("{name}: {e}")))?;
        self.watch(name, &pcap.spool());
        Ok(pcap)
    }

    fn recorder(&mut self, path: &Path, limit: u64) -> Result<Recorder, Failure> {
        let name = format!("--record {}", path.display());
        let recorder = Recorder::create(path, limit);
        let recorder = recorder.map_err(|e| Failure::usage(format!("{name}: {e}")))?;
        self.watch(name, &recorder.spool());
        Ok(recorder)
    }

    fn watch(&mut self, name: String, spool: &Spool) {
        self.outputs.push(Watched { name, spool: spool.clone(), told: Arc::default() });
    }
}

impl Watched {
    /// Tells once that an output takes nothing more.
    fn look(&self) {
        let Some(why) = self.spool.status().trouble else { return };
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !std::mem::replace(&mut told, true) {
            say(format_args!("{}: {why}; what comes from here on is missing there", self.name));
        }
    }
}

/// Standard error, line by line.
pub(crate) struct Lines {
    spool: Spool,
    line: String,
}

impl fmt::Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.line.push_str(text);
        if !self.line.ends_with('\n') {
            return Ok(());
        }
        let taken = self.spool.push(self.line.as_bytes());
        self.line.clear();
        if taken { Ok(()) } else { Err(fmt::Error) }
    }
}
