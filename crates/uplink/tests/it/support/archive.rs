//! The cloud's storage, with the rules of its archive. It survives every kill of the cloud.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use lopside_delivery::Class;
use lopside_proto::v1::{FrameClass, Frames};
use tokio::sync::watch;
use tonic::Status;

/// An applied record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) captured_ms: i64,
    pub(crate) source: String,
    pub(crate) frame: Vec<u8>,
}

/// The archive of one device. Clones share their contents.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    contents: Arc<Mutex<Contents>>,
    applied: watch::Sender<usize>,
}

#[derive(Debug, Clone, Default)]
struct Contents {
    /// Number of connections of the device so far.
    connection: u64,
    /// The applied records by spool, class and epoch; they are never forgotten.
    streams: BTreeMap<(u32, Class, u64), Stream>,
    entries: Vec<Entry>,
    /// The index of an entry by class, epoch and number: a copy of a spool sends the same records.
    indices: BTreeMap<(Class, u64, u64), usize>,
    /// Numbers by spool and class that were acknowledged, were lost, and have not come again.
    losses: BTreeMap<(u32, Class), BTreeSet<u64>>,
}

/// A copy of the archive's contents, as in a backup.
pub(crate) struct Backup(Contents);

/// The sender of messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) spool: u32,
    /// The number of the connection.
    pub(crate) connection: u64,
}

/// The applied records of one spool, class and epoch.
#[derive(Debug, Clone, Default)]
struct Stream {
    floor: u64,
    numbers: BTreeMap<u64, usize>,
}

impl Default for Archive {
    fn default() -> Self {
        Self { contents: Arc::default(), applied: watch::Sender::new(0) }
    }
}

impl Archive {
    /// Returns the number of applied records, and notifies of each change.
    pub(crate) fn applied(&self) -> watch::Receiver<usize> {
        self.applied.subscribe()
    }

    /// Returns all applied records, in the order of application.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.contents.lock().unwrap().entries.clone()
    }

    /// Returns the applied records of a class, in the order of application.
    pub(crate) fn of(&self, class: Class) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.class == class).collect()
    }

    /// Returns the number up to which the device has settled a class.
    pub(crate) fn floor(&self, class: Class) -> u64 {
        let contents = self.contents.lock().unwrap();
        let floors = contents.streams.iter().filter(|(key, _)| key.1 == class);
        floors.map(|(_, stream)| stream.floor).max().unwrap_or(0)
    }

    /// Returns a copy of the contents.
    pub(crate) fn back_up(&self) -> Backup {
        Backup(self.contents.lock().unwrap().clone())
    }

    /// Sets the archive back to a backup. The numbers of connections continue, as those of a new server do.
    pub(crate) fn restore(&self, backup: &Backup) {
        let mut contents = self.contents.lock().unwrap();
        *contents = Contents { connection: contents.connection, ..backup.0.clone() };
        let applied = contents.entries.len();
        drop(contents);
        self.applied.send_replace(applied);
    }

    /// Registers a new connection of the device; messages of older connections are no longer applied.
    pub(crate) fn register_connection(&self) -> u64 {
        let mut contents = self.contents.lock().unwrap();
        contents.connection += 1;
        contents.connection
    }

    /// Returns the applied or settled record numbers of a class of a spool by epoch, starting at `first`.
    pub(crate) fn known(&self, spool: u32, class: Class, first: u64) -> Vec<(u64, Vec<RangeInclusive<u64>>)> {
        let contents = self.contents.lock().unwrap();
        let streams = contents.streams.iter().filter(|(key, _)| (key.0, key.1) == (spool, class));
        streams
            .map(|(&(_, _, epoch), Stream { floor, numbers })| {
                let settled = first.max(1)..=*floor;
                let applied = numbers.range(first..).map(|(&number, _)| number);
                (epoch, merge(settled.chain(applied)))
            })
            .collect()
    }

    /// Returns the record numbers of a class of a spool that this archive has lost, because the highest number that
    /// was ever acknowledged is `acknowledged`.
    pub(crate) fn find_lost(&self, spool: u32, class: Class, acknowledged: u64) -> Vec<RangeInclusive<u64>> {
        let mut contents = self.contents.lock().unwrap();
        let Contents { streams, losses, .. } = &mut *contents;
        let streams = streams.iter().filter(|(key, _)| (key.0, key.1) == (spool, class));
        let highest = streams
            .map(|(_, stream)| stream.numbers.keys().next_back().copied().unwrap_or(0).max(stream.floor))
            .max();
        let losses = losses.entry((spool, class)).or_default();
        losses.extend(highest.unwrap_or(0) + 1..=acknowledged);
        merge(losses.iter().copied())
    }

    /// Applies a whole message. Returns false if it arrived on an older connection.
    pub(crate) fn apply(&self, sender: Sender, frames: &Frames) -> bool {
        let class = class_of(frames.class).unwrap();
        let mut contents = self.contents.lock().unwrap();
        let Contents { connection, streams, entries, indices, losses } = &mut *contents;
        if *connection != sender.connection {
            return false;
        }
        let stream = streams.entry((sender.spool, class, frames.epoch)).or_default();
        stream.floor = stream.floor.max(frames.settled);
        let losses = losses.entry((sender.spool, class)).or_default();
        for entry in entries_of(class, frames) {
            losses.remove(&entry.number);
            let is_new = entry.number > stream.floor && !stream.numbers.contains_key(&entry.number);
            if is_new {
                let identity = (class, entry.epoch, entry.number);
                let found = indices.get(&identity).copied().filter(|&index| entries[index] == entry);
                stream.numbers.insert(entry.number, found.unwrap_or(entries.len()));
                if found.is_none() {
                    indices.insert(identity, entries.len());
                    entries.push(entry);
                }
            } else if let Some(&index) = stream.numbers.get(&entry.number) {
                assert_eq!(entries[index], entry, "two different records have the same number");
            }
        }
        let applied = entries.len();
        drop(contents);
        self.applied.send_replace(applied);
        true
    }
}

