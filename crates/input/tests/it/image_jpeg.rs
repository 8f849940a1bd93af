//! JPEG files of unusual structure: read as a viewer shows them, or refused by name; cut files are detected.

use image::RgbImage;
use jpeg_encoder::SamplingFactor;
use lopside_input::{ImageFileError, ImageWarning};
use proptest::prelude::*;

use crate::image_support::{grey_jpeg, insert_before, jpeg, psnr, read, read_marked, sample};

const FACTORS: [SamplingFactor; 6] = [
    SamplingFactor::F_1_1,
    SamplingFactor::F_2_1,
    SamplingFactor::F_1_2,
    SamplingFactor::F_2_2,
    SamplingFactor::F_4_1,
    SamplingFactor::F_4_2,
];
const FRAME_HEADER: [u8; 2] = [0xff, 0xc0];
const SCAN_HEADER: [u8; 2] = [0xff, 0xda];

/// Quality of the sample at 92, with whole and with shared chroma.
const EXPECTED_DB: f64 = 32.0;

fn pixels(bytes: &[u8]) -> RgbImage {
    let read = read(bytes).unwrap();
    assert!(!read.notes.damaged);
    read.image.into_rgb8()
}

fn marker_at(file: &[u8], marker: [u8; 2]) -> usize {
    file.windows(2).position(|pair| pair == marker).unwrap()
}

/// Returns the start and the end of a segment.
fn segment(file: &[u8], start: usize) -> (usize, usize) {
    (start, start + 2 + usize::from(u16::from_be_bytes([file[start + 2], file[start + 3]])))
}

/// Returns a file without its Huffman tables.
fn without_tables(mut file: Vec<u8>) -> Vec<u8> {
    while let Some(start) = file.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let (start, end) = segment(&file, start);
        file.drain(start..end);
    }
    file
}

#[test]
fn components_in_scans_of_their_own_are_put_together() {
    for factor in FACTORS {
        let interleaved = jpeg(|encoder| encoder.set_sampling_factor(factor));
        // The encoder writes one scan per component if it optimises the tables.
        let separate = jpeg(|encoder| {
            encoder.set_sampling_factor(factor);
            encoder.set_optimized_huffman_tables(true);
        });
        let scans = separate.windows(2).filter(|pair| *pair == SCAN_HEADER).count();
        assert_eq!(scans, 3);
        for (name, file) in [("interleaved", interleaved), ("separate", separate)] {
            let found = psnr(&pixels(&file), &sample());
            assert!(found > EXPECTED_DB, "{name} {factor:?}: {found:.1} dB");
        }
    }
}

#[test]
fn progressive_files_restart_markers_and_grey_are_read() {
    let progressive = jpeg(|encoder| encoder.set_progressive(true));
    let restarts = jpeg(|encoder| encoder.set_restart_interval(3));
    for file in [progressive, restarts] {
        assert!(psnr(&pixels(&file), &sample()) > EXPECTED_DB);
    }
    let grey = read(&grey_jpeg()).unwrap().image;
    assert!(!grey.color().has_color());
}

#[test]
fn missing_huffman_tables_are_the_standard_ones() {
    let file = jpeg(|_| {});
    let read = read(&without_tables(file.clone())).unwrap();
    assert_eq!(read.notes.warnings, [ImageWarning::StandardHuffmanTables]);
    assert_eq!(read.image.into_rgb8(), pixels(&file));
}

#[test]
fn bytes_before_the_image_are_skipped_and_bytes_behind_it_ignored() {
    let file = jpeg(|_| {});
    let header = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4711\r\n\r\n";
    let multipart = [&header[..], &file, b"\r\n--frame--\r\n"].concat();
    let read = read(&multipart).unwrap();
    assert_eq!(read.notes.warnings, [ImageWarning::LeadingBytes { count: header.len() }]);
    assert_eq!(read.image.into_rgb8(), pixels(&file));
}

#[test]
fn the_height_may_come_behind_the_first_scan() {
    let file = jpeg(|_| {});
    let mut late = file.clone();
    let height = marker_at(&late, FRAME_HEADER) + 5;
    let [high, low] = [late[height], late[height + 1]];
    late[height..height + 2].fill(0);
    late.truncate(late.len() - 2);
    late.extend([0xff, 0xdc, 0, 4, high, low, 0xff, 0xd9]);
    assert_eq!(pixels(&late), pixels(&file));
    // Without the segment, there is no height.
    let mut none = late;
    none.drain(none.len() - 8..none.len() - 2);
    assert!(matches!(read(&none), Err(ImageFileError::Decode(_))));
}

#[test]
fn an_end_that_is_missing_or_padded_is_no_damage() {
    let file = jpeg(|_| {});
    let body = &file[..file.len() - 2];
    for end in [&[][..], &[0; 40], &[0xff, 0xff, 0xff, 0xd9], &[0, 0, 0, 0xff, 0xd9]] {
        assert_eq!(pixels(&[body, end].concat()), pixels(&file), "{end:?}");
    }
}

