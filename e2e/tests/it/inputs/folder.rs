//! Images in a watched folder of an agent.

use std::{collections::BTreeSet, fs, path::Path};

use lopside_e2e::in_clone;

use super::{
    agent::{Agent, Archived, Site, source},
    case::{Case, assert_none, by_options, images, label_of},
    expected::FRAMES,
};

/// A file that the agent leaves alone for a minute: it may have just been created.
const EMPTY: &str = "images/empty.jpg";

#[tokio::test]
async fn a_watched_folder_encodes_or_puts_aside_every_image() {
    let mut problems = Vec::new();
    for (options, cases) in by_options(images().filter(|case| case.file != EMPTY)) {
        problems.extend(Box::pin(check_folder(options, &cases)).await);
    }
    assert_none(&problems);
}

async fn check_folder(options: &str, cases: &[&Case]) -> Vec<String> {
    let (bundle, folder) = (in_clone("bundles/photo"), tempfile::tempdir().unwrap());
    for case in cases {
        case.copy_into(folder.path());
    }
    let site = Site::start(&bundle);
    let path = folder.path().display();
    let table = format!("[[source]]\nname = 'inbox'\nfolder = '{path}'\nsettle_seconds = 0.1\n");
    let agent = Agent::start(&site, "gate-7", &bundle, &Case::config(options), &table);
    let total = cases.len() as u64;
    let report = agent
        .until_sent(|report| {
            let inbox = source(report, "inbox");
            inbox.encoded + inbox.failed >= total && files(folder.path()).is_empty()
        })
        .await;
    agent.stop();
    let inbox = source(&report, "inbox");
    let refused = cases.iter().filter(|case| case.is_refused()).count() as u64;
    let damaged = cases.iter().filter(|case| case.notes.iter().any(|note| note == "damaged")).count();
    let mut problems = compare(cases, &site.archived().await, damaged);
    let failed = files(&folder.path().join("failed"));
    problems.extend(cases.iter().filter_map(|case| {
        let is_aside = failed.contains(&case.label);
        (is_aside != case.is_refused()).then(|| format!("{}: in `failed`: {is_aside}", case.file))
    }));
    let counts = (inbox.captured, inbox.encoded, inbox.failed, inbox.marked_damaged);
    let expected = (total, total - refused, refused, damaged as u64);
    if counts != expected {
        problems.push(format!("{options}: captured, encoded, failed, marked: {counts:?}, not {expected:?}"));
    }
    problems
}

/// Returns the labels of the files in a folder.
fn files(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file()).map(|path| label_of(&path));
    files.filter(|label| !label.starts_with('.')).collect()
}

/// Compares the archived frames with those of the images, of which some are marked as damaged.
fn compare(cases: &[&Case], archived: &[Archived], damaged: usize) -> Vec<String> {
    let mut left: Vec<&[u8]> = archived.iter().map(|archived| &archived.frame[..]).collect();
    let mut problems = Vec::new();
    for case in cases.iter().filter(|case| !case.is_refused()) {
        let expected = FRAMES.get(&case.label);
        match left.iter().position(|frame| expected.is_some_and(|expected| expected == frame)) {
            Some(index) => {
                left.swap_remove(index);
            }
            None => problems.push(format!("{} {}: its frame is not archived", case.file, case.options)),
        }
    }
    if !left.is_empty() {
        problems.push(format!("{} archived frames belong to no image", left.len()));
    }
    let marked = archived.iter().filter(|archived| archived.is_damaged).count();
    if marked != damaged {
        problems.push(format!("{marked} frames are marked as damaged, not {damaged}"));
    }
    problems
}
