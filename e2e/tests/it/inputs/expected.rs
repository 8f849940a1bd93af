//! The frames that all readers must make of the images.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use lopside_e2e::{binary_command, in_clone, run_stdout};
use lopside_input::read_image_file;

use super::case::{Case, images, label_of};

/// The frames of all images that are not refused, by their labels.
pub(super) static FRAMES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let decoded = images().filter(|case| !case.is_refused());
    for case in decoded {
        // What the library refuses is a failure of its own test, and missing here.
        if let Ok(read) = read_image_file(&case.path(), &case.policy()) {
            read.image.save(folder.path().join(format!("{}.png", case.label))).unwrap();
        }
    }
    encode_folder(folder.path())
});

fn encode_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let mut command = binary_command("edge-encoder");
    command.args(["encode", "--json", "--bundle"]).arg(in_clone("bundles/photo"));
    let _ = run_stdout(command.arg("--out").arg(out.path()).arg(folder));
    read_frames(out.path())
}

/// Returns the frames of a folder by the labels of their inputs.
pub(super) fn read_frames(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let frames = paths.filter(|path| path.extension().is_some_and(|ending| ending == "lps"));
    frames.map(|path| (label_of(&path), fs::read(path).unwrap())).collect()
}

/// Returns what is wrong with the outcomes of some lines: their frames, and the messages about those that failed, by their
/// labels.
pub(super) fn find_problems(
    cases: &[&Case],
    frames: &BTreeMap<String, Vec<u8>>,
    failures: &BTreeMap<String, String>,
) -> Vec<String> {
    let problem = |case: &&Case| {
        let (frame, failure) = (frames.get(&case.label), failures.get(&case.label));
        let text = match (frame, failure) {
            (Some(frame), None) if !case.is_refused() => (FRAMES.get(&case.label) != Some(frame))
                .then(|| "another frame than that of the library's image".into()),
            (None, Some(message)) if case.is_refused() => {
                (!case.expects_message(message)).then(|| format!("another refusal: {message}"))
            }
            (None, Some(message)) => Some(format!("refused: {message}")),
            (Some(_), _) => Some("encoded, although it should be refused".into()),
            (None, None) => Some("neither encoded nor refused".into()),
        };
        text.map(|text: String| format!("{} {}: {text}", case.file, case.options))
    };
    cases.iter().filter_map(problem).collect()
}
