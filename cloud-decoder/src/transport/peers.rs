use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ConnectionLimits, FrontEvent};

/// The numbers of open connections, in total and per peer, with their limits.
#[derive(Debug)]
pub(crate) struct PeerLimits {
    max_connections: usize,
    max_per_peer: usize,
    open: Mutex<PeerCounts>,
}

#[derive(Debug, Default)]
struct PeerCounts {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The permit of one open connection; returned when dropped.
#[derive(Debug)]
pub(crate) struct PeerPermit {
    peers: Arc<PeerLimits>,
    peer: IpAddr,
}

impl PeerLimits {
    pub(crate) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            max_connections: limits.max_connections,
            max_per_peer: limits.max_connections_per_peer,
            open: Mutex::default(),
        })
    }

    /// Returns a permit for a connection from this address, or the event of its refusal.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<PeerPermit, FrontEvent> {
        let peer = peer_of(address);
        let mut open = self.lock();
        if open.total >= self.max_connections {
            return Err(FrontEvent::RefusedFull);
        }
        let peer_count = open.by_peer.get(&peer).copied().unwrap_or(0);
        if peer_count >= self.max_per_peer {
            return Err(FrontEvent::RefusedPeer);
        }
        open.by_peer.insert(peer, peer_count + 1);
        open.total += 1;
        Ok(PeerPermit { peers: Arc::clone(self), peer })
    }

    fn lock(&self) -> MutexGuard<'_, PeerCounts> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerPermit {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        open.total -= 1;
        if let Some(peer_count) = open.by_peer.get_mut(&self.peer) {
            *peer_count -= 1;
            if *peer_count == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Returns the peer of an address. A single host has a whole /64 of IPv6 addresses, and an IPv4 address may
/// arrive as an IPv4-mapped IPv6 address.
pub(super) fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(connections: usize, connections_per_peer: usize) -> Arc<PeerLimits> {
        PeerLimits::new(&ConnectionLimits {
            max_connections: connections,
            max_connections_per_peer: connections_per_peer,
            ..ConnectionLimits::default()
        })
    }

    #[test]
    fn a_permit_is_returned_after_its_connection() {
        let peers = peers(2, 1);
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let first = peers.admit(one).unwrap();
        assert_eq!(peers.admit(one).unwrap_err(), FrontEvent::RefusedPeer);
        let _second = peers.admit(two).unwrap();
        assert_eq!(peers.admit(three).unwrap_err(), FrontEvent::RefusedFull);
        drop(first);
        assert!(peers.admit(one).is_ok());
        assert_eq!(peers.lock().by_peer.len(), 1, "peers without connections are removed");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_mapped_addresses_are_ipv4() {
        let peers = peers(9, 1);
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let _permits = [admit("2001:db8::1").unwrap(), admit("10.0.0.1").unwrap()];
        assert_eq!(admit("2001:db8::2:1").unwrap_err(), FrontEvent::RefusedPeer);
        assert_eq!(admit("::ffff:10.0.0.1").unwrap_err(), FrontEvent::RefusedPeer);
        assert!(admit("2001:db8:0:1::1").is_ok());
    }
}
