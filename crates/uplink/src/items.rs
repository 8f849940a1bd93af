use std::collections::{BTreeSet, HashMap};

use crate::{CapturedFrame, FileItem};

/// The inputs of files that were stored last before the store was opened. A file whose inputs are all among
/// them is stored completely, even if the agent stopped before it could settle the file.
#[derive(Debug, Default)]
pub struct StoredItems(HashMap<u64, StoredInputs>);

#[derive(Debug, Default)]
struct StoredInputs {
    indices: BTreeSet<usize>,
    /// Number of inputs of the file, if its last input is among them.
    input_count: Option<usize>,
}

impl StoredItems {
    /// Returns whether all inputs of a file are stored.
    #[must_use]
    pub fn is_file_stored(&self, file: u64) -> bool {
        self.0.get(&file).is_some_and(|stored| stored.input_count == Some(stored.indices.len()))
    }

    /// Takes the entries of these files out; the other files are not asked for.
    #[must_use]
    pub fn take_files(&mut self, files: &[u64]) -> Self {
        Self(files.iter().filter_map(|file| self.0.remove_entry(file)).collect())
    }

    /// Takes the indices of those inputs of a file that are stored. They are returned once only: if the same
    /// file is captured again, it is a different one.
    #[must_use]
    pub fn take_indices(&mut self, file: u64) -> BTreeSet<usize> {
        self.0.remove(&file).unwrap_or_default().indices
    }

    /// Adds a record, if it is an input of a file.
    pub(crate) fn add(&mut self, record: &[u8]) {
        let Some(FileItem { file_key, index, is_last }) =
            CapturedFrame::parse(record).ok().and_then(|captured| captured.file_item)
        else {
            return;
        };
        let stored = self.0.entry(file_key).or_default();
        stored.indices.insert(index as usize);
        if is_last {
            stored.input_count = Some(index as usize + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(file: u64, index: u32, is_last: bool) -> Vec<u8> {
        CapturedFrame {
            file_item: Some(FileItem { file_key: file, index, is_last }),
            ..CapturedFrame::default()
        }
        .to_record()
    }

    #[test]
    fn a_file_is_stored_when_all_of_its_inputs_are() {
        let mut items = StoredItems::default();
        for record in [record(1, 0, true), record(2, 2, true), record(2, 0, false), record(3, 0, false)] {
            items.add(&record);
        }
        items.add(&CapturedFrame::default().to_record());
        items.add(b"no record");
        assert_eq!([1, 2, 3, 4].map(|file| items.is_file_stored(file)), [true, false, false, false]);
        let mut removed = items.take_files(&[2, 4]);
        assert_eq!(
            [2, 2, 4].map(|file| removed.take_indices(file)),
            [BTreeSet::from([0, 2]), BTreeSet::new(), BTreeSet::new()]
        );
        assert!(!items.is_file_stored(2) && items.is_file_stored(1));
        for index in 0..2 {
            items.add(&record(4, index, index == 1));
        }
        assert!(items.is_file_stored(4));
    }
}
