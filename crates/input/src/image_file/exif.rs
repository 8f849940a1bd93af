//! What an EXIF block (CIPA DC-008, version 2.32) says about an image: which way is up, when and where it was taken.

use std::time::{Duration, SystemTime};

use chrono::{FixedOffset, Local, NaiveDateTime, TimeZone as _};
use image::metadata::Orientation;

use super::{Location, tiff_tags::TiffTags};

const ORIENTATION: u16 = 0x0112;
const EXIF_DIRECTORY: u16 = 0x8769;
const GPS_DIRECTORY: u16 = 0x8825;
/// The tags of a time, of its offset to UTC and of its fraction of a second: of the exposure, and of digitisation.
const TIMES: [[u16; 3]; 2] = [[0x9003, 0x9011, 0x9291], [0x9004, 0x9012, 0x9292]];

/// The facts of an EXIF block that are used.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ExifFacts {
    /// The way to turn the image upright.
    pub(super) orientation: Option<Orientation>,
    /// The time of the exposure.
    pub(super) captured_at: Option<SystemTime>,
    /// The place of the exposure.
    pub(super) location: Option<Location>,
}

/// Reads an EXIF block.
///
/// # Errors
/// The reason if the block is damaged. Single values that are missing or impossible are left out.
pub(super) fn read_exif(block: &[u8]) -> Result<ExifFacts, &'static str> {
    // Some writers repeat the header of JPEG in other formats.
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let (tags, first) = TiffTags::parse(block).ok_or("it does not begin with a TIFF header")?;
    if !tags.has_directory(first) {
        return Err("it ends inside its first directory");
    }
    let number = |tag| tags.value(first, tag).and_then(|value| value.number());
    let orientation = number(ORIENTATION).and_then(|value| u8::try_from(value).ok());
    let exif = number(EXIF_DIRECTORY);
    Ok(ExifFacts {
        orientation: orientation.and_then(Orientation::from_exif),
        captured_at: exif
            .and_then(|directory| TIMES.iter().find_map(|time| read_time(&tags, directory, *time))),
        location: number(GPS_DIRECTORY).and_then(|directory| read_location(&tags, directory)),
    })
}

fn read_time(tags: &TiffTags<'_>, directory: u64, [time, offset, fraction]: [u16; 3]) -> Option<SystemTime> {
    let text = |tag| tags.value(directory, tag).and_then(|value| value.text());
    let local = NaiveDateTime::parse_from_str(text(time)?, "%Y:%m:%d %H:%M:%S").ok()?;
    let offset = text(offset).and_then(|offset| offset.parse::<FixedOffset>().ok());
    let moment = if let Some(offset) = offset {
        SystemTime::from(offset.from_local_datetime(&local).single()?)
    } else {
        // An hour that exists twice is taken as the first one.
        SystemTime::from(Local.from_local_datetime(&local).earliest()?)
    };
    let fraction = text(fraction).and_then(|digits| format!("0.{digits}").parse::<f64>().ok());
    moment.checked_add(Duration::try_from_secs_f64(fraction.unwrap_or(0.0)).ok()?)
}

/// Reads a place (the tags of table 15). A receiver without a fix says so.
fn read_location(tags: &TiffTags<'_>, directory: u64) -> Option<Location> {
    let text = |tag| tags.value(directory, tag).and_then(|value| value.text());
    if text(9) == Some("V") {
        return None;
    }
    let angle = |tag, reference, negative| {
        let value = tags.value(directory, tag)?;
        let degrees = value.fraction(0)?
            + value.fraction(1).unwrap_or(0.0) / 60.0
            + value.fraction(2).unwrap_or(0.0) / 3600.0;
        Some(if text(reference)? == negative { -degrees } else { degrees })
    };
    let (latitude, longitude) = (angle(2, 1, "S")?, angle(4, 3, "W")?);
    let altitude = tags.value(directory, 6).and_then(|value| value.fraction(0));
    let is_below = tags.value(directory, 5).and_then(|value| value.number()) == Some(1);
    let altitude = altitude.map(|metres| if is_below { -metres } else { metres });
    let is_valid = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    is_valid.then_some(Location { latitude, longitude, altitude })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The headers of both orders of bytes, with offsets of 32 and of 64 bits.
    const HEADERS: &[&[u8]] = &[
        b"MM\0*\0\0\0\x08",
        b"II*\0\x08\0\0\0",
        b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10",
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    ];

    proptest! {
        #[test]
        fn any_block_is_read_or_refused(
            header in prop::sample::select(HEADERS),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = read_exif(&[header, &rest].concat());
        }
    }

    #[test]
    fn a_damaged_block_is_named() {
        assert!(read_exif(b"").is_err());
        assert!(read_exif(b"II*\0\x08\0\0\0\x05\0").is_err());
    }
}
