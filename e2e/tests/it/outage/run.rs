//! The agent with and without a server, and with invalid inputs and settings.

use std::fs;

use lopside_e2e::{binary_command, in_clone, run_failing, run_stdout};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    agent::{Home, frames, random_image},
    archived::Site,
};

/// Puts this number of images into the inbox, and into a separate folder, which it returns.
fn put_images(home: &Home, count: usize) -> tempfile::TempDir {
    let (images, mut rng) = (tempfile::tempdir().unwrap(), StdRng::seed_from_u64(7));
    for number in 0..count {
        let (name, image) = (format!("{number:03}.png"), random_image(&mut rng));
        image.save(images.path().join(&name)).unwrap();
        home.put(&name, &image);
    }
    images
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_delays_frames_and_loses_none() {
    let site = Site::new();
    let home = Home::new(format!("http://127.0.0.1:{}", site.port), "");
    let agent = home.start();
    let images = put_images(&home, 12);
    // Without a server, the frames are stored, and the files are moved to `done`.
    let report = agent.until(|report| report.spool.classes[1].pending == 12).await;
    assert!(!report.uplink.connected);
    agent.until_done(&home, 12).await;
    assert!(report.to_text().contains("not connected"), "{}", report.to_text());
    agent.stop();

    let mut cloud = site.start();
    let agent = home.start();
    let report = agent.until_sent(12).await;
    assert_eq!((report.spool.classes[1].produced, report.spool.classes[1].delivered), (12, 12));
    assert!(report.uplink.connected && report.to_text().contains("delivered 12"), "{}", report.to_text());
    agent.stop();
    cloud.stop();
    let archived = site.archived().await;
    let mut found = archived.frames;
    let mut expected = frames(images.path());
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_with_many_bits_have_the_class_high() {
    let site = Site::new();
    let home = Home::new(format!("http://127.0.0.1:{}", site.port), "high_bits = 1");
    let agent = home.start();
    let _images = put_images(&home, 3);
    let report = agent.until(|report| report.spool.classes[2].pending == 3).await;
    assert_eq!((&report.spool.classes[2].class[..], report.spool.classes[1].pending), ("high", 0));
    agent.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_is_set_aside_and_reported() {
    let home = Home::new("http://127.0.0.1:9".into(), "");
    let agent = home.start();
    home.put_bytes("broken.png", b"no picture");
    let report = agent.until(|report| report.sources[0].failed == 1).await;
    assert!(report.sources[0].last_error.as_ref().unwrap().contains("broken.png"), "{report:#?}");
    // The agent reports the error before it moves the file.
    agent.stop();
    assert!(home.inbox().join("failed/broken.png").exists());
}

#[test]
fn a_program_and_standard_input_are_sources_too() {
    let folder = tempfile::tempdir().unwrap();
    let image = in_clone("samples/fashion/00-ankle-boot.png");
    let pgm = folder.path().join("picture.pgm");
    let samples = image::open(image).unwrap().to_luma8();
    fs::write(&pgm, [b"P5\n28 28\n255\n", samples.as_raw().as_slice()].concat()).unwrap();
    let config = folder.path().join("edge.toml");
    let text = format!(
        "bundle = {:?}\nendpoint = 'http://127.0.0.1:9'\n[spool]\nfolder = {:?}\n\
         [[source]]\ncommand = ['cat', {pgm:?}, {pgm:?}]\nrestart = 'never'\nclass = 'low'\n\
         [[source]]\nstdin = true\n",
        in_clone("bundles/fashion"),
        folder.path().join("spool"),
    );
    fs::write(&config, text).unwrap();
    let stdin = fs::File::open(&pgm).unwrap();
    // The agent ends when all its sources have ended.
    let out = run_stdout(binary_command("edge-encoder").arg("run").arg("--config").arg(&config).stdin(stdin));
    assert_eq!(out, "");
    let spool = lopside_spool::Disk::open(&folder.path().join("spool")).unwrap();
    let options = lopside_spool::Options::new(256_000_000, 1);
    let spool = lopside_spool::Spool::open(spool, options).unwrap();
    let pending = lopside_delivery::Class::ALL.map(|class| spool.pending_records(class));
    assert_eq!(pending, [2, 1, 0]);
}

#[test]
fn invalid_settings_are_reported_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        let config = folder.path().join("edge.toml");
        fs::write(&config, text).unwrap();
        run_failing(
            binary_command("edge-encoder")
                .arg("run")
                .arg("--config")
                .arg(config)
                .arg("--bundle")
                .arg(in_clone("bundles/fashion")),
        )
    };
    let endpoint = "endpoint = 'http://127.0.0.1:9'\n";
    assert!(run("").contains("endpoint ="));
    assert!(run(endpoint).contains("[[source]]"));
    assert!(
        run(&format!("{endpoint}device = 'two words'\n[[source]]\nstdin = true")).contains("visible ASCII")
    );
    let error = run_failing(
        binary_command("edge-encoder").args(["status", "--socket"]).arg(folder.path().join("none")),
    );
    assert!(error.contains("check that it is running"), "{error}");
}
