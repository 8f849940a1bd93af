//! The format of a file, judged by its first bytes. A wrong file name is harmless, and a missing one as well.

use image::ImageFormat;

/// Number of bytes in which a JPEG file must begin behind other bytes, such as the header of an HTTP multipart stream.
const DETECTION_BYTES: usize = 4096;
/// Number of bytes that decide about the format.
pub(super) const HEAD_BYTES: usize = DETECTION_BYTES + JPEG_START.len() - 1;

const JPEG_START: [u8; 3] = [0xff, 0xd8, 0xff];
/// Beginnings of files that contain images, or parts that look like one, and are none: archives, documents, sound, films.
const OTHER_CONTENT: [&[u8]; 12] = [
    b"PK",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x1f\x8b",
    b"%PDF",
    b"\xd0\xcf\x11\xe0",
    b"ID3",
    b"fLaC",
    b"OggS",
    b"RIFF",
    b"\x1a\x45\xdf\xa3",
    b"SQLite format 3",
];
/// The name in the header of a tar archive, and its offset.
const TAR: (usize, &[u8]) = (257, b"ustar");
const CONVERT_HEIF: &str = "convert it to JPEG, for example with `heif-convert in.heic out.jpg`, or let the camera write JPEG \
                            (on an iPhone: Settings, Camera, Formats, Most Compatible)";
const CONVERT_AVIF: &str = "convert it to PNG, for example with `avifdec in.avif out.png`";
const CONVERT_RAW: &str = "develop it to JPEG, PNG or 8-bit TIFF, or let the camera write JPEG beside it";

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// A format that is read, and the number of bytes before the image.
    Read(ImageFormat, usize),
    /// A format that is refused: its name, and advice how to convert it.
    Refused(&'static str, &'static str),
}

impl FileFormat {
    /// Returns the format of the image that begins in these bytes, of which the first [`HEAD_BYTES`] decide.
    pub(super) fn detect(bytes: &[u8]) -> Option<Self> {
        if let Some(format) = read_format(bytes) {
            return Some(Self::Read(format, 0));
        }
        if let Some((name, fix)) = refused_format(bytes) {
            return Some(Self::Refused(name, fix));
        }
        if is_other_content(bytes) {
            return None;
        }
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        let start = head.windows(JPEG_START.len()).position(|window| window == JPEG_START)?;
        Some(Self::Read(ImageFormat::Jpeg, start))
    }
}

fn read_format(bytes: &[u8]) -> Option<ImageFormat> {
    let format = match bytes {
        [0xff, 0xd8, 0xff, ..] => ImageFormat::Jpeg,
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => ImageFormat::Png,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ImageFormat::WebP,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ImageFormat::Gif,
        [b'q', b'o', b'i', b'f', ..] => ImageFormat::Qoi,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] if !is_canon_raw(bytes) => {
            ImageFormat::Tiff
        }
        [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => ImageFormat::Pnm,
        [b'B', b'M', ..] if has_bitmap_header(bytes) => ImageFormat::Bmp,
        _ => return None,
    };
    Some(format)
}

/// Returns whether a file is a container of another kind: a JPEG image inside it is not the file's image.
fn is_other_content(bytes: &[u8]) -> bool {
    let (offset, name) = TAR;
    OTHER_CONTENT.iter().any(|start| bytes.starts_with(start))
        || bytes.get(4..8) == Some(b"ftyp")
        || bytes.get(offset..).is_some_and(|rest| rest.starts_with(name))
}

/// Returns whether the length of the second header is one of those that exist: `BM` alone begins many texts.
fn has_bitmap_header(bytes: &[u8]) -> bool {
    matches!(bytes.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
}

fn is_canon_raw(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II*\0") && bytes.get(8..10) == Some(b"CR")
}

/// Returns the name of a format that is known, but not read, with advice.
fn refused_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    if let [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..] = bytes {
        return refused_container(brands);
    }
    match bytes {
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => {
            Some(("JPEG XL", "convert it to PNG, for example with `djxl in.jxl out.png`"))
        }
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            Some(("JPEG 2000", "convert it to PNG, for example with `opj_decompress -i in.jp2 -o out.png`"))
        }
        [b'I', b'I', b'R', b'O' | b'S', ..] | [b'I', b'I', b'U', 0, ..] => Some(CAMERA_RAW),
        _ if is_canon_raw(bytes) || bytes.starts_with(b"FUJIFILMCCD-RAW") => Some(CAMERA_RAW),
        [b'8', b'B', b'P', b'S', ..] => Some(("a Photoshop document", "export it as PNG or JPEG")),
        _ => None,
    }
}

/// The refusal of the formats in which cameras store the values of their sensors.
pub(super) const CAMERA_RAW: (&str, &str) = ("a camera's raw format", CONVERT_RAW);

/// Returns the refusal of an ISO base media file by its brands: the major one, four bytes of version, the others.
fn refused_container(brands: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = &brands[..brands.len().min(64)];
    let has = |brand: &[u8; 4]| head.chunks_exact(4).any(|found| found == brand);
    if has(b"avif") || has(b"avis") {
        Some(("AVIF", CONVERT_AVIF))
    } else if [b"heic", b"heix", b"heim", b"hevc", b"hevx", b"mif1", b"msf1"].into_iter().any(has) {
        Some(("HEIC", CONVERT_HEIF))
    } else if has(b"crx ") {
        Some(CAMERA_RAW)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_content_behind_a_header_as_well() {
        let multipart = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0";
        assert_eq!(FileFormat::detect(multipart), Some(FileFormat::Read(ImageFormat::Jpeg, 37)));
        let refused = |bytes: &[u8]| match FileFormat::detect(bytes) {
            Some(FileFormat::Refused(name, _)) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif"), "AVIF");
        assert_eq!(refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "HEIC");
        assert_eq!(refused(b"II*\0\x10\0\0\0CR\x02\0"), "a camera's raw format");
        for text in
            [&b"BMW,Audi,Opel,VW,Ford,Fiat"[..], b"P1,P2,P3\n1,2,3\n", b"", b"\xff\xd8", b"time,volts\n"]
        {
            assert_eq!(FileFormat::detect(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_image_inside_an_archive_a_document_or_a_film_is_not_that_of_the_file() {
        let tar = [&[b'a'; 257][..], b"ustar\x0000", &[0; 248]].concat();
        let film = b"\0\0\0\x18ftypisom\0\0\0\0isommp41";
        for start in [&tar[..], film, b"PK\x03\x04", b"%PDF-1.7\n", b"ID3\x03", b"RIFF\0\0\0\0AVI LIST"] {
            let file = [start, b" \xff\xd8\xff\xe0"].concat();
            assert_eq!(FileFormat::detect(&file), None, "{start:?}");
        }
    }
}