#[test]
fn processes_that_are_not_read_are_refused_by_name() {
    let file = jpeg(|_| {});
    let frame = marker_at(&file, FRAME_HEADER);
    let with = |offset: usize, byte: u8| {
        let mut changed = file.clone();
        changed[frame + offset] = byte;
        read(&changed).unwrap_err()
    };
    for (error, words) in [
        (with(1, 0xc9), ["arithmetic coding", "jpegtran -copy all"]),
        (with(1, 0xc3), ["lossless", "PNG"]),
        (with(4, 12), ["12 bits per sample", "16 bits"]),
    ] {
        assert!(matches!(error, ImageFileError::Unsupported { .. }), "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

#[test]
fn a_cut_file_is_refused_or_marked_with_the_part_that_is_there() {
    let whole = pixels(&jpeg(|_| {}));
    let files = [
        ("sequential", jpeg(|_| {})),
        ("restarts", jpeg(|encoder| encoder.set_restart_interval(2))),
        ("progressive", jpeg(|encoder| encoder.set_progressive(true))),
    ];
    for (name, file) in files {
        let scan = marker_at(&file, SCAN_HEADER);
        let part = &file[..scan + (file.len() - scan) * 2 / 3];
        // Some programs write an end behind what they have.
        for cut in [part.to_vec(), [part, &[0xff, 0xd9]].concat()] {
            let error = read(&cut).unwrap_err();
            assert_eq!(error.name(), "damaged", "{name}: {error}");
            assert!(error.to_string().contains("damaged_images = \"mark\""), "{name}: {error}");
            let marked = read_marked(&cut).unwrap();
            assert!(marked.notes.damaged, "{name}");
            let top = |image: &RgbImage| image::imageops::crop_imm(image, 0, 0, 83, 16).to_image();
            let found = psnr(&top(&marked.image.into_rgb8()), &top(&whole));
            assert!(found > 18.0, "{name}: {found:.1} dB");
        }
    }
}

#[test]
fn a_cut_file_that_cannot_be_shown_in_part_is_refused_without_false_advice() {
    let file = jpeg(|encoder| encoder.set_optimized_huffman_tables(true));
    let cut = &file[..file.len() * 2 / 3];
    for error in [read(cut).unwrap_err(), read_marked(cut).unwrap_err()] {
        assert!(matches!(error, ImageFileError::Damaged { .. }), "{error}");
        assert!(error.to_string().ends_with("Transfer the file again"), "{error}");
    }
}

#[test]
fn data_behind_the_last_block_and_missing_restarts_are_damage() {
    let file = jpeg(|encoder| encoder.set_restart_interval(2));
    let scan = marker_at(&file, SCAN_HEADER);
    let longer = [&file[..file.len() - 2], &[0x12, 0x34, 0x56, 0x78], &[0xff, 0xd9]].concat();
    let restart = scan + marker_at(&file[scan..], [0xff, 0xd0]);
    let mut other = file.clone();
    other[restart + 1] = 0xd3;
    for damaged in [longer, other] {
        assert_eq!(read(&damaged).unwrap_err().name(), "damaged");
    }
}

#[test]
fn a_thumbnail_does_not_count_as_the_image() {
    let thumbnail = grey_jpeg();
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let segment = [&[0xff, 0xe5], &length[..], &thumbnail].concat();
    let file = jpeg(|_| {});
    let with = insert_before(&file, [0xff, 0xdb], &segment);
    assert_eq!(pixels(&with), pixels(&file));
    assert_eq!(read(&with[..with.len() / 2]).unwrap_err().name(), "damaged");
}

proptest! {
    /// A prefix of a file is never taken as whole, except one that lacks the end or a part of its padding only.
    #[test]
    fn no_prefix_is_taken_as_whole(length in 0_usize..100_000, progressive in any::<bool>()) {
        let file = jpeg(|encoder| encoder.set_progressive(progressive));
        let prefix = &file[..length % (file.len() - 4)];
        prop_assert!(read(prefix).is_err());
        if let Ok(marked) = read_marked(prefix) {
            prop_assert!(marked.notes.damaged);
        }
    }

    /// Damaged bytes anywhere yield an image of the same size or an error.
    #[test]
    fn damage_never_panics(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), kind in 0..4) {
        let mut file = jpeg(|encoder| match kind {
            0 => encoder.set_progressive(true),
            1 => encoder.set_restart_interval(2),
            2 => encoder.set_optimized_huffman_tables(true),
            _ => {}
        });
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        if let Ok(read) = read_marked(&file) {
            prop_assert!(read.image.width() > 0);
        }
    }
}
