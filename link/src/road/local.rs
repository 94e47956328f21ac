//! Roads that begin in the file system.

use std::format;
use std::io;

use everlink_proto::engine::{Cause, Fault, Step};
use tokio::net::UnixStream;

use super::pipe::StreamPipe;
use crate::Words;
use crate::tcp::cause_of_pipe;
use crate::words::reason;

/// A socket.
pub(super) async fn unix(path: &str, words: &Words) -> Result<StreamPipe<UnixStream>, Fault> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(StreamPipe::new(stream, None)),
        Err(error) => {
            let cause = cause_of_local(&error);
            words.say(cause, &format!("{path}: {}", reason(&error).to_lowercase()));
            Err(Fault::new(Step::Link, cause))
        }
    }
}

/// Why something of the file system could not be opened.
pub(super) fn cause_of_local(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::NotFound => Cause::NotFound,
        io::ErrorKind::PermissionDenied => Cause::Denied,
        _ => cause_of_pipe(error),
    }
}
