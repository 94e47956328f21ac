//! `everlink-brokers [BROKER...] [--only CHECK] [--trace] [--cluster] [--record]`: see `docs/brokers.md`.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use everlink_brokers::broker::Kind;
use everlink_brokers::checks::{Check, Found};
use everlink_brokers::cluster;
use everlink_brokers::matrix::{self, Row, version_name};

const USAGE: &str =
    "usage: everlink-brokers [BROKER...] [--only CHECK]... [--trace] [--cluster] [--record]
brokers: mosquitto rabbitmq nats mqtt5 rumqttd aedes; all if none is named
--only CHECK  qos0, session, kills2 ...; all if none is named
--trace       prints the packets of an outage in which messages were lost or doubled
--cluster     three nats-servers that lose a node under load, besides the brokers named
--record      writes the table of docs/brokers.md anew";

#[derive(Default)]
struct Asked {
    kinds: Vec<Kind>,
    only: Vec<Check>,
    trace: bool,
    cluster: bool,
    record: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--serve", addr, dir] => serve(addr, dir).await,
        _ => match asked(&args) {
            Ok(asked) => campaign(asked).await,
            Err(wrong) => Err(format!("{wrong}\n{USAGE}")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--trace" => asked.trace = true,
            "--cluster" => asked.cluster = true,
            "--record" => asked.record = true,
            "--only" => {
                let name = args.next().ok_or("--only: which check?")?;
                let named = |c: &Check| format!("{c:?}").eq_ignore_ascii_case(name);
                let check = Check::ALL.into_iter().find(named);
                asked.only.push(check.ok_or(format!("no check '{name}'"))?);
            }
            name => asked.kinds.push(Kind::named(name).ok_or(format!("no broker '{name}'"))?),
        }
    }
    if asked.kinds.is_empty() && !asked.cluster {
        asked.kinds = Kind::ALL.to_vec();
    }
    if asked.record && (asked.kinds != Kind::ALL || !asked.only.is_empty()) {
        return Err("--record wants all brokers and all checks".to_owned());
    }
    Ok(asked)
}

async fn campaign(asked: Asked) -> Result<(), String> {
    let mut rows = Vec::new();
    for kind in asked.kinds {
        rows.extend(matrix::run(kind, &asked.only, asked.trace, tell).await?);
    }
    println!("\n{}", matrix::markdown(&rows));
    if asked.cluster {
        println!("cluster: {}", cluster::run().await?);
    }
    let surprises: Vec<_> = rows.iter().filter_map(Row::surprise).collect();
    if !surprises.is_empty() {
        return Err(surprises.join("\n"));
    }
    if asked.record {
        record(&matrix::markdown(&rows)).map_err(|e| format!("docs/brokers.md: {e}"))?;
    }
    Ok(())
}

fn tell(row: &Row) {
    let seen = match (&row.found, row.known()) {
        (Found::Good, _) => "good".to_owned(),
        (Found::NotOffered, _) => "not offered".to_owned(),
        (Found::Deviates(seen), Some(_)) => format!("known to deviate: {seen}"),
        (Found::Deviates(seen), None) => format!("DEVIATES: {seen}"),
    };
    let (kind, version) = (row.kind.name(), version_name(row.version));
    println!("{kind:10} {version:5} {:7} {seen}", format!("{:?}", row.check));
}

fn record(table: &str) -> std::io::Result<()> {
    const BEGIN: &str = "<!-- table: written by `just brokers --record` -->\n";
    const END: &str = "<!-- end of table -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/brokers.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).ok_or(std::io::ErrorKind::InvalidData)?;
    let (_, after) = rest.split_once(END).ok_or(std::io::ErrorKind::InvalidData)?;
    std::fs::write(&path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
}

/// Is the broker `mqtt5`, with its sessions below `dir`, until it is killed.
async fn serve(addr: &str, dir: &str) -> Result<(), String> {
    use mqtt5::broker::config::{RateLimitConfig, StorageBackend, StorageConfig};
    use mqtt5::broker::{BrokerConfig, MqttBroker};

    let addr: SocketAddr = addr.parse().map_err(|e| format!("{addr}: {e}"))?;
    let storage = StorageConfig::default()
        .with_backend(StorageBackend::File)
        .with_base_dir(PathBuf::from(dir).join("sessions"))
        .with_max_queued_messages_per_client(1_000_000);
    let mut config = BrokerConfig::default()
        .with_bind_addresses(vec![addr])
        .with_max_packet_size(1 << 20)
        .with_storage(storage);
    config.auth_config.allow_anonymous = true;
    // A client that is cut off again and again is what this is about.
    config.auth_config.rate_limit = RateLimitConfig { enabled: false, ..Default::default() };
    let mut broker = MqttBroker::with_config(config).await.map_err(|e| e.to_string())?;
    broker.run().await.map_err(|e| e.to_string())
}
