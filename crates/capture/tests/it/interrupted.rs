//! Files during whose reading the process ends: a second one must not be the last.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use super::common::Leaping;
use lopside_capture::{
    CaptureError, CapturedInput, Source as _, SourceContext, StopHandle,
    folder::{DoneAction, FolderOptions, FolderSource, TakenFile},
};
use tempfile::TempDir;

/// A watched folder, and a folder beside it.
struct Inbox {
    home: TempDir,
    stop: StopHandle,
}

impl Inbox {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("inbox")).unwrap();
        Self { home, stop: StopHandle::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("inbox").join(name)
    }

    /// Writes files that are captured in this order.
    fn write(&self, names: &[&str]) {
        for (seconds, name) in (1..).zip(names) {
            fs::write(self.path(name), name).unwrap();
            let file = fs::File::options().append(true).open(self.path(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
    }

    fn open(&self, after: &DoneAction) -> FolderSource {
        let clock = Arc::new(Leaping::new(|_| ()));
        let context = SourceContext::new("inbox", &self.stop).with_clock(clock);
        FolderSource::open(context, FolderOptions::new(self.path(""), after.clone())).unwrap()
    }

    /// Returns each way to treat files that are done.
    fn actions(&self) -> [DoneAction; 4] {
        let beside = |name: &str| self.home.path().join(name);
        [
            DoneAction::Move(beside("inbox/done")),
            DoneAction::Delete,
            DoneAction::Remember(beside("inbox/.done")),
            DoneAction::Remember(beside("list.txt")),
        ]
    }
}

fn take(folder: &mut FolderSource) -> TakenFile {
    let CapturedInput::File(file) = folder.next().unwrap().unwrap().input else { panic!("no file") };
    file
}

fn name(file: &TakenFile) -> String {
    file.path().file_name().unwrap().to_str().unwrap().to_owned()
}

/// Ends the process while a file is being read, as far as the folder can tell.
fn end_while_reading(file: &TakenFile) {
    std::mem::forget(file.begin_reading().unwrap());
}

fn visible_names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_ends_the_process_twice_is_set_aside_and_the_files_behind_it_are_read() {
    for number in 0..4 {
        let inbox = Inbox::new();
        let after = &inbox.actions()[number];
        inbox.write(&["bad", "good-1", "good-2"]);
        for _ in 0..2 {
            let file = take(&mut inbox.open(after));
            assert_eq!(name(&file), "bad", "{after:?}");
            end_while_reading(&file);
        }

        let mut folder = inbox.open(after);
        let error = folder.next().unwrap_err();
        assert!(
            matches!(&error, CaptureError::FileSetAside { path, .. } if *path == inbox.path("bad")),
            "{after:?}: {error}"
        );
        assert!(error.to_string().contains("the agent ended twice while it was reading"), "{error}");
        for expected in ["good-1", "good-2"] {
            let file = take(&mut folder);
            assert_eq!(name(&file), expected, "{after:?}");
            let mark = file.begin_reading().unwrap();
            drop(mark);
            file.mark_done().unwrap();
        }
        assert_eq!(folder.input_counts().captured, 2);

        // Nothing is lost, and the file can be tried again.
        let mut folder = inbox.open(after);
        if let DoneAction::Remember(_) = after {
            assert_eq!(visible_names(&inbox.path("")), ["bad", "good-1", "good-2"]);
            fs::write(inbox.path("bad"), "mended").unwrap();
        } else {
            assert_eq!(fs::read(inbox.path("refused/bad")).unwrap(), b"bad");
            fs::rename(inbox.path("refused/bad"), inbox.path("bad")).unwrap();
        }
        assert_eq!(name(&take(&mut folder)), "bad", "{after:?}");
    }
}

#[test]
fn only_the_file_that_was_being_read_is_blamed() {
    let inbox = Inbox::new();
    let after = &DoneAction::Delete;
    inbox.write(&["a", "b", "c"]);
    for _ in 0..3 {
        let mut folder = inbox.open(after);
        let files = [(); 3].map(|()| take(&mut folder));
        assert_eq!(files.each_ref().map(name), ["a", "b", "c"]);
        // It was read, and its outputs are not stored yet.
        drop(files[0].begin_reading().unwrap());
        drop(files[2].begin_reading().unwrap());
    }
    let mut folder = inbox.open(after);
    let files = [(); 3].map(|()| take(&mut folder));
    end_while_reading(&files[1]);
    let mut folder = inbox.open(after);
    let files = [(); 3].map(|()| take(&mut folder));
    end_while_reading(&files[1]);
    let mut folder = inbox.open(after);
    assert_eq!(name(&take(&mut folder)), "a");
    assert!(matches!(folder.next(), Err(CaptureError::FileSetAside { .. })));
    assert_eq!(name(&take(&mut folder)), "c");
}

#[test]
fn reading_a_file_to_its_end_clears_its_record() {
    let inbox = Inbox::new();
    let after = &DoneAction::Delete;
    inbox.write(&["a"]);
    for is_read in [false, true, false, true] {
        let file = take(&mut inbox.open(after));
        let mark = file.begin_reading().unwrap();
        if is_read { drop(mark) } else { std::mem::forget(mark) }
    }
    let file = take(&mut inbox.open(after));
    end_while_reading(&file);
    // A file that is finished without being read to its end has no record either.
    file.mark_failed().unwrap();
    fs::rename(inbox.path("failed/a"), inbox.path("a")).unwrap();
    end_while_reading(&take(&mut inbox.open(after)));
    assert_eq!(name(&take(&mut inbox.open(after))), "a");
}

#[test]
fn a_panic_while_a_file_is_read_counts() {
    let inbox = Inbox::new();
    let after = &DoneAction::Delete;
    inbox.write(&["a"]);
    for _ in 0..2 {
        let file = take(&mut inbox.open(after));
        let reader = thread::spawn(move || {
            let _mark = file.begin_reading().unwrap();
            panic!("the decoder fails");
        });
        reader.join().unwrap_err();
    }
    assert!(matches!(inbox.open(after).next(), Err(CaptureError::FileSetAside { .. })));
}

#[test]
fn a_file_that_changes_begins_anew() {
    let inbox = Inbox::new();
    let after = &DoneAction::Delete;
    inbox.write(&["a"]);
    for _ in 0..2 {
        end_while_reading(&take(&mut inbox.open(after)));
    }
    fs::write(inbox.path("a"), "another file of this name").unwrap();
    assert_eq!(name(&take(&mut inbox.open(after))), "a");
}

#[test]
fn a_file_that_cannot_be_set_aside_is_left_alone() {
    let inbox = Inbox::new();
    let after = &DoneAction::Delete;
    inbox.write(&["bad", "good"]);
    for _ in 0..2 {
        end_while_reading(&take(&mut inbox.open(after)));
    }
    // A file stands in the way of the subfolder.
    fs::write(inbox.path("refused"), "").unwrap();
    let mut folder = inbox.open(after);
    assert!(matches!(folder.next(), Err(CaptureError::FileOperation { .. })));
    assert_eq!(name(&take(&mut folder)), "good");
    assert_eq!(fs::read(inbox.path("bad")).unwrap(), b"bad");
}
