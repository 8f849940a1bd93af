//! The kind of a file of inputs: by its content, and by its name where the content does not say it.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use lopside_input::{IMAGE_HEAD_BYTES, has_image_content, has_image_extension};

use super::{
    InputError,
    error::{invalid_file, io_error},
};

const GZIP: &[u8] = &[0x1f, 0x8b];
const NPY: &[u8] = b"\x93NUMPY";
/// Bytes, of rank 3.
const IDX_IMAGES: &[u8] = &[0, 0, 8, 3];

/// The kind of a file of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// One image.
    Image,
    /// An array of one or many images, or of numbers.
    Npy,
    /// An IDX file of many images.
    Idx,
}

/// Returns the kind of a file of images; `None` for a file of another kind.
///
/// # Errors
/// [`InputError`] if the file cannot be read.
pub(super) fn file_kind(path: &Path) -> Result<Option<FileKind>, InputError> {
    Ok(kind_by_content(path)?.or_else(|| kind_by_name(path)))
}

/// Returns the kind of a file of images, judged by its name.
pub(super) fn kind_by_name(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if has_image_extension(Path::new(name)) {
        Some(FileKind::Image)
    } else if Path::new(name).extension().is_some_and(|ending| ending == "npy") {
        Some(FileKind::Npy)
    } else if ["-idx3-ubyte", ".idx3-ubyte", ".idx"].iter().any(|ending| name.ends_with(ending)) {
        Some(FileKind::Idx)
    } else {
        None
    }
}

/// Returns the kind of a file of images, judged by its content after decompression.
///
/// # Errors
/// [`InputError`] if the file cannot be read.
pub(super) fn kind_by_content(path: &Path) -> Result<Option<FileKind>, InputError> {
    let mut start = Vec::new();
    let (reader, is_packed) = open_unpacked(path)?;
    let read = reader.take(IMAGE_HEAD_BYTES as u64).read_to_end(&mut start);
    // Damage of a compressed file is explained by the reader of its content.
    if let Err(error) = read
        && !is_packed
    {
        return Err(io_error(path)(error));
    }
    Ok(if start.starts_with(NPY) {
        Some(FileKind::Npy)
    } else if start.starts_with(IDX_IMAGES) {
        Some(FileKind::Idx)
    } else {
        has_image_content(&start).then_some(FileKind::Image)
    })
}

/// Returns whether a file contains images, judged by its name or, for another name, by its content.
#[must_use]
pub fn is_image_file(path: &Path) -> bool {
    kind_by_name(path).is_some() || kind_by_content(path).is_ok_and(|kind| kind.is_some())
}

/// Returns whether a file contains numbers: judged by its name or, for another name, by whether its content is an
/// array.
#[must_use]
pub fn is_numbers_file(path: &Path) -> bool {
    has_ending(path, ".csv") || is_npy(path)
}

/// Returns whether a file is an array in the `.npy` format, judged by its name or its content.
pub(super) fn is_npy(path: &Path) -> bool {
    has_ending(path, ".npy") || kind_by_content(path).is_ok_and(|kind| kind == Some(FileKind::Npy))
}

/// Returns whether a file may contain many inputs, whose names are numbered.
pub(super) fn is_container(path: &Path) -> bool {
    let kind = kind_by_content(path).ok().flatten().or_else(|| kind_by_name(path));
    matches!(kind, Some(FileKind::Npy | FileKind::Idx)) || has_ending(path, ".csv")
}

/// Returns whether the name ends like this, also before a `.gz`.
fn has_ending(path: &Path, suffix: &str) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(suffix)
}

/// Opens a file, and decompresses it if its content is compressed with gzip; returns whether it is.
///
/// # Errors
/// [`InputError::Io`] if the file cannot be opened, [`InputError::InvalidFile`] for something that is not a file:
/// a named pipe would let the program wait for its writer.
pub(super) fn open_unpacked(path: &Path) -> Result<(Box<dyn Read>, bool), InputError> {
    if !fs::metadata(path).map_err(io_error(path))?.is_file() {
        let reason = "it is not a file, but a pipe, a socket, a device or a folder: write the input to a file first, or let \
                      `edge-encoder run` read it as a source";
        return Err(invalid_file(path, reason));
    }
    let mut reader = BufReader::new(File::open(path).map_err(io_error(path))?);
    let is_packed = reader.fill_buf().map_err(io_error(path))?.starts_with(GZIP);
    // A compressed file may consist of several parts, for example because another program appended to it.
    let unpacked: Box<dyn Read> =
        if is_packed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
    Ok((unpacked, is_packed))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_content_decides_before_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let pgm = b"P5 1 1 255\n7";
        for (name, bytes, expected) in [
            ("picture", &pgm[..], Some(FileKind::Image)),
            ("picture.npy", pgm, Some(FileKind::Image)),
            ("picture.gz", &packed(pgm)[..], Some(FileKind::Image)),
            ("multipart.gz", &packed(b"--frame\r\n\r\n\xff\xd8\xff\xe0")[..], Some(FileKind::Image)),
            ("iphone.gz", &packed(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")[..], Some(FileKind::Image)),
            ("cars.gz", &packed(b"BMW,Audi,Opel,Ford,Fiat")[..], None),
            ("array.png", b"\x93NUMPY\x01\x00", Some(FileKind::Npy)),
            ("array", &packed(b"\x93NUMPY\x01\x00")[..], Some(FileKind::Npy)),
            ("digits.dat", &[0, 0, 8, 3, 0, 0, 0, 1], Some(FileKind::Idx)),
            ("damaged.jpe.gz", &[0x1f, 0x8b, 9], kind_by_name(Path::new("damaged.jpe"))),
            ("broken.PNG", b"no picture", Some(FileKind::Image)),
            ("notes.txt", b"no picture", None),
            ("empty", b"", None),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(file_kind(&path).unwrap(), expected, "{name}");
            assert_eq!(is_image_file(&path), expected.is_some(), "{name}");
        }
        assert!(is_numbers_file(&folder.path().join("array")) && is_container(&folder.path().join("array")));
        assert!(is_numbers_file(Path::new("log.CSV.gz")) && !is_numbers_file(Path::new("absent.png")));
        assert!(matches!(file_kind(folder.path()), Err(InputError::InvalidFile { .. })));
    }

    #[test]
    fn all_parts_of_a_compressed_file_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv.gz");
        fs::write(&path, [packed(b"1\n"), packed(b"2\n")].concat()).unwrap();
        let mut text = String::new();
        let (mut reader, is_packed) = open_unpacked(&path).unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((&text[..], is_packed), ("1\n2\n", true));
    }
}
