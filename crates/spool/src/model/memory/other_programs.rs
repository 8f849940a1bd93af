//! The acts of other programs in the folder of the spool, and of worn-out cells.

use lopside_delivery::Class;
use proptest::test_runner::TestRng;
use rand::RngExt as _;

use super::MemoryDisk;
use crate::{lock, model::inode::Inode, segment, state};

impl MemoryDisk {
    /// Returns the number of the first record of the last segment of a class; `None` if the class does not have any.
    pub(in crate::model) fn last_segment(&self, class: Class) -> Option<u64> {
        let disk = self.0.borrow();
        let segments = disk.names.keys().filter_map(|name| segment::parse(name));
        segments.filter(|(other, _)| *other == class).map(|(_, first)| first).max()
    }

    /// Adds a file as another program may do, unless there is one with this name.
    pub(in crate::model) fn add_foreign_file(&self, name: &str, bytes: &[u8]) {
        let mut disk = self.0.borrow_mut();
        if disk.names.contains_key(name) {
            return;
        }
        let inode = disk.inodes.len();
        disk.inodes.push(Inode { visible: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() });
        disk.foreign_inodes.insert(inode);
        disk.names.insert(name.to_owned(), inode);
        disk.durable_names.insert(name.to_owned(), inode);
    }

    /// Removes the last segment of a class as another program may do, and returns the number of its first
    /// record; `None` if the class does not have any.
    pub(in crate::model) fn remove_last_segment(&self, class: Class) -> Option<u64> {
        let last = self.last_segment(class)?;
        let mut disk = self.0.borrow_mut();
        let name = segment::name(class, last);
        disk.names.remove(&name);
        disk.name_changes.push((name, None));
        Some(last)
    }

    /// Flips random bits in files other than the state and the lock.
    pub(in crate::model) fn flip(&self, bits: usize, rng: &mut TestRng) {
        let mut disk = self.0.borrow_mut();
        let others = [state::FILE_NAME, lock::FILE_NAME];
        let logs = disk.names.iter().filter(|(name, _)| !others.contains(&name.as_str()));
        let logs: Vec<usize> = logs.map(|(_, &inode)| inode).collect();
        for _ in 0..bits {
            let Some(&log) = logs.get(rng.random_range(0..logs.len().max(1))) else { return };
            let inode = &mut disk.inodes[log];
            if !inode.visible.is_empty() {
                let index = rng.random_range(0..inode.visible.len());
                inode.visible[index] ^= 1 << rng.random_range(0..8);
                inode.durable.clone_from(&inode.visible);
            }
        }
    }
}
