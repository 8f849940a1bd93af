//! The memory that the bodies of all requests may occupy: one budget for the whole server.
//!
//! A body reserves memory before each piece of it is passed on, and returns it when the request is answered, or, in a
//! stream of messages, when the next message is awaited. No peer and no API key may hold more than half of the budget,
//! so that one of them cannot keep all others out. A body never waits for memory: two bodies that each hold a part and
//! wait for the rest would wait for ever. It is refused at once and returns what it holds.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{FrontEvent, FrontStats, body_refusal::BodyRefusal, memory_share::MemoryShare, peers::peer_of};

/// How often the bytes of a body are in memory at once: as they were received, and as the message or the value that
/// is made of them, which a handler holds.
const COPIES: usize = 2;
/// Number of bytes that a piece of a body counts at least, for its bookkeeping.
const MIN_PIECE_BYTES: usize = 64;
/// Number of peers and keys beyond which those without a request are removed for the first time.
const FIRST_CLEANUP: usize = 64;

/// The budget, and the shares of peers and keys in it.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    total: Arc<MemoryShare>,
    holder_limit: usize,
    holders: Mutex<Holders>,
    stats: Arc<FrontStats>,
}

/// The memory that one peer holds; shared by its connections.
#[derive(Debug, Clone)]
pub(crate) struct PeerMemory {
    memory: Arc<RequestMemory>,
    share: Arc<MemoryShare>,
}

/// The memory that the body of one request holds; returned when dropped.
#[derive(Debug)]
pub(crate) struct BodyPermit {
    peer: PeerMemory,
    key: OnceLock<Arc<MemoryShare>>,
    held: AtomicUsize,
    is_answered: AtomicBool,
}

/// Memory of a message that is still in use when the next message of its stream arrives; returned when dropped.
#[derive(Debug)]
pub(crate) struct HeldMemory {
    peer: PeerMemory,
    key: Option<Arc<MemoryShare>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Holders {
    shares: HashMap<Holder, Weak<MemoryShare>>,
    cleanup_at: usize,
}

/// The one that a share belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Peer(IpAddr),
    Key(Arc<str>),
}

/// Returns the size in bytes of the largest body that is accepted: it fits into the half of the memory that one peer may
/// hold, also if it arrives in small pieces.
pub(crate) fn max_body_bytes(request_memory: usize) -> usize {
    request_memory / 5
}

impl RequestMemory {
    /// Creates a budget of `limit` bytes.
    pub(crate) fn new(limit: usize, stats: Arc<FrontStats>) -> Arc<Self> {
        let total = Arc::new(MemoryShare::new(limit));
        stats.observe_request_memory(&total);
        Arc::new(Self { total, holder_limit: limit / 2, holders: Mutex::default(), stats })
    }

    /// Returns the share of the peer with this address.
    pub(crate) fn of_peer(self: &Arc<Self>, address: IpAddr) -> PeerMemory {
        PeerMemory { memory: Arc::clone(self), share: self.share_of(Holder::Peer(peer_of(address))) }
    }

    fn share_of(&self, holder: Holder) -> Arc<MemoryShare> {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = holders.shares.get(&holder).and_then(Weak::upgrade) {
            return share;
        }
        holders.clean_up();
        let share = Arc::new(MemoryShare::new(self.holder_limit));
        holders.shares.insert(holder, Arc::downgrade(&share));
        share
    }
}

impl Holders {
    /// Removes the shares that nobody uses, when their number has doubled since the last time.
    fn clean_up(&mut self) {
        if self.shares.len() >= self.cleanup_at.max(FIRST_CLEANUP) {
            self.shares.retain(|_, share| share.strong_count() > 0);
            self.cleanup_at = 2 * self.shares.len();
        }
    }
}

impl PeerMemory {
    /// Returns a permit for a body, which holds nothing yet.
    pub(crate) fn new_permit(&self) -> BodyPermit {
        BodyPermit {
            peer: self.clone(),
            key: OnceLock::new(),
            held: AtomicUsize::new(0),
            is_answered: AtomicBool::new(false),
        }
    }
}

impl BodyPermit {
    /// Counts the body for an API key as well. It must not have begun to arrive; otherwise this has no effect.
    pub(crate) fn assign_key(&self, name: &Arc<str>) {
        if self.held.load(Relaxed) == 0 {
            self.key.get_or_init(|| self.peer.memory.share_of(Holder::Key(Arc::clone(name))));
        }
    }

    /// Reserves the memory for `bytes` more bytes of the body.
    ///
    /// # Errors
    /// The share that is used up; nothing is reserved in that case.
    pub(crate) fn reserve(&self, bytes: usize) -> Result<(), BodyRefusal> {
        let bytes = bytes.max(MIN_PIECE_BYTES).saturating_mul(COPIES);
        self.reserve_shares(bytes)
            .inspect_err(|_| self.peer.memory.stats.count(FrontEvent::MemoryRefused))?;
        self.held.fetch_add(bytes, Relaxed);
        Ok(())
    }

