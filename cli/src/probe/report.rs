//! The lines of a probe.

use std::io::{self, Write};
use std::time::Duration;

use everlink::Step;
use serde::Serialize;

use super::millis;
use crate::exit::Failure;

/// What is tried, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Link,
    Name,
    Tcp,
    Proxy,
    Tls,
    WebSocket,
    Mqtt,
    Ping,
    Message,
}

impl Stage {
    /// Whether a step of connecting is a stage.
    pub(super) fn is_one(step: Step) -> bool {
        !matches!(step, Step::Idle | Step::Backoff | Step::Up | Step::Closing)
    }

    /// The stage of a step.
    pub(super) fn of(step: Step) -> Self {
        match step {
            Step::Link => Self::Link,
            Step::Resolve => Self::Name,
            Step::Transport => Self::Tcp,
            Step::Proxy => Self::Proxy,
            Step::Tls => Self::Tls,
            Step::WebSocket => Self::WebSocket,
            _ => Self::Mqtt,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
            Self::Mqtt => "mqtt",
            Self::Ping => "ping",
            Self::Message => "message",
        }
    }

    /// What the command exits with if this stage fails.
    pub(super) fn exit_code(self) -> u8 {
        10 + self as u8
    }
}

/// Prints to standard output as it goes.
pub(super) struct Report {
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    stage: &'a str,
    ok: bool,
    ms: Option<f64>,
    detail: &'a str,
    check: Option<&'a str>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn passed(
        &mut self,
        stage: Stage,
        time: Option<Duration>,
        detail: &str,
    ) -> Result<(), Failure> {
        let ms = time.map(|t| t.as_secs_f64() * 1000.0);
        let text = format!(
            "{:10} ok      {:>10}  {}",
            stage.name(),
            time.map(millis).unwrap_or_default(),
            crate::exit::plain(detail)
        );
        self.line(&Line { stage: stage.name(), ok: true, ms, detail, check: None }, text.trim_end())
    }

    pub(super) fn failed(
        &mut self,
        stage: Stage,
        words: &str,
        advice: &str,
    ) -> Result<(), Failure> {
        let name = stage.name();
        let text =
            format!("{name:10} FAILED  {}\n{:10} check   {advice}", crate::exit::plain(words), "");
        let line = Line { stage: name, ok: false, ms: None, detail: words, check: Some(advice) };
        self.line(&line, &text)
    }

    fn line(&mut self, line: &Line<'_>, text: &str) -> Result<(), Failure> {
        let json = self.json.then(|| serde_json::to_string(line)).transpose();
        let json = json.map_err(|e| Failure::not_done(e.to_string()))?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", json.as_deref().unwrap_or(text))
            .and_then(|()| stdout.flush())
            .map_err(|e| Failure::not_done(format!("standard output: {e}")))
    }
}
