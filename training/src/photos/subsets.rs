//! Chooses the photographs for validation: whole photographs, because neighbouring tiles show the same
//! objects.
//!
//! The photographs are sorted by a hash of their names, and the first ones are for validation. The choice is
//! therefore independent of content and origin, and adding or removing one photograph moves at most one other
//! to another subset.

use super::{TileSubset, folder::PhotoFile};

/// FNV-1a's constants for 64 bits (Fowler, Noll, Vo; RFC 9923).
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Returns the subset of each file. Of the usable files, `validation_share` (0 to 1) are for validation; of two
/// or more, at least one is for validation and at least one for training.
pub(super) fn assign_subsets(files: &[PhotoFile], usable: &[bool], validation_share: f64) -> Vec<TileSubset> {
    let mut order: Vec<usize> = (0..files.len()).filter(|&i| usable[i]).collect();
    order.sort_by_key(|&i| (fnv1a_hash(&files[i].name), &files[i].name));
    let max_count = order.len().saturating_sub(1);
    let count = ((order.len() as f64 * validation_share).round() as usize).max(1).min(max_count);
    let mut subsets = vec![TileSubset::Train; files.len()];
    for &i in &order[..count] {
        subsets[i] = TileSubset::Validation;
    }
    subsets
}

fn fnv1a_hash(name: &str) -> u64 {
    name.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize) -> Vec<PhotoFile> {
        (0..count)
            .map(|i| PhotoFile { name: format!("{i}.jpg"), path: format!("/p/{i}.jpg").into() })
            .collect()
    }

    fn validation_indices(count: usize, share: f64) -> Vec<usize> {
        let subsets = assign_subsets(&files(count), &vec![true; count], share);
        (0..count).filter(|&i| subsets[i] == TileSubset::Validation).collect()
    }

    #[test]
    fn the_validation_subset_has_its_share() {
        assert_eq!(validation_indices(200, 0.1).len(), 20);
        assert_eq!(validation_indices(47, 0.1).len(), 5);
    }

    #[test]
    fn neither_subset_is_empty_when_there_are_two() {
        for (share, expected) in [(0.0, 1), (1.0, 19), (7.0, 19), (-1.0, 1), (f64::NAN, 1)] {
            assert_eq!(validation_indices(20, share).len(), expected, "{share}");
            assert_eq!(validation_indices(2, share).len(), 1, "{share}");
            assert!(
                validation_indices(1, share).is_empty() && validation_indices(0, share).is_empty(),
                "{share}"
            );
        }
    }

    #[test]
    fn only_usable_photographs_count() {
        let mut usable = vec![false; 20];
        (usable[3], usable[7]) = (true, true);
        let subsets = assign_subsets(&files(20), &usable, 0.5);
        assert_ne!(subsets[3], subsets[7]);
        assert_eq!(subsets.iter().filter(|&&subset| subset == TileSubset::Validation).count(), 1);
    }

    #[test]
    fn an_added_photograph_moves_at_most_one_other() {
        for count in 20..60 {
            let (before, after) = (validation_indices(count, 0.2), validation_indices(count + 1, 0.2));
            let moved = (0..count).filter(|i| before.contains(i) != after.contains(i)).count();
            assert!(moved <= 1, "{moved} of {count}");
        }
    }
}
