//! Passwords: kept out of logs and out of the list of processes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;

/// Bytes that nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The environment variable that holds a password.
pub(crate) const PASSWORD: &str = "EVERLINK_PASSWORD";

/// How the arguments reach the second self.
const ARGUMENTS: &str = "EVERLINK_ARGUMENTS";

/// The arguments of the process, at best no longer visible to other users.
///
/// Every user may read every process's arguments, but only the owner (and root) its environment.
/// So if an argument may hold a password, the process replaces itself, under the same process
/// identifier, by one whose visible arguments have stars there, and which finds the real ones in
/// its environment. The password is visible for the milliseconds that takes; in `EVERLINK_PASSWORD`
/// or a `--password-file` it never is.
pub(crate) fn hidden_arguments() -> Vec<OsString> {
    let visible: Vec<OsString> = std::env::args_os().collect();
    let own = format!("{} ", std::process::id());
    if let Some(real) = std::env::var_os(ARGUMENTS)
        && let Some(real) = real.as_bytes().strip_prefix(own.as_bytes())
    {
        return unpack(real).unwrap_or(visible);
    }
    let masked = mask(&visible);
    if masked != visible
        && let Ok(program) = std::env::current_exe()
    {
        let mut packed = own.into_bytes();
        pack(&visible, &mut packed);
        let mut second = std::process::Command::new(program);
        second.args(masked.iter().skip(1)).env(ARGUMENTS, OsString::from_vec(packed));
        if let Some(name) = masked.first() {
            second.arg0(name);
        }
        // Returns only if it fails; then the arguments stay as visible as they were.
        let _ = second.exec();
    }
    visible
}

/// Puts stars in place of what may be a password. One star too many does no harm: nobody reads
/// these arguments but people.
fn mask(arguments: &[OsString]) -> Vec<OsString> {
    let mut masked = arguments.to_vec();
    let mut hide_next = false;
    for argument in masked.iter_mut().skip(1) {
        let text = argument.to_string_lossy();
        if std::mem::replace(&mut hide_next, false) {
            *argument = OsString::from("***");
        } else if let Some((flag, _)) = text.split_once('=').filter(|(f, _)| *f == "--pw") {
            *argument = OsString::from(format!("{flag}=***"));
        } else if text.starts_with("--ws-header=") {
            *argument = OsString::from("--ws-header=***");
        } else if ["--pw", "--ws-header", "authentication-data"].contains(&&*text) {
            hide_next = true;
        } else if let Some((scheme, rest)) = text.split_once("://")
            && let Some((user_info, host)) = rest.rsplit_once('@')
            && let Some((user, _)) = user_info.split_once(':')
        {
            *argument = OsString::from(format!("{scheme}://{user}:***@{host}"));
        } else if let Some(at) = password_flag(argument) {
            hide_next = at + 1 == argument.len();
            if !hide_next {
                let mut bytes = argument.as_bytes()[..=at].to_vec();
                bytes.extend_from_slice(b"***");
                *argument = OsString::from_vec(bytes);
            }
        }
    }
    masked
}

/// Where `P` stands in a cluster of short flags such as `-dP`.
fn password_flag(argument: &OsStr) -> Option<usize> {
    let cluster = argument.as_bytes();
    let flags = cluster.strip_prefix(b"-").filter(|rest| !rest.starts_with(b"-"))?;
    // What stands before it must be flags without a value, or it is part of a value.
    let at = flags.iter().position(|b| !b"cdlnrsvNRE".contains(b))?;
    (flags[at] == b'P').then_some(at + 1)
}

/// Arguments in one variable: hexadecimal digits with a space between, as it cannot hold NUL.
fn pack(arguments: &[OsString], out: &mut Vec<u8>) {
    for (n, argument) in arguments.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        for byte in argument.as_bytes() {
            out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
    }
}

fn unpack(packed: &[u8]) -> Option<Vec<OsString>> {
    packed
        .split(|b| *b == b' ')
        .map(|hex| {
            let pairs = hex.chunks(2).map(|pair| {
                let digits = std::str::from_utf8(pair).ok().filter(|d| d.len() == 2)?;
                u8::from_str_radix(digits, 16).ok()
            });
            pairs.collect::<Option<Vec<u8>>>().map(OsString::from_vec)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn stars_take_the_place_of_passwords() {
        for (typed, shown) in [
            ("everlink pub -P hunter2 -t a", "everlink pub -P *** -t a"),
            ("everlink pub -Phunter2", "everlink pub -P***"),
            ("everlink pub -dPhunter2", "everlink pub -dP***"),
            ("everlink pub -dP hunter2", "everlink pub -dP ***"),
            ("everlink pub --pw hunter2", "everlink pub --pw ***"),
            ("everlink pub --pw=hunter2", "everlink pub --pw=***"),
            ("everlink pub -L mqtt://a:hunter2@h/t", "everlink pub -L mqtt://a:***@h/t"),
            ("everlink pub -L mqtt://a:hun@ter2@h/t", "everlink pub -L mqtt://a:***@h/t"),
            ("everlink pub -Lmqtt://a:hunter2@h", "everlink pub -Lmqtt://a:***@h"),
            (
                "everlink pub -D connect authentication-data hunter2 -m a",
                "everlink pub -D connect authentication-data *** -m a",
            ),
            ("everlink pub --ws-header Cookie:a -t b", "everlink pub --ws-header *** -t b"),
            ("everlink pub --ws-header=Cookie:a", "everlink pub --ws-header=***"),
            ("everlink pub --proxy socks5://a:b@h:1", "everlink pub --proxy socks5://a:***@h:1"),
            (
                "everlink pub -L esp-at:///dev/tty?to=mqtt://a:hunter2@h",
                "everlink pub -L esp-at:///dev/tty?to=mqtt:***@h",
            ),
            ("everlink pub -t P -m aP -p 1", "everlink pub -t P -m aP -p 1"),
            ("everlink pub -L mqtt://a@h/t", "everlink pub -L mqtt://a@h/t"),
        ] {
            assert_eq!(mask(&words(typed)), words(shown));
        }
    }

    #[test]
    fn arguments_survive_packing() {
        let mut arguments = words("everlink pub -m");
        arguments.extend([OsString::new(), OsString::from_vec(vec![0xff, b' ', b'\n'])]);
        let mut packed = Vec::new();
        pack(&arguments, &mut packed);
        assert_eq!(unpack(&packed), Some(arguments));
        assert_eq!(unpack(b"0"), None);
        assert_eq!(unpack(b"zz"), None);
    }
}
