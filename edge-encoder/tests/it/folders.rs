//! Watched folders of a real agent: folders that cannot be opened, files that are not inputs, and their counts.

use std::fs;

use edge_encoder::agent::AgentReport;
use image::GrayImage;

use super::update::{
    agent::Home,
    bundles::{Toy, bundle, pixel_image},
};

/// A cloud that does not exist.
const NO_CLOUD: &str = "http://127.0.0.1:9";

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_opened_does_not_keep_the_others_from_working() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let mut home = Home::new(NO_CLOUD);
    let late = home.path("late");
    home.add_tables(&format!("[[source]]\nname = 'late'\nfolder = {late:?}\nsettle_seconds = 0.0\n"));
    home.put([1; 4]);
    let agent = home.start(&toy);
    let has_both =
        |report: &AgentReport| report.sources[0].encoded == 1 && report.sources[1].last_error.is_some();
    let report = agent.until(has_both).await;
    let error = report.sources[1].last_error.clone().unwrap();
    assert!(error.contains("late cannot be watched") && error.contains("Create the folder"), "{error}");
    assert_eq!(report.sources[1].failed, 0);

    fs::create_dir(&late).unwrap();
    pixel_image([2; 4]).save(home.path("2.png")).unwrap();
    fs::rename(home.path("2.png"), late.join("2.png")).unwrap();
    agent.until(|report| report.sources[1].encoded == 1).await;
    agent.stop();
    assert_eq!(home.frames().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_inputs_are_counted_and_named_and_images_are_known_by_their_content() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new(NO_CLOUD);
    let inbox = home.path("inbox");
    fs::create_dir(inbox.join("2026-01-01")).unwrap();
    fs::write(inbox.join("notes.txt"), "text").unwrap();
    pixel_image([3; 4]).save(inbox.join("2026-01-01/a.png")).unwrap();
    fs::rename(inbox.join("2026-01-01/a.png"), inbox.join("2026-01-01/a")).unwrap();
    let (verdict, found) = home.doctor(&toy, "files of source inbox");
    assert_eq!(verdict, "poor");
    assert!(found.contains("1 of 2 files are not read") && found.contains("notes.txt"), "{found}");

    let agent = home.start(&toy);
    let report = agent.until(|report| report.sources[0].unknown == 1 && report.sources[0].encoded == 1).await;
    let error = report.sources[0].last_error.clone().unwrap();
    assert!(error.contains("notes.txt") && error.contains("not an image"), "{error}");
    assert_eq!((report.sources[0].captured, report.sources[0].failed), (1, 0));
    agent.stop();
    assert!(inbox.join("notes.txt").exists() && home.path("done/2026-01-01/a").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_keeps_a_small_part_of_the_images_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let home = Home::new(NO_CLOUD);
    GrayImage::new(100, 90).save(home.path("inbox/large.png")).unwrap();
    let (verdict, found) = home.doctor(&toy, "files of source inbox");
    assert_eq!(verdict, "poor");
    assert!(found.contains("100×90") && found.contains("2×2"), "{found}");

    let agent = home.start(&toy);
    let report = agent.until(|report| report.sources[0].encoded == 1).await;
    let error = report.sources[0].last_error.clone().unwrap();
    assert!(error.contains("100×90") && error.contains("bundle = "), "{error}");
    agent.stop();
}
