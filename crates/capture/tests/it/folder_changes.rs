//! Subfolders, links, interrupted uploads, folders that are replaced, and files that cannot be put away.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::common::Leaping;
use lopside_capture::{
    CaptureError, CapturedInput, Source as _, SourceContext, StopHandle,
    folder::{DoneAction, FolderOptions, FolderSource, KeepBounds, TakenFile},
};
use tempfile::TempDir;

/// A folder `inbox` in a folder of its own.
struct Place {
    home: TempDir,
    stop: StopHandle,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("inbox")).unwrap();
        Self { home, stop: StopHandle::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("inbox").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Puts a file in the place of an empty folder.
    fn obstruct(&self, name: &str) {
        fs::remove_dir(self.path(name)).unwrap();
        fs::write(self.path(name), "").unwrap();
    }

    fn options(&self, after: DoneAction) -> FolderOptions {
        FolderOptions::new(self.home.path().join("inbox"), after)
    }

    fn open_options(&self, options: FolderOptions) -> FolderSource {
        self.open_with(options, |_| ())
    }

    fn open_with(
        &self,
        options: FolderOptions,
        on_wait: impl Fn(Duration) + Send + Sync + 'static,
    ) -> FolderSource {
        let context = SourceContext::new("inbox", &self.stop).with_clock(Arc::new(Leaping::new(on_wait)));
        FolderSource::open(context, options).unwrap()
    }

    fn open(&self) -> FolderSource {
        self.open_options(self.options(DoneAction::Move(self.path("done"))))
    }
}

fn take(folder: &mut FolderSource) -> TakenFile {
    let CapturedInput::File(file) = folder.next().unwrap().unwrap().input else { panic!("no file") };
    file
}

/// Takes a file and returns its path in the folder.
fn take_name(place: &Place, folder: &mut FolderSource) -> String {
    let file = take(folder);
    let name = file.path().strip_prefix(place.path("")).unwrap().display().to_string();
    file.mark_done().unwrap();
    name
}

#[test]
fn date_folders_are_searched_and_keep_their_names_when_files_are_moved() {
    let place = Place::new();
    place.write("2026-01-01/IMG_1.jpg", "a");
    place.write(".thumbs/IMG_1.jpg", "x");
    place.write("done/old.jpg", "x");
    place.write("failed/bad.jpg", "x");
    let mut folder = place.open();
    assert_eq!(take_name(&place, &mut folder), "2026-01-01/IMG_1.jpg");
    // A folder that is made later, and one that is moved in.
    place.write("2026-01-02/100/IMG_1.jpg", "b");
    assert_eq!(take_name(&place, &mut folder), "2026-01-02/100/IMG_1.jpg");
    fs::create_dir(place.home.path().join("card")).unwrap();
    fs::write(place.home.path().join("card/IMG_2.jpg"), "c").unwrap();
    fs::rename(place.home.path().join("card"), place.path("card")).unwrap();
    assert_eq!(take_name(&place, &mut folder), "card/IMG_2.jpg");
    // The watch of the first folder still works, also after it was renamed.
    fs::rename(place.path("2026-01-01"), place.path("renamed")).unwrap();
    place.write("renamed/IMG_3.jpg", "d");
    assert_eq!(take_name(&place, &mut folder), "renamed/IMG_3.jpg");
    place.write("bad/IMG_4.jpg", "e");
    take(&mut folder).mark_failed().unwrap();
    let moved = ["done/2026-01-01/IMG_1.jpg", "done/2026-01-02/100/IMG_1.jpg", "failed/bad/IMG_4.jpg"];
    assert!(moved.iter().all(|name| place.path(name).exists()));
    assert_eq!((folder.input_counts().captured, folder.input_counts().unknown), (5, 0));
}

#[test]
fn subfolders_are_not_searched_if_that_is_switched_off() {
    let place = Place::new();
    place.write("a/1.jpg", "x");
    let options = FolderOptions { is_recursive: false, ..place.options(DoneAction::Delete) };
    let mut folder = place.open_options(options);
    place.write("a/2.jpg", "x");
    place.write("3.jpg", "x");
    assert_eq!(take_name(&place, &mut folder), "3.jpg");
    assert_eq!(folder.input_counts().captured, 1);
}

