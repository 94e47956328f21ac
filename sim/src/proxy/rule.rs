//! Rules that single out packets by type and direction.

use std::time::Duration;

use super::Direction;
use super::frame::PacketType;

/// What a rule does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It does not arrive.
    Swallow,
    /// It arrives twice.
    Double,
    /// It arrives this much later; packets behind it overtake it.
    Late(Duration),
    /// Its first so many bytes arrive, then the connection is reset.
    Cut(usize),
}

/// Applies an [`Action`] to packets of one type in one direction, for ever unless bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    direction: Direction,
    packet: PacketType,
    action: Action,
    skip: u32,
    left: u32,
}

impl Rule {
    /// A rule for every `packet` that goes in `direction`.
    pub fn new(direction: Direction, packet: PacketType, action: Action) -> Self {
        Self { direction, packet, action, skip: 0, left: u32::MAX }
    }

    /// Leaves the first `n` of these packets alone.
    pub fn skip(mut self, n: u32) -> Self {
        self.skip = n;
        self
    }

    /// Applies to `n` packets, then no more.
    pub fn times(mut self, n: u32) -> Self {
        self.left = n;
        self
    }
}

/// Names a rule that was added to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u64);

/// The rules in force; the first that matches a packet decides.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    list: Vec<(RuleId, Rule, u64)>,
    next: u64,
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> RuleId {
        self.next += 1;
        self.list.push((RuleId(self.next), rule, 0));
        RuleId(self.next)
    }

    pub(crate) fn lift(&mut self, id: RuleId) {
        self.list.retain(|(i, ..)| *i != id);
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// How often the rule applied; 0 for a rule that was lifted.
    pub(crate) fn hits(&self, id: RuleId) -> u64 {
        self.list.iter().find(|(i, ..)| *i == id).map_or(0, |(.., hits)| *hits)
    }

    /// What to do with a packet, and by which rule.
    pub(crate) fn apply(
        &mut self,
        direction: Direction,
        packet: PacketType,
    ) -> Option<(RuleId, Action)> {
        for (id, rule, hits) in &mut self.list {
            if !rule.direction.includes(direction) || rule.packet != packet || rule.left == 0 {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.left != u32::MAX {
                rule.left -= 1;
            }
            *hits += 1;
            return Some((*id, rule.action));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_skips_then_applies_then_is_spent() {
        let mut rules = Rules::default();
        let rule = Rule::new(Direction::ToClient, PacketType::Puback, Action::Swallow);
        let id = rules.add(rule.skip(1).times(2));
        let mut hit = |d, p| rules.apply(d, p).is_some();
        assert!(!hit(Direction::ToBroker, PacketType::Puback));
        assert!(!hit(Direction::ToClient, PacketType::Pubrec));
        let hits: Vec<_> = (0..5).map(|_| hit(Direction::ToClient, PacketType::Puback)).collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(rules.hits(id), 2);
    }

    #[test]
    fn a_lifted_rule_is_gone() {
        let mut rules = Rules::default();
        let id = rules.add(Rule::new(Direction::Both, PacketType::Pingresp, Action::Double));
        assert_eq!(
            rules.apply(Direction::ToClient, PacketType::Pingresp),
            Some((id, Action::Double))
        );
        rules.lift(id);
        assert_eq!(rules.apply(Direction::ToClient, PacketType::Pingresp), None);
    }
}
