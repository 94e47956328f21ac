//! Flags of `everlink gateway`.

use std::path::PathBuf;

use clap::Parser;
use everlink_gateway::runner::Listen;

/// Let MQTT-SN nodes reach an MQTT broker
///
/// Prints where it listens, then tells on standard error what happens to its nodes. SIGHUP reads the
/// configuration file again; nodes stay connected. SIGINT and SIGTERM end it, and no node's will is published.
#[derive(Parser)]
#[command(override_usage = "everlink gateway --listen udp://ADDRESS:PORT --broker URL [FLAGS]
       everlink gateway --config FILE")]
pub(crate) struct GatewayArgs {
    /// Where nodes send their datagrams, such as udp://0.0.0.0:10000; several times if wanted. With
    /// ?multicast=ADDRESS:PORT the gateway can be searched for there, and advertises itself
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    pub(crate) listen: Vec<Listen>,

    /// The broker: mqtt://[user[:password]@]host[:port], mqtts:// for TLS
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    pub(crate) broker: Option<String>,

    /// A topic id that all nodes know beforehand; several times if wanted
    #[arg(long, value_name = "ID=TOPIC", value_parser = predefined)]
    pub(crate) predefined: Vec<(u16, String)>,

    /// Only these client identifiers may connect; with * at the end, those that begin so
    #[arg(long, value_name = "ID")]
    pub(crate) allow: Vec<String>,

    /// Keep what the gateway knows of its nodes in this directory: killed and started again it goes on where it was
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Reads all of this, and more, from a file; see docs/gateway.md
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "broker", "predefined", "allow", "state"])]
    pub(crate) config: Option<PathBuf>,

    /// Tells more
    #[arg(short, long)]
    pub(crate) debug: bool,
}

fn predefined(text: &str) -> Result<(u16, String), String> {
    let (id, topic) = text.split_once('=').ok_or("ID=TOPIC is wanted, such as 1=shed/temp")?;
    let id = id.parse().ok().filter(|id| (1..=0xFFFE).contains(id));
    let id = id.ok_or("the id is a number from 1 to 65534")?;
    everlink::TopicName::new(topic).map_err(|error| error.to_string())?;
    Ok((id, topic.to_owned()))
}