/// Returns numbers as ranges. They are in ascending order; the same number may come twice.
fn merge(numbers: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if *last.end() + 1 >= number => *last = *last.start()..=number.max(*last.end()),
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

/// Returns the class that a message names.
pub(super) fn class_of(class: i32) -> Result<Class, Status> {
    let class = FrameClass::try_from(class);
    class.map(Class::from).map_err(|_| Status::invalid_argument("the class is not known"))
}

/// Refuses a message whose columns are inconsistent.
pub(super) fn check(frames: &Frames) -> Result<(), Status> {
    let count = frames.lengths.len();
    let bytes: usize = frames.lengths.iter().map(|&len| len as usize).sum();
    let is_consistent = count > 0
        && frames.digests.len() == count
        && frames.elapsed_ms.len() == count - 1
        && frames.frames.len() == bytes
        && frames.first > 0;
    let entries = if is_consistent { entries_of(class_of(frames.class)?, frames) } else { Vec::new() };
    let is_whole =
        entries.iter().zip(&frames.digests).all(|(entry, digest)| crc32c::crc32c(&entry.frame) == *digest);
    if is_consistent && is_whole { Ok(()) } else { Err(Status::invalid_argument("the columns do not fit")) }
}

fn entries_of(class: Class, frames: &Frames) -> Vec<Entry> {
    let mut rest = &frames.frames[..];
    let (mut captured_ms, mut source) = (frames.captured_ms, String::new());
    let mut entries = Vec::with_capacity(frames.lengths.len());
    for (index, &len) in frames.lengths.iter().enumerate() {
        let (frame, tail) = rest.split_at(len as usize);
        rest = tail;
        if index > 0 {
            captured_ms += frames.elapsed_ms[index - 1];
        }
        if let Some(origin) = frames.origins.iter().find(|origin| origin.index as usize == index) {
            source.clone_from(&origin.source);
        }
        let number = frames.first + index as u64;
        let (epoch, source, frame) = (frames.epoch, source.clone(), frame.to_vec());
        entries.push(Entry { class, epoch, number, captured_ms, source, frame });
    }
    entries
}
