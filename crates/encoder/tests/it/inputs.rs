//! Inputs from files and folders: recognised by their content, named apart, and never skipped in silence.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};
use image::DynamicImage;
use lopside_encoder::{
    InputError,
    source::{NamedImage, idx::read_labels, is_image_file, open_images},
};

/// An image of one pixel.
fn pgm(sample: u8) -> Vec<u8> {
    [&b"P5 1 1 255\n"[..], &[sample]].concat()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns the name and the only sample of an image.
fn named_sample(item: Result<NamedImage, InputError>) -> (String, u8) {
    let NamedImage { name, picture, .. } = item.unwrap();
    match picture {
        DynamicImage::ImageLuma8(image) => (name, image.into_raw()[0]),
        other => panic!("{:?}", other.color()),
    }
}

fn read(inputs: &[PathBuf]) -> Vec<(String, u8)> {
    open_images(inputs).unwrap().map(named_sample).collect()
}

fn first_error(input: &Path) -> String {
    open_images(&[input.to_owned()]).unwrap().next().unwrap().unwrap_err().to_string()
}

#[test]
fn files_without_a_usual_ending_are_read_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("1-bare", pgm(1)),
        ("2-upper.PGM", pgm(2)),
        ("3-odd.dat", pgm(3)),
        ("4-packed.pgm.gz", packed(&pgm(4))),
        ("5-packed", packed(&pgm(5))),
        ("6-wrong.npy", pgm(6)),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    let expected = ["1-bare", "2-upper", "3-odd.dat", "4-packed", "5-packed", "6-wrong"].map(str::to_owned);
    let expected: Vec<_> = expected.into_iter().zip(1_u8..).collect();
    assert_eq!(read(&[folder.path().to_owned()]), expected);
    assert!(is_image_file(&folder.path().join("1-bare")));
    assert!(!is_image_file(&folder.path().join("notes.txt")) && !is_image_file(folder.path()));
}

#[test]
fn a_name_that_is_not_text_is_read_in_a_folder_and_alone() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [&b"caf\xe9.pgm"[..], b"caf\xe8.pgm"].map(|name| folder.path().join(OsStr::from_bytes(name)));
    for (path, sample) in paths.iter().zip([1, 2]) {
        fs::write(path, pgm(sample)).unwrap();
    }
    let expected = [("caf%E8".to_owned(), 2), ("caf%E9".to_owned(), 1)];
    assert_eq!(read(&[folder.path().to_owned()]), expected);
    assert_eq!(read(&paths[..1]), expected[1..]);
}

#[test]
fn a_named_pipe_is_refused_without_waiting_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pipe.png", "pipe", "pipe.idx", "pipe.npy"] {
        let pipe = folder.path().join(name);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = first_error(&pipe);
        assert!(error.contains(name) && error.contains("not a file, but a pipe"), "{error}");
        assert!(read_labels(&pipe).is_err());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.pgm"), pgm(1)).unwrap();
    symlink("absent.pgm", folder.path().join("b.pgm")).unwrap();
    fs::write(folder.path().join("c.pgm"), pgm(3)).unwrap();
    let found: Vec<_> = open_images(&[folder.path().to_owned()]).unwrap().map(|item| item.is_ok()).collect();
    assert_eq!(found, [true, false, true]);
}

#[test]
fn a_file_that_breaks_off_has_one_error_and_the_next_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    // 1000 images of one pixel, but only two of them are there.
    let idx = [0, 0, 8, 3, 0, 0, 3, 0xe8, 0, 0, 0, 1, 0, 0, 0, 1, 7, 8];
    fs::write(folder.path().join("a.idx"), idx).unwrap();
    fs::write(folder.path().join("b.pgm"), pgm(9)).unwrap();
    let names: Vec<Option<String>> = open_images(&[folder.path().to_owned()])
        .unwrap()
        .map(|item| item.ok().map(|image| image.name))
        .collect();
    let expected = [Some("a-00000"), Some("a-00001"), None, Some("b")].map(|name| name.map(str::to_owned));
    assert_eq!(names, expected);
}

#[test]
fn a_file_of_another_kind_is_refused_with_the_formats_that_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "no image").unwrap();
    let error = first_error(&path);
    assert!(error.contains("notes.txt") && error.contains("format"), "{error}");
    let error = open_images(&[folder.path().to_owned()]).err().unwrap().to_string();
    assert!(error.contains("no images found in") && error.contains("only another entry"), "{error}");
}