#[test]
fn links_into_the_folder_are_captured() {
    let place = Place::new();
    let mut folder = place.open_options(place.options(DoneAction::Delete));
    let original = place.home.path().join("original.jpg");
    fs::write(&original, "x").unwrap();
    fs::hard_link(&original, place.path("hard.jpg")).unwrap();
    assert_eq!(take_name(&place, &mut folder), "hard.jpg");
    symlink(&original, place.path("soft.jpg")).unwrap();
    assert_eq!(take_name(&place, &mut folder), "soft.jpg");
    assert_eq!(fs::read(original).unwrap(), b"x");
}

#[test]
fn an_upload_that_is_resumed_within_the_settle_time_is_captured_once() {
    let place = Place::new();
    let path = place.path("upload.jpg");
    let rest = Mutex::new(vec!["third", "second"]);
    let options = place.options(DoneAction::Delete);
    let mut folder = place.open_with(FolderOptions { settle_time: Duration::from_secs(5), ..options }, {
        let path = path.clone();
        move |_| {
            // The connection breaks, and the sender appends the rest after it has connected again.
            if let Some(part) = rest.lock().unwrap().pop() {
                File::options().append(true).open(&path).unwrap().write_all(part.as_bytes()).unwrap();
            }
        }
    });
    fs::write(&path, "first").unwrap();
    assert_eq!(fs::read(take(&mut folder).path()).unwrap(), b"firstsecondthird");
    assert_eq!(folder.input_counts().captured, 1);
}

#[test]
fn a_file_that_is_created_and_never_closed_is_captured_in_the_end() {
    let place = Place::new();
    let waits = Arc::new(Mutex::new(Duration::ZERO));
    let counter = Arc::clone(&waits);
    let mut folder = place.open_with(place.options(DoneAction::Delete), move |wait| {
        *counter.lock().unwrap() += wait;
    });
    let mut open = File::create(place.path("open.jpg")).unwrap();
    open.write_all(b"x").unwrap();
    assert_eq!(take_name(&place, &mut folder), "open.jpg");
    assert!(*waits.lock().unwrap() >= Duration::from_mins(10));
}

