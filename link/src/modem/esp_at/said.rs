//! What a line of the module says.

use core::net::Ipv4Addr;

/// A line, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Ok,
    Error,
    SendOk,
    SendFail,
    /// So many bytes to send have arrived at the module, as it counts them.
    Received(u32),
    /// It has not looked at the command.
    Busy,
    /// It has started.
    Ready,
    /// It is about to start: the boot loader speaks.
    Booting,
    WifiUp,
    WifiAddress,
    WifiDown,
    /// In this network, by its name.
    In(Name),
    InNone,
    /// Why a network was not joined, as the module counts reasons.
    JoinFailed(u8),
    Address(Ipv4Addr),
    /// Why CIPSTART or CIPDOMAIN failed, before ERROR.
    DnsFail,
    AlreadyConnected,
    Closed,
    /// So many bytes have come for us; only their being there is believed.
    Notice,
    /// So many bytes wait.
    Waiting(u32),
    /// Major version of the firmware.
    Version(u8),
    /// Our own words, something that does not matter, or noise.
    Other,
}

/// The name of a network: 32 bytes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; 32],
    len: u8,
}

impl Name {
    fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, len: name.len() as u8 })
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.bytes.get(..self.len.into()) == Some(name.as_bytes())
    }
}

/// What follows a header that is no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// So many bytes, as asked for.
    Data(u32),
    /// So many bytes, unasked: it is not in passive mode.
    Pushed(u32),
}

/// Understands a line, without its end.
pub(super) fn line(line: &[u8]) -> Said {
    let line = line.trim_ascii_end();
    // Noise may stand before what is said.
    let is_noise = |byte: &u8| !(0x20..=0x7e).contains(byte);
    let begin = line.iter().rposition(is_noise).map_or(0, |at| at + 1);
    let line = line.get(begin..).unwrap_or_default().trim_ascii();
    match line {
        b"OK" => Said::Ok,
        b"ERROR" | b"FAIL" => Said::Error,
        b"SEND OK" => Said::SendOk,
        b"SEND FAIL" => Said::SendFail,
        b"ready" => Said::Ready,
        b"WIFI CONNECTED" => Said::WifiUp,
        b"WIFI GOT IP" => Said::WifiAddress,
        b"WIFI DISCONNECT" => Said::WifiDown,
        b"No AP" => Said::InNone,
        b"DNS Fail" | b"DNS fail" => Said::DnsFail,
        b"ALREADY CONNECTED" => Said::AlreadyConnected,
        b"CLOSED" | b"link is not valid" | b"link is not" => Said::Closed,
        _ => prefixed(line),
    }
}

fn prefixed(line: &[u8]) -> Said {
    const NETWORKS: [&[u8]; 3] = [b"+CWJAP:", b"+CWJAP_CUR:", b"+CWJAP_DEF:"];
    let after = |prefix: &[u8]| line.strip_prefix(prefix);
    if let Some(rest) = NETWORKS.into_iter().find_map(after) {
        return network(rest);
    }
    if after(b"busy ").is_some() {
        return Said::Busy;
    }
    if after(b"+IPD,").and_then(number).is_some() {
        return Said::Notice;
    }
    if let Some(rest) = after(b"+CIPRECVLEN:") {
        // Those of other connections follow.
        let first = rest.split(|b| *b == b',').next().unwrap_or_default();
        return number(first).map_or(Said::Other, Said::Waiting);
    }
    if let Some(rest) = after(b"Recv ") {
        let count = rest.strip_suffix(b" bytes").and_then(number);
        return count.map_or(Said::Other, Said::Received);
    }
    if let Some(rest) = after(b"+CIPDOMAIN:") {
        return address(rest).map_or(Said::Other, Said::Address);
    }
    if let Some(&[major, b'.', ..]) = after(b"AT version:") {
        return if major.is_ascii_digit() { Said::Version(major - b'0') } else { Said::Other };
    }
    if after(b"ets ").is_some() || after(b"rst:").is_some() {
        return Said::Booting;
    }
    Said::Other
}

/// `"name","00:00:5e:00:53:01",6,-50` or a number.
fn network(rest: &[u8]) -> Said {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let reason = number(rest).and_then(|n| u8::try_from(n).ok());
        return reason.map_or(Said::Other, Said::JoinFailed);
    };
    let end = quoted.windows(3).position(|three| three == b"\",\"");
    end.and_then(|end| Name::new(quoted.get(..end)?)).map_or(Said::Other, Said::In)
}

/// With and without quotation marks.
fn address(text: &[u8]) -> Option<Ipv4Addr> {
    let bare = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(text);
    core::str::from_utf8(bare).ok()?.parse().ok()
}