    /// Reserves memory for a message that will still be in use when the next message of its stream arrives: the body
    /// then returns what it holds.
    ///
    /// # Errors
    /// The share that is used up; nothing is reserved in that case.
    pub(crate) fn hold(&self, bytes: usize) -> Result<HeldMemory, BodyRefusal> {
        self.reserve_shares(bytes)?;
        Ok(HeldMemory { peer: self.peer.clone(), key: self.key.get().cloned(), bytes })
    }

    /// Counts a request that is refused because there is no memory.
    pub(crate) fn count_refusal(&self) {
        self.peer.memory.stats.count(FrontEvent::MemoryRefused);
    }

    /// Reserves the same number of bytes of all shares, or of none.
    fn reserve_shares(&self, bytes: usize) -> Result<(), BodyRefusal> {
        for (index, (share, refusal)) in self.shares().enumerate() {
            if !share.reserve(bytes) {
                self.shares().take(index).for_each(|(share, _)| share.release(bytes));
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Returns all memory.
    pub(crate) fn release_all(&self) {
        let held = self.held.swap(0, Relaxed);
        if held > 0 {
            self.shares().for_each(|(share, _)| share.release(held));
        }
    }

    /// Records that the response has begun. From then on, what arrives is a stream of messages.
    pub(crate) fn set_answered(&self) {
        self.is_answered.store(true, Relaxed);
    }

    /// Returns whether the response has begun.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.load(Relaxed)
    }

    /// Returns the shares of the body, with the reason for a refusal if there is none left.
    fn shares(&self) -> impl Iterator<Item = (&MemoryShare, BodyRefusal)> {
        let key = self.key.get().map(|share| (&**share, BodyRefusal::KeyMemoryInUse));
        let peer = (&*self.peer.share, BodyRefusal::PeerMemoryInUse);
        [(&*self.peer.memory.total, BodyRefusal::MemoryInUse), peer].into_iter().chain(key)
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        self.release_all();
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        let shares = [&*self.peer.memory.total, &*self.peer.share].into_iter().chain(self.key.as_deref());
        shares.for_each(|share| share.release(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::{array, net::Ipv4Addr, thread};

    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 100_000;

    fn memory() -> Arc<RequestMemory> {
        RequestMemory::new(LIMIT, Arc::default())
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn used(memory: &RequestMemory) -> usize {
        memory.total.used()
    }

    fn used_by(memory: &RequestMemory, holder: Holder) -> usize {
        memory.share_of(holder).used()
    }

    #[test]
    fn one_peer_and_one_key_hold_at_most_half() {
        let memory = memory();
        let [first, second] = [1, 2].map(|last| memory.of_peer(address(last)).new_permit());
        first.reserve(LIMIT / 2 / COPIES).unwrap();
        assert_eq!(first.reserve(1), Err(BodyRefusal::PeerMemoryInUse));
        assert_eq!(memory.of_peer(address(1)).new_permit().reserve(1), Err(BodyRefusal::PeerMemoryInUse));
        second.reserve(LIMIT / 2 / COPIES).unwrap();
        assert_eq!(memory.of_peer(address(3)).new_permit().reserve(1), Err(BodyRefusal::MemoryInUse));
        assert_eq!(memory.stats.snapshot().count_of(FrontEvent::MemoryRefused), 3);
        drop((first, second));
        assert_eq!(used(&memory), 0);

        // The same key from several peers.
        let [first, second] = [1, 2].map(|last| memory.of_peer(address(last)).new_permit());
        for permit in [&first, &second] {
            permit.assign_key(&"line-3".into());
        }
        first.reserve(LIMIT / 2 / COPIES).unwrap();
        assert_eq!(second.reserve(1), Err(BodyRefusal::KeyMemoryInUse));
        assert_eq!(used(&memory), LIMIT / 2, "a refusal reserves nothing");
    }

    #[test]
    fn what_a_stream_holds_stays_when_the_body_returns_its_memory() {
        let memory = memory();
        let permit = memory.of_peer(address(1)).new_permit();
        permit.assign_key(&"line-3".into());
        permit.reserve(100).unwrap();
        let held = permit.hold(1000).unwrap();
        assert_eq!(permit.hold(LIMIT / 2).unwrap_err(), BodyRefusal::PeerMemoryInUse);
        drop(permit);
        let of_key = || used_by(&memory, Holder::Key("line-3".into()));
        assert_eq!((used(&memory), used_by(&memory, Holder::Peer(address(1))), of_key()), (1000, 1000, 1000));
        drop(held);
        assert_eq!((used(&memory), used_by(&memory, Holder::Peer(address(1))), of_key()), (0, 0, 0));
    }

    #[test]
    fn the_largest_body_fits_into_the_half_of_a_peer() {
        for piece_len in [100, 1000, max_body_bytes(LIMIT)] {
            let permit = memory().of_peer(address(1)).new_permit();
            for _ in 0..max_body_bytes(LIMIT).div_ceil(piece_len) {
                assert_eq!(permit.reserve(piece_len), Ok(()));
            }
        }
    }

    #[test]
    fn a_key_that_is_assigned_too_late_is_not_counted() {
        let memory = memory();
        let permit = memory.of_peer(address(1)).new_permit();
        permit.reserve(1000).unwrap();
        permit.assign_key(&"line-3".into());
        permit.reserve(1000).unwrap();
        drop(permit);
        assert_eq!((used(&memory), used_by(&memory, Holder::Key("line-3".into()))), (0, 0));
    }

    #[test]
    fn small_pieces_count_their_bookkeeping() {
        let memory = memory();
        let permit = memory.of_peer(address(1)).new_permit();
        (0..10).for_each(|_| permit.reserve(1).unwrap());
        assert_eq!(used(&memory), 10 * MIN_PIECE_BYTES * COPIES);
        permit.release_all();
        assert_eq!(used(&memory), 0);
    }

    #[test]
    fn holders_without_requests_are_forgotten() {
        let memory = memory();
        let kept = memory.of_peer(address(0)).new_permit();
        kept.reserve(1000).unwrap();
        for number in 0..10_000_u32 {
            memory.share_of(Holder::Peer(Ipv4Addr::from_bits(number + (11 << 24)).into()));
        }
        let count = memory.holders.lock().unwrap().shares.len();
        assert!(count <= 2 * FIRST_CLEANUP, "{count}");
        assert_eq!(used_by(&memory, Holder::Peer(address(0))), 1000 * COPIES, "a peer in use is kept");
    }

    #[test]
    fn threads_never_exceed_the_limit_together() {
        let memory = memory();
        thread::scope(|scope| {
            for last in 0..4 {
                let memory = &memory;
                scope.spawn(move || {
                    let permit = memory.of_peer(address(last)).new_permit();
                    for round in 0..2000 {
                        let _ = permit.reserve(1000 + round);
                        assert!(used(memory) <= LIMIT);
                        if round % 7 == 0 {
                            permit.release_all();
                        }
                    }
                });
            }
        });
        assert_eq!(used(&memory), 0);
    }

    /// What happens to one of the bodies.
    #[derive(Debug, Clone)]
    enum Step {
        Reserve(usize, usize),
        ReleaseAll(usize),
        /// Ends the body; the next one has this peer and this key.
        Replace(usize, u8, Option<u8>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let body = 0..8_usize;
        let step = prop_oneof![
            6 => (body.clone(), 0..40_000_usize).prop_map(|(body, bytes)| Step::Reserve(body, bytes)),
            1 => body.clone().prop_map(Step::ReleaseAll),
            2 => (body, 0..3_u8, prop::option::of(0..2_u8))
                .prop_map(|(body, peer, key)| Step::Replace(body, peer, key)),
        ];
        prop::collection::vec(step, 1..200)
    }

    fn new_body(memory: &Arc<RequestMemory>, peer: u8, key: Option<u8>) -> BodyPermit {
        let permit = memory.of_peer(address(peer)).new_permit();
        if let Some(key) = key {
            permit.assign_key(&key.to_string().into());
        }
        permit
    }

    proptest! {
        /// The budget agrees with a model that knows only who holds how much.
        #[test]
        fn the_limits_hold_whatever_happens_and_everything_is_returned(steps in steps()) {
            let memory = memory();
            let mut bodies: [BodyPermit; 8] = array::from_fn(|_| new_body(&memory, 0, None));
            let mut model = [(0_u8, None::<u8>, 0_usize); 8];
            for step in steps {
                match step {
                    Step::Reserve(body, bytes) => {
                        let cost = bytes.max(MIN_PIECE_BYTES) * COPIES;
                        let (peer, key, _) = model[body];
                        let sum = |is_counted: &dyn Fn(u8, Option<u8>) -> bool| -> usize {
                            let counted = model.iter().filter(|(peer, key, _)| is_counted(*peer, *key));
                            counted.map(|(_, _, held)| held).sum()
                        };
                        let expected = if sum(&|_, _| true) + cost > LIMIT {
                            Err(BodyRefusal::MemoryInUse)
                        } else if sum(&|other, _| other == peer) + cost > LIMIT / 2 {
                            Err(BodyRefusal::PeerMemoryInUse)
                        } else if key.is_some() && sum(&|_, other| other == key) + cost > LIMIT / 2 {
                            Err(BodyRefusal::KeyMemoryInUse)
                        } else {
                            Ok(())
                        };
                        prop_assert_eq!(bodies[body].reserve(bytes), expected);
                        if expected.is_ok() {
                            model[body].2 += cost;
                        }
                    }
                    Step::ReleaseAll(body) => {
                        bodies[body].release_all();
                        model[body].2 = 0;
                    }
                    Step::Replace(body, peer, key) => {
                        bodies[body] = new_body(&memory, peer, key);
                        model[body] = (peer, key, 0);
                    }
                }
                prop_assert_eq!(used(&memory), model.iter().map(|(_, _, held)| held).sum::<usize>());
                prop_assert!(used(&memory) <= LIMIT);
            }
            drop(bodies);
            prop_assert_eq!(used(&memory), 0);
            for peer in 0..3 {
                prop_assert_eq!(used_by(&memory, Holder::Peer(address(peer))), 0);
            }
        }
    }
}
