//! Images through the library.

use std::time::UNIX_EPOCH;

use image::{DynamicImage, imageops::crop_imm};
use lopside_input::{ImageNotes, ReadImage, decode_image_bytes, image_dimensions, read_image_file};
use lopside_quality::psnr;

use super::case::{Case, assert_none, images};

#[test]
fn images_are_read_as_the_references_show_them_or_refused() {
    let problems: Vec<String> = images().filter_map(|case| check(case).err()).collect();
    assert_none(&problems);
}

fn check(case: &Case) -> Result<(), String> {
    let problem = |text: String| Err(format!("{} {}: {text}", case.file, case.options));
    let policy = case.policy();
    let read = match (read_image_file(&case.path(), &policy), case.is_refused()) {
        (Ok(read), false) => read,
        (Err(error), true) if case.expects_message(&error.to_string()) => return Ok(()),
        (Ok(_), true) => return problem("it is read".into()),
        (Err(error), _) => return problem(error.to_string()),
    };
    if decode_image_bytes(&case.bytes(), &policy).ok().as_ref() != Some(&read) {
        return problem("the bytes are not read as the file is".into());
    }
    let size = (read.image.width(), read.image.height());
    match image_dimensions(&case.bytes(), &policy) {
        Ok(declared) if declared == size => {}
        declared => return problem(format!("{size:?}, but the header says {declared:?}")),
    }
    if let Err(text) = compare(case, &read.image) {
        return problem(text);
    }
    let found = note_texts(&read);
    let expected: Vec<&str> =
        case.notes.iter().map(String::as_str).filter(|note| !note.starts_with("rows=")).collect();
    if found == expected { Ok(()) } else { problem(format!("notes {found:?}, not {expected:?}")) }
}

/// Compares an image with its reference.
fn compare(case: &Case, image: &DynamicImage) -> Result<(), String> {
    let Some((reference, min_db)) = case.reference_image() else { return Ok(()) };
    let mut found = image.to_rgb8();
    if case.note("rows") > 0 {
        found = crop_imm(&found, 0, 0, found.width(), reference.height()).to_image();
    }
    if found.dimensions() != (reference.width(), reference.height()) {
        return Err(format!("{:?}, not {:?}", found.dimensions(), (reference.width(), reference.height())));
    }
    let is_neutral = found.pixels().all(|pixel| pixel.0.iter().all(|&sample| sample == pixel.0[0]));
    if !is_neutral && !reference.color().has_color() {
        return Err("it has a colour, and the reference has none".into());
    }
    let db = psnr(&found.into(), &reference.into_rgb8().into()).unwrap();
    if db >= min_db { Ok(()) } else { Err(format!("{db:.1} dB, not at least {min_db}")) }
}

/// Returns the notes as the table writes them.
fn note_texts(read: &ReadImage) -> Vec<String> {
    let ImageNotes { damaged, captured_at, location, warnings, .. } = &read.notes;
    let mut texts: Vec<String> = warnings.iter().map(|warning| warning.name().to_owned()).collect();
    texts.extend(damaged.then(|| "damaged".to_owned()));
    if let Some(time) = captured_at {
        texts.push(format!("captured_ms={}", time.duration_since(UNIX_EPOCH).unwrap().as_millis()));
    }
    if let Some(place) = location {
        texts.push(format!("latitude={:.6}", place.latitude));
        texts.push(format!("longitude={:.6}", place.longitude));
        texts.extend(place.altitude.map(|altitude| format!("altitude={altitude:.1}")));
    }
    texts
}
