use std::path::Path;

use lopside_spool::{Disk, disk_fix, read_state};

use super::Finding;

/// Checks whether the spool had to take a new name, because it shared its numbers with another history of its folder.
/// Returns `None` if it did not, or if there is no spool yet.
pub(super) fn examine(folder: &Path) -> Option<Finding> {
    let state = Disk::open(folder).and_then(|disk| read_state(&disk));
    let times_renamed = match state {
        Ok(state) => state?.times_renamed,
        Err(error) => {
            let found = format!("its state in {} cannot be read: {error}", folder.display());
            let fix = disk_fix(error.kind()).unwrap_or("allow this user to read the files in the folder");
            return Some(Finding::poor("spool", found, fix));
        }
    };
    (times_renamed > 0).then(|| {
        let found = format!("it was copied or set back {times_renamed} times, and took a new name each time");
        Finding::poor(
            "spool",
            found,
            "keep its folder on a disk that preserves changes, not in an overlay that each start resets; do not restore \
             it from a backup, and do not copy it to other machines",
        )
    })
}

#[cfg(test)]
mod tests {
    use lopside_spool::{MachineId, Options, Spool};

    use super::*;

    #[test]
    fn a_spool_that_was_copied_is_reported() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("spool");
        assert_eq!(examine(&folder), None);
        let open_on = |digit: &str| {
            let machine = MachineId::parse(&digit.repeat(32));
            let options = Options { machine, ..Options::new(1_000_000, 1) };
            drop(Spool::open(Disk::open(&folder).unwrap(), options).unwrap());
        };
        open_on("a");
        assert_eq!(examine(&folder), None);
        open_on("b");
        open_on("a");
        let finding = examine(&folder).unwrap();
        assert!(finding.found.contains("set back 2 times"), "{finding:?}");
    }
}
