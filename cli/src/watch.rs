//! Those who watch the command while it runs: Prometheus, whoever reads the topic of its numbers, and
//! systemd.

mod http;
mod systemd;
mod topic;

use everlink::Client;
use tokio::task::JoinHandle;

use crate::args::WatchArgs;
use crate::exit::Failure;
pub(crate) use topic::Tally;

/// What watches a client, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watchers {
    tasks: Vec<JoinHandle<()>>,
    topic: Option<topic::Publisher>,
}

impl Watchers {
    /// Starts what the flags ask for, and systemd's part if it started us.
    pub(crate) fn start(args: &WatchArgs, client: &Client) -> Result<Self, Failure> {
        let mut tasks = Vec::new();
        if let Some(address) = args.metrics {
            tasks.push(http::serve(address, client.clone())?);
        }
        let topic = args.stats_topic.as_deref();
        let topic = topic.map(|topic| topic::Publisher::start(topic, args.stats_every, client));
        let topic = topic.transpose()?;
        tasks.extend(systemd::start(client)?);
        Ok(Self { tasks, topic })
    }

    /// Publishes no numbers any more, and tells what became of those that it did publish.
    pub(crate) async fn settle(&mut self) -> Tally {
        match &mut self.topic {
            Some(topic) => topic.settle().await,
            None => Tally::default(),
        }
    }

    /// The command is about to leave.
    pub(crate) fn leaving(&self) {
        systemd::stopping();
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
