//! Mistakes on the command line, in one line.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::{Exit, say};

/// Flags of mosquitto's clients about TLS that are not here, and what is.
const TLS: [(&str, &str); 8] = [
    ("--capath", "use --cafile with all certificates in one file"),
    ("--keyform", "keys are PEM files"),
    ("--tls-engine", "keys are PEM files"),
    ("--tls-engine-kpass-sha1", "keys are PEM files"),
    ("--ciphers", "TLS 1.2 and 1.3 are spoken with their safe ciphers"),
    ("--tls-version", "TLS 1.2 and 1.3 are spoken with their safe ciphers"),
    ("--psk", "use certificates"),
    ("--psk-identity", "use certificates"),
];

/// Prints help and version where they were asked for, and one line about a mistake.
pub(crate) fn explain(error: &clap::Error) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is no failure: the reader has seen enough.
        let _ = error.print();
        return Exit::Done;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return Exit::Usage;
    }
    say(one_line(error));
    Exit::Usage
}

fn one_line(error: &clap::Error) -> String {
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        let name = flag.split('=').next().unwrap_or(flag);
        if let Some((_, instead)) = TLS.iter().find(|(flag, _)| *flag == name) {
            return format!("{name} is not offered: {instead}");
        }
    }
    if error.kind() == ErrorKind::InvalidUtf8 {
        return not_text(&std::env::args_os().collect::<Vec<_>>());
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    // Up to the first empty line is the mistake; behind it are tips and usage.
    let mistake = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<&str> = mistake.split_whitespace().collect();
    let words = words.join(" ");
    let likely = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let likely = likely.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(word) => Some(word.as_str()),
        // The likeliest comes last.
        ContextValue::Strings(words) => words.last().map(String::as_str),
        _ => None,
    });
    let shows = match error.kind() {
        ErrorKind::InvalidSubcommand => "commands",
        _ => "flags",
    };
    match likely {
        Some(likely) => format!("{words}; perhaps {likely}? (--help shows the {shows})"),
        None => format!("{words} (--help shows the {shows})"),
    }
}

/// Names the first argument that must be text and is not.
fn not_text(arguments: &[OsString]) -> String {
    let any =
        ["-m", "--message", "--will-payload", "-P", "--pw", "-f", "--file", "--password-file"];
    let mut before = None;
    for argument in arguments {
        if argument.to_str().is_none() && !before.is_some_and(|b| any.contains(&b)) {
            let argument = argument.to_string_lossy();
            return format!("{argument:?} is not text in UTF-8; only a payload may be anything");
        }
        before = argument.to_str();
    }
    "an argument is not text in UTF-8; only a payload may be anything".into()
}