#[test]
fn files_that_are_not_inputs_are_counted_named_and_left() {
    let place = Place::new();
    let mut options = place.options(DoneAction::Delete);
    options.accepts_file = Box::new(|path| fs::read(path).unwrap().starts_with(b"image"));
    place.write("notes", "text");
    place.write("empty.jpg", "");
    symlink("nothing", place.path("broken")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    let mut folder = place.open_options(options);
    let mut texts: Vec<String> = (0..4).map(|_| folder.next().unwrap_err().to_string()).collect();
    place.write("no-ending", "image");
    assert_eq!(take_name(&place, &mut folder), "no-ending");
    texts.sort();
    for (text, (name, reason)) in texts.iter().zip([
        ("broken", "a link that leads to no file"),
        ("empty.jpg", "it is empty"),
        ("notes", "not an input"),
        ("pipe", "neither a file nor a folder"),
    ]) {
        assert!(text.contains(name) && text.contains(reason), "{text}");
        assert!(fs::symlink_metadata(place.path(name)).is_ok(), "{name} is left where it is");
    }
    assert_eq!(folder.input_counts().unknown, 4);
    // A file that changes is looked at again.
    place.write("notes", "image now");
    assert_eq!(take_name(&place, &mut folder), "notes");
}

#[test]
fn a_folder_that_is_replaced_is_watched_again() {
    let place = Place::new();
    let mut folder = place.open_options(place.options(DoneAction::Delete));
    place.write("a.jpg", "x");
    assert_eq!(take_name(&place, &mut folder), "a.jpg");
    let inbox = place.home.path().join("inbox");
    fs::rename(&inbox, place.home.path().join("old")).unwrap();
    let error = folder.next().unwrap_err();
    assert!(matches!(error, CaptureError::FolderGone { .. }), "{error}");
    let error = folder.next().unwrap_err();
    assert!(matches!(error, CaptureError::WatchFolder { .. }), "{error}");
    fs::create_dir(&inbox).unwrap();
    place.write("b.jpg", "x");
    assert_eq!(take_name(&place, &mut folder), "b.jpg");
}

#[test]
fn a_folder_whose_parent_is_replaced_is_watched_again() {
    let place = Place::new();
    let root = place.home.path().join("mount");
    fs::create_dir_all(root.join("inbox")).unwrap();
    let mut folder = place.open_options(FolderOptions::new(root.join("inbox"), DoneAction::Delete));
    fs::write(root.join("inbox/a.jpg"), "x").unwrap();
    take(&mut folder).mark_done().unwrap();
    // No event tells of this.
    fs::rename(&root, place.home.path().join("old")).unwrap();
    fs::create_dir_all(root.join("inbox")).unwrap();
    fs::write(root.join("inbox/b.jpg"), "x").unwrap();
    assert!(matches!(folder.next(), Err(CaptureError::FolderGone { .. })));
    assert_eq!(take(&mut folder).path(), root.join("inbox/b.jpg"));
}

#[test]
fn a_file_that_cannot_be_moved_away_is_not_read_again_and_moved_later() {
    let (place, sent) = (Place::new(), "../sent");
    let mut folder = place.open_options(place.options(DoneAction::Move(place.path(sent))));
    place.write("a.jpg", "x");
    place.obstruct(sent);
    let error = take(&mut folder).mark_done().unwrap_err();
    assert!(matches!(error, CaptureError::FileOperation { .. }), "{error}");
    assert_eq!(folder.input_counts().unmoved, 1);
    // The other files are read meanwhile, and after a while the file is moved.
    fs::remove_file(place.path(sent)).unwrap();
    for number in 0..20 {
        place.write(&format!("{number}.jpg"), "x");
        assert_eq!(take_name(&place, &mut folder), format!("{number}.jpg"));
    }
    assert_eq!(folder.input_counts().unmoved, 0);
    assert!(place.path("../sent/a.jpg").exists() && !place.path("a.jpg").exists());
}

#[test]
fn a_stored_file_that_cannot_be_moved_away_does_not_keep_the_source_from_opening() {
    let (place, sent) = (Place::new(), "../sent");
    place.write("stored.jpg", "x");
    let mut folder = place.open_options(place.options(DoneAction::Move(place.path(sent))));
    place.obstruct(sent);
    assert!(folder.finish_stored(|_| true).unwrap().is_empty());
    let error = folder.next().unwrap_err().to_string();
    assert!(error.contains("sent"), "{error}");
    place.write("new.jpg", "x");
    assert_eq!(take(&mut folder).path(), place.path("new.jpg"), "the stored file is not read again");
}

#[test]
fn a_list_in_another_folder_remembers_files_of_a_folder_that_is_only_read() {
    let place = Place::new();
    let list = place.home.path().join("state/inbox-done");
    place.write("2026/a.jpg", "x");
    let after = || DoneAction::Remember(list.clone());
    let mut folder = place.open_options(place.options(after()));
    assert_eq!(take_name(&place, &mut folder), "2026/a.jpg");
    let names =
        |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names(&place.path("")), ["2026"], "nothing is written to the folder");
    let mut folder = place.open_options(place.options(after()));
    place.write("2026/b.jpg", "x");
    assert_eq!(take_name(&place, &mut folder), "2026/b.jpg");
}

#[test]
fn finished_files_are_kept_within_their_bounds() {
    let place = Place::new();
    let bounds = KeepBounds { max_age: None, max_bytes: Some(1000) };
    let options = place.options(DoneAction::Move(place.path("done")));
    let options = FolderOptions { keep_done: bounds, keep_failed: bounds, ..options };
    let mut folder = place.open_options(options);
    let content = "x".repeat(100);
    for number in 0..30 {
        place.write(&format!("{number:02}.jpg"), &content);
        let file = take(&mut folder);
        if number % 2 == 0 { file.mark_done().unwrap() } else { file.mark_failed().unwrap() }
    }
    // Something later is looked at after the bounds.
    place.write("last.jpg", &content);
    while folder.input_counts().removed < 10 {
        place.write("next.jpg", &content);
        take(&mut folder).mark_done().unwrap();
    }
    for name in ["done", "failed"] {
        let count = fs::read_dir(place.path(name)).unwrap().count();
        assert!((1..=15).contains(&count), "{count} files are left in {name}");
    }
}
