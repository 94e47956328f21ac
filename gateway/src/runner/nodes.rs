//! Memory for nodes that grows as they come.

use everlink_proto::mem::Table;

use super::world::Address;
use crate::core::{Memory, Node, NodeMemory, Nodes};

/// Topics and subscriptions that one node can have, and octets of their names.
const TOPICS: usize = 1000;
const SUBSCRIPTIONS: usize = 200;
const NAMES: usize = 128 * 1024;

/// A table of nodes that grows up to a limit; so do the tables of each.
#[derive(Debug)]
pub(super) struct GrowingNodes {
    nodes: Vec<Node<'static, Address>>,
    limit: usize,
    messages: usize,
    bytes: usize,
}

impl GrowingNodes {
    /// At most `limit` nodes, each with at most `messages` of `bytes` octets in its buffer.
    pub(super) fn new(limit: usize, messages: usize, bytes: usize) -> Self {
        Self { nodes: Vec::new(), limit, messages, bytes }
    }

    /// What the gateway needs besides.
    pub(super) fn memory(&self, max_message: usize) -> Memory<'static> {
        let entries = self.limit * 2 + 1;
        Memory {
            by_address: Table::growing(entries),
            by_client_id: Table::growing(entries),
            scratch: Table::growing(max_message + 64),
        }
    }
}

impl Nodes<'static, Address> for GrowingNodes {
    fn nodes(&self) -> &[Node<'static, Address>] {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut [Node<'static, Address>] {
        &mut self.nodes
    }

    fn grow(&mut self) -> bool {
        if self.nodes.len() >= self.limit {
            return false;
        }
        self.nodes.push(Node::new(NodeMemory {
            topics: Table::growing(TOPICS),
            subscriptions: Table::growing(SUBSCRIPTIONS),
            names: Table::growing(NAMES),
            buffer: Table::growing(self.messages),
            data: Table::growing(self.bytes),
        }));
        true
    }
}
