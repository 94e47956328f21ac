//! Side-by-side benchmark of MQTT clients: messages a second, processor time, system calls.
//!
//! Every contender runs in a process of its own and talks to a *sink*, one more process: a server
//! that only acknowledges, as fast as it can. See `README.md` for what is compared and how.

mod contenders;
mod idle;
mod measure;
mod report;
mod runner;
mod sink;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

/// What may go wrong anywhere here ends the run with one line of text.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Side-by-side benchmark of MQTT clients.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: RunArgs,
}

/// What the comparison is made of.
#[derive(Args, Clone, Serialize)]
struct RunArgs {
    /// Times every contender is measured, in alternation; medians are reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Aimed length of one measurement, in seconds
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Bytes of payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// Unacknowledged messages allowed
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// Quality of Service, 0 to 2
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=2))]
    qos: u8,
    /// Protocol version (default: what each client does when it is told nothing)
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Topic Alias Maximum that the sink announces to MQTT 5 clients
    #[arg(long, default_value_t = 0)]
    aliases: u16,
    /// Where client and sink run
    #[arg(long, value_enum, default_value_t = Pin::Same)]
    pin: Pin,
    /// The processor core to pin to (with `--pin split` the sink takes the next one)
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Only these contenders (default: all)
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// Skip the runs that count system calls
    #[arg(long)]
    no_syscalls: bool,
    /// One short round of each, not pinned: shows that they work, not how fast
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "pin", "core"])]
    smoke: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Instead: the memory that each of so many idle clients in one process takes
    #[arg(long, value_name = "CLIENTS")]
    idle: Option<usize>,
}

impl RunArgs {
    /// With `--smoke` spelled out.
    fn settled(self) -> Self {
        if !self.smoke {
            return self;
        }
        Self { rounds: 1, seconds: 0.0, pin: Pin::None, no_syscalls: true, ..self }
    }
}

/// Which processor cores are used.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Pin {
    /// Client and sink share one core
    Same,
    /// Client on one core, sink on the next
    Split,
    /// As the kernel likes
    None,
}

/// Version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
enum Protocol {
    /// MQTT 3.1.1
    #[value(name = "3.1.1")]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5
    #[value(name = "5")]
    #[serde(rename = "5")]
    V5,
}

/// The processes that the comparison starts.
#[derive(Subcommand)]
enum Role {
    /// The server: prints its port, then one line of counts for each connection that ends
    Sink {
        /// The core to run on
        #[arg(long)]
        core: Option<usize>,
        /// Receive Maximum announced to MQTT 5 clients
        #[arg(long, default_value_t = 100)]
        window: u16,
        /// Topic Alias Maximum announced to MQTT 5 clients
        #[arg(long, default_value_t = 0)]
        aliases: u16,
    },
    /// One contender, once: prints its sample as JSON
    Client(ClientArgs),
}

#[derive(Args)]
struct ClientArgs {
    contender: String,
    direction: Direction,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    messages: u64,
    #[arg(long, default_value_t = 256)]
    payload: usize,
    #[arg(long, default_value_t = 100)]
    window: u16,
    #[arg(long, default_value_t = 1)]
    qos: u8,
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    #[arg(long)]
    core: Option<usize>,
}

/// Which way the messages go, seen from the client.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// The client publishes, until the last acknowledgement
    Publish,
    /// The client receives and acknowledges, until the last message
    Receive,
    /// So many clients connect and do nothing
    Idle,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.role {
        Some(Role::Sink { core, window, aliases }) => sink::serve(core, window, aliases),
        Some(Role::Client(args)) => run_client(&args),
        None => runner::run(&cli.run.settled()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_client(args: &ClientArgs) -> Result<()> {
    measure::pin_to(args.core)?;
    measure::give_up_after(Duration::from_secs(120));
    let contender = contenders::find(&args.contender)?;
    let job = contenders::Job {
        port: args.port,
        messages: args.messages,
        payload: args.payload,
        window: args.window,
        qos: args.qos,
        protocol: args.protocol,
    };
    let sample = match args.direction {
        Direction::Publish => (contender.publish)(&job)?,
        Direction::Receive => (contender.receive)(&job)?,
        Direction::Idle => idle::measure(contender, &job)?,
    };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}
