//! Which port each role of a local network listens on.

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Validators of a local network: the smallest number of which one may fail.
pub const VALIDATORS: u16 = 4;
/// Inference nodes of a local network that says nothing else, each of another operator.
pub const NODES: u16 = 3;
/// Most inference nodes of a local network: what the ports from one base hold beside everything else.
pub const MAX_NODES: u16 = 40;
/// Nodes for which [`Ports::from_base`] has room.
const NODES_FROM_BASE: u16 = 8;
/// Most hubs of a local network, each of another operator.
pub const MAX_HUBS: u16 = 5;
/// Ports of a network that is given a base: all lie from the base on, below base + this.
pub const PORTS_FROM_BASE: u16 = 64;

/// The ports of a local network; all on the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The gateway.
    pub gateway: u16,
    /// The first hub; the others follow.
    pub hub: u16,
    /// JSON-RPC of the first validator; the others follow.
    pub rpc: u16,
    /// The first inference node; the others follow.
    pub node: u16,
    /// The first validator's port for its peers; the others follow.
    pub peer: u16,
    /// The first validator's `/metrics`; the others follow. Nodes and gateway serve theirs beside their API.
    pub metrics: u16,
}

impl Default for Ports {
    /// The well-known ports of DESIGN.md.
    fn default() -> Self {
        Self {
            gateway: 8080,
            hub: 8081,
            rpc: 8545,
            node: 8101,
            peer: 9001,
            metrics: 9101,
        }
    }
}

impl Ports {
    /// The ports of a network whose ports all lie in the [`PORTS_FROM_BASE`] from `base` on; `None` if those
    /// leave the range of ports.
    pub fn from_base(base: u16) -> Option<Self> {
        base.checked_add(PORTS_FROM_BASE)?;
        if base == 0 {
            return None;
        }
        Some(Self {
            gateway: base,
            rpc: base.checked_add(8)?,
            node: base.checked_add(16)?,
            peer: base.checked_add(24)?,
            metrics: base.checked_add(32)?,
            hub: base.checked_add(40)?,
        })
    }

    /// The same for a network of so many nodes, at most [`MAX_NODES`].
    pub fn for_nodes(base: u16, nodes: u16) -> Option<Self> {
        let narrow = Self::from_base(base)?;
        if nodes <= NODES_FROM_BASE {
            return Some(narrow);
        }
        if nodes > MAX_NODES {
            return None;
        }
        Some(Self {
            gateway: base,
            hub: base.checked_add(1)?,
            rpc: base.checked_add(8)?,
            peer: base.checked_add(12)?,
            metrics: base.checked_add(16)?,
            node: base.checked_add(20)?,
        })
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        at(self.gateway, 0)
    }

    /// Where hub `index` listens.
    pub fn hub(&self, index: u16) -> SocketAddr {
        at(self.hub, index)
    }

    /// Where validator `index` serves JSON-RPC.
    pub fn rpc(&self, index: u16) -> SocketAddr {
        at(self.rpc, index)
    }

    /// Where node `index` listens.
    pub fn node(&self, index: u16) -> SocketAddr {
        at(self.node, index)
    }

    /// Where validator `index` listens for its peers.
    pub fn peer(&self, index: u16) -> SocketAddr {
        at(self.peer, index)
    }

    /// Where validator `index` serves its metrics.
    pub fn metrics(&self, index: u16) -> SocketAddr {
        at(self.metrics, index)
    }

    /// Every address of a network of `nodes` nodes and `hubs` hubs.
    pub fn all(&self, nodes: u16, hubs: u16) -> Vec<SocketAddr> {
        let validators = (0..VALIDATORS)
            .flat_map(|index| [self.rpc(index), self.peer(index), self.metrics(index)]);
        let nodes = (0..nodes).map(|index| self.node(index));
        let hubs = (0..hubs).map(|index| self.hub(index));
        validators
            .chain(nodes)
            .chain(hubs)
            .chain([self.gateway()])
            .collect()
    }
}

fn at(first: u16, index: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), first.saturating_add(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_port_is_given_twice_and_all_lie_where_they_should() {
        for ports in [Ports::default(), Ports::from_base(20_000).unwrap()] {
            let all = ports.all(NODES, MAX_HUBS);
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            assert_eq!(all.len(), 4 * 3 + 3 + 5 + 1);
            assert!(all.iter().all(|address| address.ip().is_loopback()));
        }
        let range = 20_000..20_000 + PORTS_FROM_BASE;
        assert!(
            Ports::from_base(20_000)
                .unwrap()
                .all(NODES, MAX_HUBS)
                .iter()
                .all(|a| range.contains(&a.port()))
        );
        for nodes in [1, NODES_FROM_BASE, NODES_FROM_BASE + 1, MAX_NODES] {
            let ports = Ports::for_nodes(20_000, nodes).unwrap();
            let all = ports.all(nodes, MAX_HUBS);
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            assert!(all.iter().all(|a| range.contains(&a.port())), "{nodes}");
        }
    }

    #[test]
    fn a_base_without_room_is_refused() {
        assert_eq!(Ports::for_nodes(20_000, MAX_NODES + 1), None);
        assert_eq!(Ports::from_base(0), None);
        assert_eq!(Ports::from_base(u16::MAX), None);
        assert_eq!(Ports::from_base(u16::MAX - PORTS_FROM_BASE + 1), None);
        assert!(Ports::from_base(u16::MAX - PORTS_FROM_BASE).is_some());
    }
}
