//! A Client Identifier that stays the same when the command is run again.

use sha2::{Digest, Sha256};

use crate::exit::Failure;

/// Where Linux keeps the identity of the machine.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// An identifier for a kept session: the same for the same command with the same `parts` on the same
/// machine, and hardly ever the same otherwise. Different parts get different sessions, so that two
/// commands run side by side do not throw each other out.
///
/// The identity of the machine goes into a hash: it is not to be made public (machine-id(5)). The
/// result has 23 characters, the most every broker must accept `[MQTT-3.1.3-5]`.
pub(crate) fn derived(command: &str, parts: &[&str]) -> Result<String, Failure> {
    let machine = MACHINE_ID
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find(|id| !id.trim().is_empty())
        .ok_or_else(|| Failure::usage("-c: this machine has no /etc/machine-id; give -i ID"))?;
    Ok(from_machine(machine.trim(), command, parts))
}

fn from_machine(machine: &str, command: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in ["everlink", machine, command].iter().chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().take(7).map(|b| format!("{b:02x}")).collect();
    format!("everlink-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_only_for_the_same() {
        let id = from_machine("m", "sub", &["a", "b"]);
        assert_eq!(id, from_machine("m", "sub", &["a", "b"]));
        assert_eq!(id.len(), 23);
        assert!(!id.contains("m-"));
        for other in [
            from_machine("n", "sub", &["a", "b"]),
            from_machine("m", "pub", &["a", "b"]),
            from_machine("m", "sub", &["ab"]),
            from_machine("m", "sub", &["b", "a"]),
        ] {
            assert_ne!(id, other);
        }
    }
}
