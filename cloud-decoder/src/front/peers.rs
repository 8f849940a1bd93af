use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ConnectionLimits, Event};

/// The numbers of open connections, in total and per peer, with their limits.
#[derive(Debug)]
pub(crate) struct Peers {
    most: usize,
    most_per_peer: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// The permit of one open connection; returned when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    pub(crate) fn new(limits: &ConnectionLimits) -> Arc<Self> {
        let (most, most_per_peer) = (limits.connections, limits.connections_per_peer);
        Arc::new(Self { most, most_per_peer, open: Mutex::default() })
    }

    /// Returns a permit for a connection from this address, or the event of its refusal.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, Event> {
        let peer = peer_of(address);
        let mut open = self.lock();
        if open.all >= self.most {
            return Err(Event::RefusedFull);
        }
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= self.most_per_peer {
            return Err(Event::RefusedPeer);
        }
        open.by_peer.insert(peer, of_peer + 1);
        open.all += 1;
        Ok(Place { peers: Arc::clone(self), peer })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        open.all -= 1;
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Returns the peer of an address. A single host has a whole /64 of IPv6 addresses, and an IPv4 address may
/// arrive as an IPv4-mapped IPv6 address.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(connections: usize, connections_per_peer: usize) -> Arc<Peers> {
        Peers::new(&ConnectionLimits { connections, connections_per_peer, ..ConnectionLimits::default() })
    }

    #[test]
    fn a_place_is_free_again_after_its_connection() {
        let peers = peers(2, 1);
        let [one, two, three] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let first = peers.admit(one).unwrap();
        assert_eq!(peers.admit(one).unwrap_err(), Event::RefusedPeer);
        let _second = peers.admit(two).unwrap();
        assert_eq!(peers.admit(three).unwrap_err(), Event::RefusedFull);
        drop(first);
        assert!(peers.admit(one).is_ok());
        assert_eq!(peers.lock().by_peer.len(), 1, "peers without connections are removed");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer_and_mapped_addresses_are_ipv4() {
        let peers = peers(9, 1);
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let _places = [admit("2001:db8::1").unwrap(), admit("10.0.0.1").unwrap()];
        assert_eq!(admit("2001:db8::2:1").unwrap_err(), Event::RefusedPeer);
        assert_eq!(admit("::ffff:10.0.0.1").unwrap_err(), Event::RefusedPeer);
        assert!(admit("2001:db8:0:1::1").is_ok());
    }
}
