//! Flags of `everlink replay`.

use std::path::PathBuf;

use clap::Parser;

/// Play a recording to the engine again, and show every decision
///
/// The recording comes from `--record FILE` of another command. Each line is a call of the engine: the time
/// since the start, what it was told, and behind => what it answered. What the application was told
/// meanwhile stands below, and so does what was recorded where the engine says something else today.
#[derive(Parser)]
#[command(after_help = AFTER)]
pub(crate) struct ReplayArgs {
    /// The recording
    pub(crate) file: PathBuf,

    /// Leave out calls that only let time pass
    #[arg(long, conflicts_with = "json")]
    pub(crate) brief: bool,

    /// Print one JSON object per line on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

const AFTER: &str = "With --json, an object for each call, and at last one for the sum:
  {\"us\":1087,\"call\":\"poll\",\"with\":\"\",\"told\":[],\"answer\":\"send PINGREQ\",\"step\":null,\"difference\":null}
  {\"summary\":{\"calls\":120,\"differences\":0}}

Exit codes:
  0  the engine says today what it said then
  1  the file cannot be read, is no recording, or is damaged
  3  the engine says something else, or the recording is torn off";
