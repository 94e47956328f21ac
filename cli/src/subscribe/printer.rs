//! Which messages are printed, and how.

use everlink::{Message, TopicFilter};

use super::format::Format;
use super::json;
use crate::args::SubArgs;
use crate::exit::Failure;
use crate::output::Output;

/// Whether there is anything left to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    No,
    Yes,
}

/// How a message is written.
#[derive(Debug)]
enum Style {
    Payload,
    Verbose,
    Format(Format),
    Json,
}

/// Prints messages and acknowledges them.
#[derive(Debug)]
pub(super) struct Printer {
    style: Style,
    newline: bool,
    filter_out: Vec<String>,
    no_retained: bool,
    retained_only: bool,
    left: Option<u64>,
    /// Of the last message printed, so that no message is printed twice because two filters match.
    last: Option<u64>,
    buffer: Vec<u8>,
}

impl Printer {
    pub(super) fn new(args: &SubArgs) -> Result<Self, Failure> {
        let style = match &args.format {
            Some(format) => {
                let format = Format::parse(format);
                Style::Format(format.map_err(|e| Failure::usage(format!("-F: {e}")))?)
            }
            None if args.connection.json => Style::Json,
            None if args.verbose => Style::Verbose,
            None => Style::Payload,
        };
        Ok(Self {
            style,
            newline: !args.no_newline,
            filter_out: args.filter_out.clone(),
            no_retained: args.no_retained,
            retained_only: args.retained_only,
            left: args.count,
            last: None,
            buffer: Vec::new(),
        })
    }

    /// Prints messages, then acknowledges them: the broker forgets none that was not written.
    /// Those behind the last one wanted stay with the broker.
    pub(super) async fn print(
        &mut self,
        mut messages: Vec<Message>,
        output: &mut Output,
    ) -> Result<Done, Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut taken, mut done) = (0, Done::No);
        for message in &messages {
            if self.retained_only && !message.retain {
                done = Done::Yes;
                break;
            }
            taken += 1;
            if self.is_wanted(message) {
                self.write(message, &mut buffer);
                self.last = Some(message.sequence());
                if let Some(left) = &mut self.left {
                    *left -= 1;
                    if *left == 0 {
                        done = Done::Yes;
                        break;
                    }
                }
            }
        }
        if !buffer.is_empty() {
            match output.write(buffer).await {
                Ok(buffer) => self.buffer = buffer,
                Err(_) => match output.failure() {
                    Some(why) => return Err(Failure::not_done(why)),
                    // The reader has seen enough.
                    None => return Ok(Done::Yes),
                },
            }
        }
        for message in &mut messages[..taken] {
            // Otherwise the connection was lost, and the broker sends it again.
            let _ = message.ack();
        }
        Ok(done)
    }

    fn is_wanted(&self, message: &Message) -> bool {
        let out =
            |filter: &String| TopicFilter::new(filter).is_ok_and(|f| f.matches(&message.topic));
        self.last != Some(message.sequence())
            && !(self.no_retained && message.retain)
            && !self.filter_out.iter().any(out)
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) {
        match &self.style {
            Style::Json => {
                json::write(message, out);
                out.push(b'\n');
                return;
            }
            Style::Verbose => {
                out.extend_from_slice(message.topic.as_bytes());
                out.push(b' ');
                out.extend_from_slice(&message.payload);
            }
            Style::Payload => out.extend_from_slice(&message.payload),
            Style::Format(format) => format.write(message, out),
        }
        if self.newline {
            out.push(b'\n');
        }
    }
}
