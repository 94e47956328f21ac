//! A queue on disk, side by side: the log of everlink's store, SQLite, redb, fjall, and the limit.
//!
//! Messages of 256 bytes, put and taken in commits of 1, 10 and 100, each durable before the next. All
//! contenders work in turn in the same directory, a small slice of time after the other, for disks are shared and
//! noisy: compare within a line of one run.

mod contenders;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use contenders::{Everlink, Fjall, Limit, Queue, Redb, Sqlite};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A queue on disk, side by side.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Slices of time that each contender gets, in turn with the others; medians over them are reported
    #[arg(long, default_value_t = 25)]
    slices: usize,
    /// Length of a slice, in seconds
    #[arg(long, default_value_t = 0.08)]
    slice: f64,
    /// Bytes of a message
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// Messages for each commit
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    groups: Vec<usize>,
    /// Where to put the files: on the disk to be measured
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    /// Very short, which only shows that all work
    #[arg(long)]
    smoke: bool,
}

/// The limit comes twice: how far it is from itself is the noise.
const NAMES: [&str; 6] = ["limit", "everlink", "SQLite", "redb", "fjall", "limit again"];

fn open(name: &str, path: &Path) -> Result<Box<dyn Queue>> {
    Ok(match name {
        "limit" | "limit again" => Box::new(Limit::open(path)?),
        "everlink" => Box::new(Everlink::open(path)?),
        "SQLite" => Box::new(Sqlite::open(path)?),
        "redb" => Box::new(Redb::open(path)?),
        _ => Box::new(Fjall::open(path)?),
    })
}

/// What one contender did.
#[derive(Default)]
struct Tally {
    /// Messages that are in it.
    held: usize,
    /// Messages a second in each slice, putting and taking.
    put: Vec<f64>,
    take: Vec<f64>,
}

/// Repeats a commit for a slice of time, or until `most` messages; messages a second.
fn slice(
    time: Duration,
    group: usize,
    most: usize,
    mut commit: impl FnMut() -> Result<()>,
) -> Result<(f64, usize)> {
    let (began, mut n) = (Instant::now(), 0);
    while began.elapsed() < time && n + group <= most {
        commit()?;
        n += group;
    }
    Ok((n as f64 / began.elapsed().as_secs_f64(), n))
}

/// All contenders in turn, slice by slice.
fn measure(cli: &Cli, group: usize) -> Result<Vec<Tally>> {
    let directories: Vec<_> = NAMES
        .iter()
        .map(|_| tempfile::tempdir_in(&cli.directory))
        .collect::<std::io::Result<_>>()?;
    let opened = NAMES.iter().zip(&directories).map(|(name, d)| open(name, d.path()));
    let mut queues = opened.collect::<Result<Vec<_>>>()?;
    let mut tallies: Vec<Tally> = NAMES.iter().map(|_| Tally::default()).collect();
    let message = vec![b'x'; cli.payload];
    let time = Duration::from_secs_f64(cli.slice);
    for _ in 0..cli.slices {
        for (queue, tally) in queues.iter_mut().zip(&mut tallies) {
            let (rate, n) = slice(time, group, usize::MAX, || queue.put(group, &message))?;
            tally.put.push(rate);
            tally.held += n;
        }
    }
    for _ in 0..cli.slices {
        for ((queue, tally), name) in queues.iter_mut().zip(&mut tallies).zip(NAMES) {
            let (rate, n) = slice(time, group, tally.held, || match queue.take(group)? {
                n if n == group => Ok(()),
                n => Err(format!("{name}: {n} messages instead of {group}").into()),
            })?;
            if n > 0 {
                tally.take.push(rate);
            }
            tally.held -= n;
        }
    }
    Ok(tallies)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<()> {
    let mut cli = Cli::parse();
    if cli.smoke {
        (cli.slices, cli.slice) = (2, 0.01);
    }
    print!("{:<20}{:>12}", "messages a second", "the limit");
    NAMES[1..].iter().for_each(|name| print!("{name:>18}"));
    println!();
    for group in &cli.groups {
        let tallies = measure(&cli, *group)?;
        let put: Vec<f64> = tallies.iter().map(|t| median(&t.put)).collect();
        let take: Vec<f64> = tallies.iter().map(|t| median(&t.take)).collect();
        for (what, rates) in [("put", put), ("take", take)] {
            print!("{:<20}{:>12.0}", format!("{what}, {group} a commit"), rates[0]);
            for rate in &rates[1..] {
                print!("{:>18}", format!("{rate:.0} ({:.0} %)", 100.0 * rate / rates[0]));
            }
            println!();
        }
    }
    Ok(())
}
