//! mosquitto's format strings.

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Local};
use everlink::Message;

use super::json;

/// A format string, understood.
#[derive(Debug)]
pub(super) struct Format(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    Field {
        letter: char,
        pad: Pad,
    },
    /// For `strftime`.
    Time(String),
    Nanoseconds,
}

/// Flags, width and precision between `%` and the letter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pad {
    zero: bool,
    left: bool,
    width: usize,
    most: Option<usize>,
}

/// Letters that stand for numbers: only these are padded with zeros.
const NUMBERS: &str = "AEFlmpSxX";
/// Letters that can be cut.
const CUT: &str = "CIRt";
const LETTERS: &str = "ACDEFIJPRSUXjlmpqrtx";
/// Letters of `strftime` and ours; what they do is chrono's business.
const TIMES: &str = "ABCDFGHIMNPRSTUVWXYZabcdefghjklmnpqrstuvwxyz";
const ESCAPES: &str = "0aenrtv";
/// A typing error must not ask for gigabytes.
const WIDEST: usize = 10_000;

impl Format {
    /// Reads a format string.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let piece = match c {
                '%' => field(&mut chars)?,
                '@' => time(chars.next())?,
                '\\' => Piece::Text(vec![escape(chars.next())?]),
                c => Piece::Text(c.to_string().into_bytes()),
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(text)), Piece::Text(more)) => text.extend(more),
                (_, piece) => pieces.push(piece),
            }
        }
        Ok(Self(pieces))
    }

    /// Writes a message.
    pub(super) fn write(&self, message: &Message, out: &mut Vec<u8>) {
        self.write_at(message, Local::now(), out);
    }

    fn write_at(&self, message: &Message, now: DateTime<Local>, out: &mut Vec<u8>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Field { letter, pad } => write_field(*letter, *pad, message, now, out),
                Piece::Time(format) => {
                    out.extend_from_slice(now.format(format).to_string().as_bytes());
                }
                Piece::Nanoseconds => {
                    let nanos = now.timestamp_subsec_nanos() % 1_000_000_000;
                    out.extend_from_slice(format!("{nanos:09}").as_bytes());
                }
            }
        }
    }
}

fn field(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, String> {
    let mut pad = Pad::default();
    while let Some(flag) = chars.next_if(|c| matches!(c, '0' | '-')) {
        pad.zero |= flag == '0';
        pad.left |= flag == '-';
    }
    pad.width = number(chars)?.unwrap_or(0);
    if chars.next_if_eq(&'.').is_some() {
        pad.most = Some(number(chars)?.unwrap_or(0));
    }
    match chars.next() {
        Some('%') => Ok(Piece::Text(b"%".to_vec())),
        Some(letter) if LETTERS.contains(letter) => Ok(Piece::Field { letter, pad }),
        Some(letter) => Err(format!("%{letter} means nothing; {}", known('%', LETTERS))),
        None => Err("a % at the end must be written %%".into()),
    }
}

/// Which sequences there are: the mark twice stands for itself.
fn known(mark: char, letters: &str) -> String {
    let all: Vec<String> = letters.chars().map(|letter| format!("{mark}{letter}")).collect();
    format!("known are {mark}{mark} {}", all.join(" "))
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let n = number.unwrap_or(0) * 10 + digit as usize;
        if n > WIDEST {
            return Err(format!("a width above {WIDEST}"));
        }
        number = Some(n);
    }
    Ok(number)
}

fn time(letter: Option<char>) -> Result<Piece, String> {
    match letter {
        Some('@') => Ok(Piece::Text(b"@".to_vec())),
        Some('N') => Ok(Piece::Nanoseconds),
        Some(letter) => {
            let format = format!("%{letter}");
            if StrftimeItems::new(&format).any(|item| matches!(item, Item::Error)) {
                return Err(format!("@{letter} means nothing; {}", known('@', TIMES)));
            }
            Ok(Piece::Time(format))
        }
        None => Err("an @ at the end must be written @@".into()),
    }
}