/// The header that ends here, with this byte, if it is one.
///
/// `+CIPRECVDATA:5,` (2.0 and later) and `+CIPRECVDATA,5:` (1.7) before what was asked for, `+IPD,5:`
/// before what was not.
pub(super) fn header(line: &[u8], end: u8) -> Option<Header> {
    if let Some(rest) = line.strip_prefix(b"+CIPRECVDATA") {
        let (first, rest) = rest.split_first()?;
        return match (first, end) {
            (b':', b',') | (b',', b':') => number(rest).map(Header::Data),
            _ => None,
        };
    }
    let rest = line.strip_prefix(b"+IPD,")?;
    if end == b':' { number(rest).map(Header::Pushed) } else { None }
}

/// A number of up to ten digits; the largest there is if it does not fit.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0_u32, |n, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(n.saturating_mul(10).saturating_add(digit.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (text, said) in [
            ("OK", Said::Ok),
            ("ERROR", Said::Error),
            ("FAIL", Said::Error),
            (" SEND OK", Said::SendOk),
            ("SEND FAIL", Said::SendFail),
            ("Recv 5 bytes", Said::Received(5)),
            ("Recv x bytes", Said::Other),
            ("busy p...", Said::Busy),
            ("busy s...", Said::Busy),
            ("ready", Said::Ready),
            ("\u{1}r\u{7f}l\u{3}ready", Said::Ready),
            (" ets Jan  8 2013,rst cause:2, boot mode:(3,7)", Said::Booting),
            ("rst:0x1 (POWERON_RESET),boot:0x13", Said::Booting),
            ("WIFI CONNECTED", Said::WifiUp),
            ("WIFI GOT IP", Said::WifiAddress),
            ("WIFI DISCONNECT", Said::WifiDown),
            ("No AP", Said::InNone),
            (
                "+CWJAP:\"a \"b\"\",\"00:00:5e:00:53:01\",6,-50,0",
                Said::In(Name::new(b"a \"b\"").unwrap()),
            ),
            ("+CWJAP_CUR:\"\",\"00:00:5e:00:53:01\",6,-50", Said::In(Name::new(b"").unwrap())),
            ("+CWJAP:\"shed", Said::Other),
            ("+CWJAP:\"a name that is longer than a name can be\",\"\",6", Said::Other),
            ("+CWJAP:3", Said::JoinFailed(3)),
            ("+CWJAP_CUR:2", Said::JoinFailed(2)),
            ("+CWJAP:999", Said::Other),
            ("+CIPDOMAIN:192.0.2.7", Said::Address(Ipv4Addr::new(192, 0, 2, 7))),
            ("+CIPDOMAIN:\"192.0.2.7\"", Said::Address(Ipv4Addr::new(192, 0, 2, 7))),
            ("+CIPDOMAIN:192.0.2.777", Said::Other),
            ("DNS Fail", Said::DnsFail),
            ("ALREADY CONNECTED", Said::AlreadyConnected),
            ("CLOSED", Said::Closed),
            ("link is not valid", Said::Closed),
            ("+IPD,12", Said::Notice),
            ("+IPD,99999999999999999999", Said::Other),
            ("+IPD,", Said::Other),
            ("+CIPRECVLEN:17", Said::Waiting(17)),
            ("+CIPRECVLEN:17,0,0,0,0", Said::Waiting(17)),
            ("+CIPRECVLEN:4294967296", Said::Waiting(u32::MAX)),
            ("+CIPRECVLEN:-1", Said::Other),
            ("AT version:1.7.4.0(May 11 2020 19:13:04)", Said::Version(1)),
            ("AT version:2.2.0.0(s-b097cdf - ESP8266)", Said::Version(2)),
            ("AT version:x", Said::Other),
            ("AT+CIPMUX=0", Said::Other),
            ("", Said::Other),
        ] {
            assert_eq!(line(text.as_bytes()), said, "{text:?}");
        }
        assert_eq!(line(b"\x00\xff\xfeOK"), Said::Ok);
    }

    #[test]
    fn headers() {
        for (text, end, expected) in [
            ("+CIPRECVDATA:5", b',', Some(Header::Data(5))),
            ("+CIPRECVDATA,5", b':', Some(Header::Data(5))),
            ("+CIPRECVDATA,0", b':', Some(Header::Data(0))),
            ("+CIPRECVDATA", b',', None),
            ("+CIPRECVDATA", b':', None),
            ("+CIPRECVDATA:5", b':', None),
            ("+CIPRECVDATA:9999999999", b',', Some(Header::Data(u32::MAX))),
            ("+CIPRECVDATA:99999999999", b',', None),
            ("+CIPRECVDATA:", b',', None),
            ("+CIPRECVDATA:-5", b',', None),
            ("+IPD,5", b':', Some(Header::Pushed(5))),
            ("+IPD,5", b',', None),
            ("+IPD", b',', None),
            ("", b',', None),
        ] {
            assert_eq!(header(text.as_bytes(), end), expected, "{text:?}");
        }
    }
}
