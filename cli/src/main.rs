//! The `everlink` command.
//!
//! [`args`] says what may be typed, [`publish`], [`subscribe`] and [`demo`] do it. Every way to end is
//! an [`exit::Exit`].
#![forbid(unsafe_code)]

mod args;
mod connect;
mod demo;
mod exit;
mod gateway;
mod identity;
mod links;
mod notice;
mod output;
mod probe;
mod publish;
mod replay;
mod secret;
mod signals;
mod store;
mod subscribe;
mod tap;
mod target;
mod usage;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};

/// MQTT that survives the real world
#[derive(Parser)]
#[command(name = "everlink", version, disable_help_subcommand = true)]
#[command(after_help = "Each command explains itself: everlink pub --help")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish messages, and wait until the broker has them
    Pub(Box<args::PubArgs>),
    /// Subscribe, and print what arrives
    Sub(Box<args::SubArgs>),
    /// Try every stage of the way to a broker, and say what broke
    Probe(Box<args::ProbeArgs>),
    /// Let MQTT-SN nodes reach an MQTT broker
    Gateway(Box<args::GatewayArgs>),
    /// Watch messages survive a broken network; everything is in this process
    Demo(demo::DemoArgs),
    /// Play a recording of `--record` to the engine again, and show every decision
    Replay(args::ReplayArgs),
    /// Look into the store of `pub --store` or `sub --store`
    #[command(subcommand)]
    Store(args::StoreCommand),
}

fn main() {
    let arguments = args::shield(secret::hidden_arguments(), &Cli::command());
    let exit = match Cli::try_parse_from(arguments) {
        Ok(Cli { command: Command::Pub(args) }) => exit::run(publish::run(*args)),
        Ok(Cli { command: Command::Sub(args) }) => exit::run(subscribe::run(*args)),
        Ok(Cli { command: Command::Probe(args) }) => exit::run(probe::run(*args)),
        Ok(Cli { command: Command::Replay(args) }) => replay::run(&args),
        Ok(Cli { command: Command::Gateway(args) }) => exit::run(gateway::run(*args)),
        Ok(Cli { command: Command::Demo(args) }) => demo::run(&args),
        Ok(Cli { command: Command::Store(command) }) => exit::run(store::run(command)),
        Err(error) => usage::explain(&error),
    };
    // Not by returning: a thread may still wait for a line from a terminal.
    std::process::exit(exit.code());
}
