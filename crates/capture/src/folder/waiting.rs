//! Files that were found and wait until they are complete: each until it has not changed for its time.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use super::fingerprint::Fingerprint;

/// Files that wait until they have not changed for a while, by their paths in the watched folder.
#[derive(Debug, Default)]
pub(crate) struct WaitingFiles {
    files: HashMap<PathBuf, Wait>,
    /// The same files, in the order in which they may be taken: by the end of their waits, then the oldest first.
    order: BTreeSet<(Duration, Fingerprint, PathBuf)>,
}

/// The wait of a file.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The state of the file when the wait began.
    fingerprint: Fingerprint,
    /// The time for which it must not change.
    settle_time: Duration,
    due_at: Duration,
}

impl WaitingFiles {
    /// Returns the number of files.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns whether this file waits.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// Begins the wait of a file, anew if it waits already.
    pub(crate) fn begin(
        &mut self,
        path: PathBuf,
        fingerprint: Fingerprint,
        settle_time: Duration,
        now: Duration,
    ) {
        self.remove(&path);
        let due_at = now + settle_time;
        self.order.insert((due_at, fingerprint, path.clone()));
        self.files.insert(path, Wait { fingerprint, settle_time, due_at });
    }

    /// Returns the time at which the next file may be taken; `None` if no file waits.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        self.order.first().map(|(due_at, ..)| *due_at)
    }

    /// Takes a file that has not changed for long enough; `read_fingerprint` returns its current fingerprint, or
    /// `None` if it is gone.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        read_fingerprint: impl Fn(&Path) -> Option<Fingerprint>,
    ) -> Option<(PathBuf, Fingerprint)> {
        while self.due_at().is_some_and(|due_at| due_at <= now)
            && let Some((_, previous, path)) = self.order.pop_first()
        {
            let settle_time = self.files.remove(&path).map_or(Duration::ZERO, |wait| wait.settle_time);
            match read_fingerprint(&path) {
                Some(fingerprint) if fingerprint == previous => return Some((path, fingerprint)),
                Some(fingerprint) => self.begin(path, fingerprint, settle_time, now),
                None => {}
            }
        }
        None
    }

    fn remove(&mut self, path: &Path) {
        if let Some((path, Wait { fingerprint, due_at, .. })) = self.files.remove_entry(path) {
            self.order.remove(&(due_at, fingerprint, path));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn state(number: u64) -> Fingerprint {
        Fingerprint { seconds: number.cast_signed(), nanoseconds: 0, size_bytes: number }
    }

    #[test]
    fn of_the_files_that_are_due_the_oldest_is_taken_first() {
        let mut waiting = WaitingFiles::default();
        for (name, seconds) in [("b", 20), ("new", 30), ("a", 20), ("old", 10)] {
            waiting.begin(name.into(), state(seconds), SETTLE, Duration::ZERO);
        }
        let mut take =
            || waiting.take(SETTLE, |path| Some(state(if path == Path::new("old") { 10 } else { 20 })));
        let names = [take(), take(), take()].map(|taken| taken.map(|(path, _)| path));
        assert_eq!(names, ["old", "a", "b"].map(|name| Some(PathBuf::from(name))));
        // It has changed, so it waits again.
        assert_eq!((take(), waiting.due_at()), (None, Some(2 * SETTLE)));
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// The file is changed, and closed or not.
        Write {
            file: usize,
            is_closed: bool,
        },
        Pass(u64),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_usize..3, any::<bool>()).prop_map(|(file, is_closed)| Step::Write { file, is_closed }),
            (0_u64..4).prop_map(Step::Pass),
            Just(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn no_file_is_taken_sooner_than_its_time_after_its_last_event(steps in prop::collection::vec(step(), 1..60)) {
            let (mut waiting, mut now) = (WaitingFiles::default(), Duration::ZERO);
            // The number of changes of each file, the time of its last event, and whether it waits.
            let mut files = [(0_u64, Duration::ZERO, false); 3];
            for step in steps {
                match step {
                    Step::Write { file, is_closed } => {
                        files[file].0 += 1;
                        if is_closed {
                            waiting.begin(file.to_string().into(), state(files[file].0), SETTLE, now);
                            (files[file].1, files[file].2) = (now, true);
                        }
                    }
                    Step::Pass(seconds) => now += Duration::from_secs(seconds),
                    Step::Take => {
                        let index = |path: &Path| path.to_str().unwrap().parse::<usize>().unwrap();
                        let taken = waiting.take(now, |path| Some(state(files[index(path)].0)));
                        if let Some((path, fingerprint)) = taken {
                            let (changes, at, waits) = files[index(&path)];
                            prop_assert!(waits && now >= at + SETTLE && fingerprint == state(changes));
                            files[index(&path)].2 = false;
                        }
                    }
                }
                prop_assert_eq!(waiting.len(), files.iter().filter(|(.., waits)| *waits).count());
                prop_assert_eq!(waiting.order.len(), waiting.len());
            }
        }
    }
}
