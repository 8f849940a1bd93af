//! Tests of watched folders on a real file system.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use super::common::Leaping;
use lopside_capture::{
    CaptureError, CapturedInput, Source, SourceContext, StopHandle,
    folder::{DoneAction, FolderOptions, FolderSource, TakenFile},
};
use tempfile::TempDir;

struct Watched {
    folder: TempDir,
    stop: StopHandle,
    /// The time that has passed because of waits, in milliseconds.
    passed_ms: Arc<AtomicU64>,
}

impl Watched {
    fn new() -> Self {
        let passed_ms = Arc::new(AtomicU64::new(0));
        Self { folder: tempfile::tempdir().unwrap(), stop: StopHandle::new().unwrap(), passed_ms }
    }

    fn passed(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn write_at(&self, name: &str, seconds: u64) {
        self.write(name, name);
        let file = File::options().append(true).open(self.path(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    fn open_with(
        &self,
        after: DoneAction,
        on_wait: impl Fn(Duration) + Send + Sync + 'static,
    ) -> FolderSource {
        let context = SourceContext::new("inbox", &self.stop).with_clock(Arc::new(Leaping::new(on_wait)));
        FolderSource::open(context, FolderOptions::new(self.folder.path(), after)).unwrap()
    }

    fn open(&self, after: DoneAction) -> FolderSource {
        let passed_ms = Arc::clone(&self.passed_ms);
        self.open_with(after, move |wait| {
            passed_ms.fetch_add(wait.as_millis() as u64, Ordering::Relaxed);
        })
    }

    fn remember(&self) -> DoneAction {
        DoneAction::Remember(self.path(".done"))
    }
}

fn take(folder: &mut FolderSource) -> TakenFile {
    let CapturedInput::File(file) = folder.next().unwrap().unwrap().input else { panic!() };
    file
}

fn name(file: &TakenFile) -> String {
    file.path().file_name().unwrap().to_str().unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn existing_files_are_captured_by_time_and_name() {
    let watched = Watched::new();
    watched.write_at("new", 30);
    watched.write_at("b", 20);
    watched.write_at("a", 20);
    watched.write_at("old", 10);
    watched.write_at(".hidden", 1);
    watched.write_at("half.part", 1);
    watched.write("empty", "");
    fs::create_dir(watched.path("subfolder")).unwrap();
    let mut folder = watched.open(DoneAction::Delete);
    let captured = folder.next().unwrap().unwrap();
    assert_eq!(
        (&*captured.source_name, captured.captured_at),
        ("inbox", UNIX_EPOCH + Duration::from_secs(10))
    );
    assert_eq!([(); 3].map(|()| name(&take(&mut folder))), ["a", "b", "new"]);
    assert_eq!(folder.input_counts().captured, 4);
}

#[test]
fn an_existing_file_is_captured_when_it_is_unchanged_for_the_settle_time() {
    let watched = Watched::new();
    watched.write_at("growing", 10);
    let (path, waits) = (watched.path("growing"), Arc::new(AtomicUsize::new(0)));
    let counter = waits.clone();
    let mut folder = watched.open_with(DoneAction::Delete, move |wait| {
        assert_eq!(wait, Duration::from_secs(2));
        if counter.fetch_add(1, Ordering::Relaxed) < 3 {
            // Written through another name, so that closing the file does not report the original name.
            let hidden = path.with_file_name(".link");
            fs::hard_link(&path, &hidden).unwrap();
            File::options().append(true).open(&hidden).unwrap().write_all(b"more").unwrap();
            fs::remove_file(hidden).unwrap();
        }
    });
    assert_eq!(fs::read(take(&mut folder).path()).unwrap(), b"growingmoremoremore");
    assert_eq!(waits.load(Ordering::Relaxed), 4);
}

#[test]
fn files_are_captured_when_they_are_closed_or_moved_in() {
    let watched = Watched::new();
    let mut folder = watched.open(DoneAction::Delete);
    let mut slow = File::create(watched.path("slow")).unwrap();
    slow.write_all(b"half").unwrap();
    watched.write("quick.tmp", "whole");
    fs::rename(watched.path("quick.tmp"), watched.path("quick")).unwrap();
    watched.write(".hidden", "x");
    let quick = take(&mut folder);
    assert_eq!(watched.passed(), Duration::ZERO, "a file that is moved in does not have to settle");
    slow.write_all(b" and half").unwrap();
    drop(slow);
    let slow = take(&mut folder);
    assert_eq!(watched.passed(), Duration::from_secs(2), "its writer may continue it");
    assert_eq!((name(&quick), name(&slow)), ("quick".to_owned(), "slow".to_owned()));
    assert_eq!(fs::read(slow.path()).unwrap(), b"half and half");
    quick.mark_done().unwrap();
    slow.mark_done().unwrap();
    assert_eq!(names(watched.folder.path()), [".hidden"]);
}

#[test]
fn only_accepted_files_are_captured() {
    let watched = Watched::new();
    let mut options = FolderOptions::new(watched.folder.path(), DoneAction::Delete);
    options.accepts_file = Box::new(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    options.settle_time = Duration::ZERO;
    watched.write("there.jpg", "x");
    watched.write("there.txt", "x");
    options.refusal = "it is a text".to_owned();
    let mut folder = FolderSource::open(SourceContext::new("inbox", &watched.stop), options).unwrap();
    let (mut names, mut unknown) = (Vec::new(), Vec::new());
    watched.write("new.txt", "x");
    watched.write("new.jpg", "x");
    while names.len() < 2 || unknown.len() < 2 {
        match folder.next() {
            Ok(captured) => {
                let CapturedInput::File(file) = captured.unwrap().input else { panic!() };
                names.push(name(&file));
            }
            Err(error) => unknown.push(error.to_string()),
        }
    }
    names.sort();
    assert_eq!(names, ["new.jpg", "there.jpg"]);
    for name in ["there.txt", "new.txt"] {
        let is_named = |text: &&String| text.contains(name) && text.contains("it is a text");
        assert!(unknown.iter().any(|text| is_named(&text)), "{unknown:?}");
        assert!(watched.path(name).exists());
    }
    assert_eq!((folder.input_counts().captured, folder.input_counts().unknown), (2, 2));
}

#[test]
fn a_stop_wakes_a_waiting_reader() {
    let watched = Watched::new();
    let mut folder = watched.open(DoneAction::Delete);
    watched.write("first", "x");
    let (sender, receiver) = mpsc::sync_channel(1);
    let reader = thread::spawn(move || {
        while let Some(captured) = folder.next().unwrap() {
            sender.send(captured.source_name).unwrap();
        }
    });
    receiver.recv().unwrap();
    watched.stop.stop();
    reader.join().unwrap();
    assert!(receiver.recv().is_err(), "no further file was expected");
}

#[test]
fn done_files_are_moved_without_replacing_others() {
    let (watched, target) = (Watched::new(), tempfile::tempdir().unwrap());
    let sent = target.path().join("a/sent");
    let mut folder = watched.open(DoneAction::Move(sent.clone()));
    for text in ["one", "two", "three"] {
        watched.write("cam.jpg", text);
        take(&mut folder).mark_done().unwrap();
    }
    assert_eq!(names(&sent), ["cam-1.jpg", "cam-2.jpg", "cam.jpg"]);
    assert_eq!(fs::read(sent.join("cam-2.jpg")).unwrap(), b"three");
    watched.write("bad.jpg", "bad");
    take(&mut folder).mark_failed().unwrap();
    assert_eq!(names(&watched.path("failed")), ["bad.jpg"]);
    assert_eq!(names(watched.folder.path()), ["failed"]);
}

#[test]
fn done_files_are_moved_to_another_file_system() {
    let watched = Watched::new();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut folder = watched.open(DoneAction::Move(other.path().to_owned()));
    for text in ["one", "two"] {
        watched.write("cam.jpg", text);
        take(&mut folder).mark_done().unwrap();
    }
    assert_eq!(names(other.path()), ["cam-1.jpg", "cam.jpg"]);
    assert_eq!(fs::read(other.path().join("cam-1.jpg")).unwrap(), b"two");
    assert!(names(watched.folder.path()).is_empty());
}

#[test]
fn remembered_files_are_captured_again_only_after_a_change() {
    let watched = Watched::new();
    for (index, name) in ["done", "dropped", "bad", "changed"].into_iter().enumerate() {
        watched.write_at(name, index as u64);
    }
    let mut folder = watched.open(watched.remember());
    take(&mut folder).mark_done().unwrap();
    drop(take(&mut folder));
    take(&mut folder).mark_failed().unwrap();
    take(&mut folder).mark_done().unwrap();
    drop(folder);
    watched.write_at("changed", 9);

    let mut folder = watched.open(watched.remember());
    assert_eq!(name(&take(&mut folder)), "dropped");
    assert_eq!(name(&take(&mut folder)), "changed");
    watched.write("last", "x");
    assert_eq!(name(&take(&mut folder)), "last", "no other file was expected");
}

#[test]
fn a_file_rewritten_during_its_processing_is_captured_again() {
    let watched = Watched::new();
    let mut folder = watched.open(DoneAction::Delete);
    watched.write("cam.jpg", "one");
    let first = take(&mut folder);
    watched.write("cam.jpg", "three");
    first.mark_done().unwrap();
    let second = take(&mut folder);
    assert_eq!(fs::read(second.path()).unwrap(), b"three");
    second.mark_done().unwrap();
    assert!(names(watched.folder.path()).is_empty());
}

#[test]
fn a_deleted_file_counts_as_done() {
    let watched = Watched::new();
    let mut folder = watched.open(DoneAction::Delete);
    watched.write("a", "x");
    let file = take(&mut folder);
    fs::remove_file(file.path()).unwrap();
    file.mark_done().unwrap();
    assert!(names(watched.folder.path()).is_empty());
}

#[test]
fn more_files_than_the_queue_holds_are_all_captured() {
    let watched = Watched::new();
    let count = 5000;
    for number in 0..count {
        watched.write(&format!("before-{number}"), "x");
    }
    let mut folder = watched.open(DoneAction::Delete);
    for _ in 0..count / 2 {
        take(&mut folder).mark_done().unwrap();
    }
    for number in 0..count {
        watched.write(&format!("during-{number}"), "x");
    }
    for _ in 0..count + count / 2 {
        take(&mut folder).mark_done().unwrap();
    }
    assert!(names(watched.folder.path()).is_empty());
}

#[test]
fn a_missing_or_deleted_folder_is_named() {
    let watched = Watched::new();
    let context = || SourceContext::new("inbox", &watched.stop);
    let missing = FolderOptions::new(watched.path("missing"), DoneAction::Delete);
    let error = FolderSource::open(context(), missing).err().unwrap();
    assert!(matches!(error, CaptureError::WatchFolder { .. }), "{error}");
    assert!(error.to_string().contains("missing cannot be watched"), "{error}");
    assert!(error.to_string().contains("Create the folder, or mount its file system"), "{error}");

    fs::create_dir(watched.path("inside")).unwrap();
    let options = FolderOptions::new(watched.path("inside"), DoneAction::Delete);
    let mut folder = FolderSource::open(context(), options).unwrap();
    fs::remove_dir(watched.path("inside")).unwrap();
    assert!(matches!(folder.next(), Err(CaptureError::FolderGone { .. })));
    assert!(matches!(folder.next(), Err(CaptureError::WatchFolder { .. })));
}

#[test]
fn a_folder_that_is_deleted_after_files_were_taken_is_named() {
    let watched = Watched::new();
    let inside = watched.path("inside");
    for action in [DoneAction::Delete, DoneAction::Remember(inside.join(".done"))] {
        fs::create_dir(&inside).unwrap();
        watched.write("inside/1.png", "one");
        let context = SourceContext::new("inbox", &watched.stop).with_clock(Arc::new(Leaping::new(|_| ())));
        let mut folder = FolderSource::open(context, FolderOptions::new(inside.clone(), action)).unwrap();
        let file = take(&mut folder);
        drop(file.begin_reading().unwrap());
        file.mark_done().unwrap();
        fs::remove_dir_all(&inside).unwrap();
        assert!(matches!(folder.next(), Err(CaptureError::FolderGone { .. })));
    }
}

#[test]
fn a_done_action_into_the_watched_folder_is_refused() {
    let watched = Watched::new();
    let open = |after| {
        let options = FolderOptions::new(watched.folder.path(), after);
        FolderSource::open(SourceContext::new("inbox", &watched.stop), options).err().unwrap().to_string()
    };
    let error = open(DoneAction::Move(watched.folder.path().join("../").join(watched.folder.path())));
    assert!(error.contains("done files cannot be moved into the watched folder"), "{error}");
    let error = open(DoneAction::Remember(watched.path("done.txt")));
    assert!(error.contains("begin its name with a dot"), "{error}");
}
