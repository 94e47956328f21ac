//! What the client logs, through `tracing`: only what a person wants to know, and no secret.

mod support;

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use everlink::{Credentials, Property, QoS, Version};
use support::{over_model, soon, spawn};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps every line of this client.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("everlink")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

impl Lines {
    /// How many lines have this in them, at this level.
    fn count(&self, level: Level, text: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(l, line)| *l == level && line.contains(text)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn the_course_of_the_connection_and_what_is_left_out() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let (client, driver, path, _model) = over_model(Version::V311, |b| {
        b.credentials(Credentials::new("me", "hush")).user_property("a", "b")
    });
    assert_eq!(lines.count(Level::WARN, "those of CONNECT are left out"), 1);
    let running = spawn(driver);
    soon("up", client.up()).await;
    assert_eq!(lines.count(Level::INFO, "connected resumed=false"), 1, "{:?}", lines.0);

    let publish = client.publish("t", "x").qos(QoS::AtLeastOnce);
    let publish = publish.property(Property::ContentType("text/plain"));
    assert_eq!(lines.count(Level::DEBUG, "left out property=content-type"), 1, "{:?}", lines.0);
    soon("delivery", publish).await.unwrap();

    path.cut();
    soon("down", client.watch().wait_for(|s| !s.is_up())).await.unwrap();
    soon("up", client.up()).await;
    assert_eq!(lines.count(Level::WARN, "connection lost"), 1);
    assert_eq!(lines.count(Level::INFO, "connected resumed=true"), 1);
    client.close();
    soon("the driver", running).await.unwrap();
    assert_eq!(lines.count(Level::INFO, "closed"), 1);

    let all = lines.0.lock().unwrap();
    assert!(!all.iter().any(|(_, line)| line.contains("hush")), "{all:?}");
}
