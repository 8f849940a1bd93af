//! What the cloud keeps, by the rules of its archive: it outlives every kill.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

use lopside_proto::v1::{FrameClass, Frames};
use lopside_spool::Class;
use tokio::sync::watch;
use tonic::Status;

/// A record that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) class: Class,
    pub(crate) epoch: u64,
    pub(crate) number: u64,
    pub(crate) captured_ms: i64,
    pub(crate) source: String,
    pub(crate) frame: Vec<u8>,
}

/// The archive of one device. Clones are one archive.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    kept: Arc<Mutex<Kept>>,
    applied: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    /// How often the device has come.
    turn: u64,
    streams: BTreeMap<(Class, u64), Stream>,
    entries: Vec<Entry>,
}

/// Whose messages they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) spool: u32,
    /// Which connection of the device.
    pub(crate) turn: u64,
}

/// What was applied of a class and an epoch, for ever.
#[derive(Debug, Default)]
struct Stream {
    spool: u32,
    floor: u64,
    numbers: BTreeMap<u64, usize>,
}

impl Default for Archive {
    fn default() -> Self {
        Self { kept: Arc::default(), applied: watch::Sender::new(0) }
    }
}

impl Archive {
    /// How many records were applied, and each time that it changes.
    pub(crate) fn applied(&self) -> watch::Receiver<usize> {
        self.applied.subscribe()
    }

    /// All that was applied, in that order.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.kept.lock().unwrap().entries.clone()
    }

    /// What was applied of a class, in that order.
    pub(crate) fn of(&self, class: Class) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.class == class).collect()
    }

    /// Up to which number the device has settled a class.
    pub(crate) fn floor(&self, class: Class) -> u64 {
        let kept = self.kept.lock().unwrap();
        let floors = kept.streams.iter().filter(|((of, _), _)| *of == class);
        floors.map(|(_, stream)| stream.floor).max().unwrap_or(0)
    }

    /// The device has come once more: nothing of an older connection is applied any more.
    pub(crate) fn arrive(&self) -> u64 {
        let mut kept = self.kept.lock().unwrap();
        kept.turn += 1;
        kept.turn
    }

    /// The numbers of a class of a spool from this one on that were applied or settled.
    pub(crate) fn known(&self, spool: u32, class: Class, from: u64) -> Vec<RangeInclusive<u64>> {
        let kept = self.kept.lock().unwrap();
        let streams = kept.streams.iter().filter(|((of, _), stream)| *of == class && stream.spool == spool);
        let mut ranges = Vec::new();
        for (_, Stream { floor, numbers, .. }) in streams {
            ranges.push(from.max(1)..=*floor);
            for (&number, _) in numbers.range(from..) {
                match ranges.last_mut() {
                    Some(last) if *last.end() + 1 == number => *last = *last.start()..=number,
                    _ => ranges.push(number..=number),
                }
            }
        }
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// Applies a message wholly. False where it came on an older connection.
    pub(crate) fn apply(&self, sender: Sender, frames: &Frames) -> bool {
        let class = class_of(frames.class).unwrap();
        let mut kept = self.kept.lock().unwrap();
        let Kept { turn, streams, entries } = &mut *kept;
        if *turn != sender.turn {
            return false;
        }
        let stream = streams.entry((class, frames.epoch)).or_default();
        stream.spool = sender.spool;
        stream.floor = stream.floor.max(frames.settled);
        for entry in entries_of(class, frames) {
            let is_new = entry.number > stream.floor && !stream.numbers.contains_key(&entry.number);
            if is_new {
                stream.numbers.insert(entry.number, entries.len());
                entries.push(entry);
            } else if let Some(&at) = stream.numbers.get(&entry.number) {
                assert_eq!(entries[at], entry, "two records of one name");
            }
        }
        let applied = entries.len();
        drop(kept);
        self.applied.send_replace(applied);
        true
    }
}

/// The class that a message names.
pub(super) fn class_of(class: i32) -> Result<Class, Status> {
    match FrameClass::try_from(class) {
        Ok(FrameClass::Low) => Ok(Class::Low),
        Ok(FrameClass::Normal) => Ok(Class::Normal),
        Ok(FrameClass::High) => Ok(Class::High),
        Err(_) => Err(Status::invalid_argument("the class is not known")),
    }
}

/// Refuses a message whose columns do not fit each other.
pub(super) fn check(frames: &Frames) -> Result<(), Status> {
    let count = frames.lengths.len();
    let bytes: usize = frames.lengths.iter().map(|&len| len as usize).sum();
    let fits = count > 0
        && frames.digests.len() == count
        && frames.elapsed_ms.len() == count - 1
        && frames.frames.len() == bytes
        && frames.first > 0;
    let entries = if fits { entries_of(class_of(frames.class)?, frames) } else { Vec::new() };
    let is_whole =
        entries.iter().zip(&frames.digests).all(|(entry, digest)| crc32c::crc32c(&entry.frame) == *digest);
    if fits && is_whole { Ok(()) } else { Err(Status::invalid_argument("the columns do not fit")) }
}

fn entries_of(class: Class, frames: &Frames) -> Vec<Entry> {
    let mut rest = &frames.frames[..];
    let (mut captured_ms, mut source) = (frames.captured_ms, String::new());
    let mut entries = Vec::with_capacity(frames.lengths.len());
    for (index, &len) in frames.lengths.iter().enumerate() {
        let (frame, after) = rest.split_at(len as usize);
        rest = after;
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
