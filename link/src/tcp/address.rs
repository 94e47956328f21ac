//! The order in which addresses are tried.

use std::net::SocketAddr;
use std::vec::Vec;

/// Orders `addresses`, given in the resolver's order of preference, for a race: the `good` one
/// first, then IPv6 and IPv4 by turns [RFC 8305, 4], those in `mute` last.
pub(super) fn order(
    addresses: &[SocketAddr],
    good: Option<SocketAddr>,
    mute: &[SocketAddr],
) -> Vec<SocketAddr> {
    let mut ordered = interleave(addresses);
    // Stable: among its like each keeps its place, the mute ones in the order they were tried.
    ordered.sort_by_key(|address| match mute.iter().position(|m| m == address) {
        Some(tried) => 2 + tried,
        None if good == Some(*address) => 0,
        None => 1,
    });
    ordered
}

/// Takes turns between the families, beginning with that of the first address. Drops duplicates.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let mut one = addresses.iter().filter(|a| a.is_ipv6() == first);
    let mut other = addresses.iter().filter(|a| a.is_ipv6() != first);
    let mut ordered = Vec::with_capacity(addresses.len());
    loop {
        let turn = [one.next(), other.next()];
        if turn == [None, None] {
            return ordered;
        }
        for address in turn.into_iter().flatten() {
            if !ordered.contains(address) {
                ordered.push(*address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<SocketAddr> {
        text.split(' ').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(given: &str, good: &str, mute: &str, expected: &str) {
        let good = addresses(good).first().copied();
        assert_eq!(order(&addresses(given), good, &addresses(mute)), addresses(expected));
    }

    #[test]
    fn families_take_turns_from_the_preferred_one() {
        check("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1", "", "", "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        check("1.1.1.1:1 1.1.1.2:1 [::1]:1", "", "", "1.1.1.1:1 [::1]:1 1.1.1.2:1");
        check("1.1.1.1:1 1.1.1.1:1 [::1]:1", "", "", "1.1.1.1:1 [::1]:1");
        check("", "", "", "");
    }

    #[test]
    fn the_good_one_comes_first_the_mute_ones_last() {
        check("[::1]:1 1.1.1.1:1 [::2]:1", "[::2]:1", "", "[::2]:1 [::1]:1 1.1.1.1:1");
        check("[::1]:1 1.1.1.1:1 [::2]:1", "", "[::1]:1", "1.1.1.1:1 [::2]:1 [::1]:1");
        check(
            "[::1]:1 1.1.1.1:1 [::2]:1",
            "[::1]:1",
            "[::2]:1 1.1.1.1:1",
            "[::1]:1 [::2]:1 1.1.1.1:1",
        );
    }

    #[test]
    fn an_address_no_longer_in_the_answer_is_not_tried() {
        check("[::1]:1", "1.1.1.1:1", "", "[::1]:1");
    }
}
