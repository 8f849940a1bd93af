//! The receiver, which may be set back to an earlier state.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use lopside_delivery::Class;

/// The sender of records: the number of a device, and the name of its spool. The receiver keeps the records of each
/// one apart.
pub(super) type Sender = (u8, u32);

/// The records that the receiver has, and those that it knows it has lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Receiver {
    /// The numbers by their sender, their class and their epoch.
    streams: BTreeMap<(Sender, Class, u64), BTreeSet<u64>>,
    /// Numbers by sender and class that were acknowledged, were lost, and have not come again.
    losses: BTreeMap<(Sender, Class), BTreeSet<u64>>,
    /// All numbers that it has ever reported as lost.
    ever_lost: BTreeSet<(Class, u64)>,
    /// The class, epoch and number of all records that it has ever had.
    ever_received: BTreeSet<(Class, u64, u64)>,
}

impl Receiver {
    /// Adds a record.
    pub(super) fn receive(&mut self, sender: Sender, class: Class, epoch: u64, number: u64) {
        self.streams.entry((sender, class, epoch)).or_default().insert(number);
        self.ever_received.insert((class, epoch, number));
        if let Some(losses) = self.losses.get_mut(&(sender, class)) {
            losses.remove(&number);
        }
    }

    /// Returns whether it has a record from this sender. It acknowledges no others to the sender.
    pub(super) fn has_from(&self, sender: Sender, class: Class, epoch: u64, number: u64) -> bool {
        self.streams.get(&(sender, class, epoch)).is_some_and(|numbers| numbers.contains(&number))
    }

    /// Returns whether it has a record, from whatever sender.
    pub(super) fn has(&self, class: Class, epoch: u64, number: u64) -> bool {
        let mut streams = self.streams.iter();
        streams.any(|(key, numbers)| (key.1, key.2) == (class, epoch) && numbers.contains(&number))
    }

    /// Returns the class, epoch and number of all records that it has ever had.
    pub(super) fn ever_received(&self) -> &BTreeSet<(Class, u64, u64)> {
        &self.ever_received
    }

    /// Returns the numbers of a class that it has.
    pub(super) fn numbers(&self, class: Class) -> BTreeSet<u64> {
        let streams = self.streams.iter().filter(|(key, _)| key.1 == class);
        streams.flat_map(|(_, numbers)| numbers.iter().copied()).collect()
    }

    /// Loses the `count` records of a class with the highest numbers: it is set back to an earlier state.
    pub(super) fn lose_last(&mut self, class: Class, count: usize) {
        for _ in 0..count {
            let streams = self.streams.iter_mut().filter(|(key, _)| key.1 == class);
            let Some((_, numbers)) = streams.max_by_key(|(_, numbers)| numbers.last().copied()) else {
                return;
            };
            numbers.pop_last();
        }
    }

    /// Returns the numbers of a sender and class that it has, by epoch.
    pub(super) fn known(&self, sender: Sender, class: Class) -> Vec<(u64, Vec<RangeInclusive<u64>>)> {
        let streams = self.streams.iter().filter(|(key, _)| (key.0, key.1) == (sender, class));
        streams.map(|(key, numbers)| (key.2, singles(numbers))).collect()
    }

    /// Returns the numbers of a sender and class that it has lost. It learns from the highest number that was
    /// ever acknowledged to the sender that it was set back.
    pub(super) fn find_lost(
        &mut self,
        sender: Sender,
        class: Class,
        acknowledged: u64,
    ) -> Vec<RangeInclusive<u64>> {
        let streams = self.streams.iter().filter(|(key, _)| (key.0, key.1) == (sender, class));
        let highest = streams.filter_map(|(_, numbers)| numbers.last().copied()).max().unwrap_or(0);
        let losses = self.losses.entry((sender, class)).or_default();
        losses.extend(highest + 1..=acknowledged);
        self.ever_lost.extend(losses.iter().map(|&number| (class, number)));
        singles(losses)
    }

    /// Returns how many numbers of a class it has reported as lost.
    pub(super) fn ever_lost_count(&self, class: Class) -> u64 {
        self.ever_lost.iter().filter(|(other, _)| *other == class).count() as u64
    }
}

fn singles(numbers: &BTreeSet<u64>) -> Vec<RangeInclusive<u64>> {
    numbers.iter().map(|&number| number..=number).collect()
}