fn escape(letter: Option<char>) -> Result<u8, String> {
    Ok(match letter {
        Some('\\') => b'\\',
        Some('0') => 0,
        Some('a') => 7,
        Some('e') => 27,
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('v') => 11,
        Some(letter) => {
            return Err(format!("\\{letter} means nothing; {}", known('\\', ESCAPES)));
        }
        None => return Err("a \\ at the end must be written \\\\".into()),
    })
}

fn write_field(letter: char, pad: Pad, message: &Message, now: DateTime<Local>, out: &mut Vec<u8>) {
    let p = message.properties();
    match letter {
        'p' => return write_padded(&message.payload, message.payload.len(), pad, true, out),
        'D' => return out.extend_from_slice(p.correlation_data.as_deref().unwrap_or_default()),
        'j' | 'J' => {
            let time = now.format("%Y-%m-%dT%H:%M:%S%.6f%z").to_string();
            if !json::write_like_mosquitto(message, &time, letter == 'J', out) {
                let topic = &message.topic;
                crate::exit::say(format_args!("the payload on {topic} is not JSON"));
            }
            return;
        }
        _ => {}
    }
    let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
    let mut text = match letter {
        't' => message.topic.to_string(),
        'l' => message.payload.len().to_string(),
        'q' => (message.qos as u8).to_string(),
        'r' => u8::from(message.retain).to_string(),
        'x' | 'X' => return write_hex(&message.payload, letter == 'X', pad, out),
        'C' => p.content_type.clone().unwrap_or_default(),
        'R' => p.response_topic.clone().unwrap_or_default(),
        'm' => message.packet_identifier().to_string(),
        'A' => number(p.topic_alias.map(u32::from)),
        'E' => number(p.message_expiry),
        'F' => number(p.payload_is_utf8.map(u32::from)),
        'S' => {
            let ids: Vec<String> = p.subscription_ids.iter().map(u32::to_string).collect();
            ids.join(" ")
        }
        'P' => {
            let pairs: Vec<String> =
                p.user_properties.iter().map(|(name, value)| format!("{name}:{value}")).collect();
            pairs.join(" ")
        }
        'I' => now.format("%Y-%m-%dT%H:%M:%S%z").to_string(),
        'U' => format!("{}.{:09}", now.timestamp(), now.timestamp_subsec_nanos()),
        // No other letter gets through `field`.
        _ => String::new(),
    };
    if let Some(most) = pad.most.filter(|_| CUT.contains(letter)) {
        text = text.chars().take(most).collect();
    }
    // `DPqrU` take no width.
    if !"PqrU".contains(letter) {
        let width = text.chars().count();
        return write_padded(text.as_bytes(), width, pad, NUMBERS.contains(letter), out);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Writes text of this `width`, filled up to the width wanted.
fn write_padded(text: &[u8], width: usize, pad: Pad, zeros: bool, out: &mut Vec<u8>) {
    let missing = pad.width.saturating_sub(width);
    let (before, after, fill) = match (pad.left, pad.zero && zeros) {
        (true, _) => (0, missing, b' '),
        (false, true) => (missing, 0, b'0'),
        (false, false) => (missing, 0, b' '),
    };
    out.extend(std::iter::repeat_n(fill, before));
    out.extend_from_slice(text);
    out.extend(std::iter::repeat_n(fill, after));
}

/// Each byte as two digits.
fn write_hex(bytes: &[u8], upper: bool, pad: Pad, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = match upper {
            true => write!(text, "{byte:02X}"),
            false => write!(text, "{byte:02x}"),
        };
    }
    write_padded(text.as_bytes(), text.len(), pad, true, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the error messages list is what is understood.
    #[test]
    fn the_lists_are_complete() {
        for (mark, letters) in [('%', LETTERS), ('@', TIMES), ('\\', ESCAPES)] {
            let known: String = ('!'..='~')
                .filter(|c| c.is_alphanumeric() && Format::parse(&format!("{mark}{c}")).is_ok())
                .collect();
            let mut listed: Vec<char> = letters.chars().collect();
            listed.sort_unstable();
            assert_eq!(known, listed.into_iter().collect::<String>(), "{mark}");
        }
    }
}
