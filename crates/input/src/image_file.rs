//! Files of one image: the formats that are read, and how a reader of them is opened.
//!
//! All programs open images here, so that they read the same formats. The format is detected from the content,
//! because a wrong file name is harmless; the name decides only for content that no format recognises.

use std::{
    fs::File,
    io::{self, BufReader, Cursor},
    path::Path,
};

use image::ImageReader;

/// The endings of the names of files that contain one image, in lower case, without the dot.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "pgm", "ppm", "pnm"];

/// Returns whether a file contains one image, judged by the ending of its name.
#[must_use]
pub fn has_image_extension(path: &Path) -> bool {
    path.extension()
        .is_some_and(|found| IMAGE_EXTENSIONS.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// Opens a file of one image.
///
/// # Errors
/// The system's error if the file cannot be read.
pub fn open_image(path: &Path) -> io::Result<ImageReader<BufReader<File>>> {
    ImageReader::open(path)?.with_guessed_format()
}

/// Opens an image in memory.
///
/// # Errors
/// None in practice, because memory can always be read.
pub fn image_reader(bytes: &[u8]) -> io::Result<ImageReader<Cursor<&[u8]>>> {
    ImageReader::new(Cursor::new(bytes)).with_guessed_format()
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageFormat};

    use super::*;

    #[test]
    fn files_are_recognised_by_extension_and_formats_by_content() {
        for name in ["a.png", "b.JPEG", "c.d.pgm"] {
            assert!(has_image_extension(Path::new(name)), "{name}");
        }
        for name in ["png", "a.npy", "a.png.gz", "a."] {
            assert!(!has_image_extension(Path::new(name)), "{name}");
        }
        let mut png = Cursor::new(Vec::new());
        GrayImage::new(3, 2).write_to(&mut png, ImageFormat::Png).unwrap();
        let reader = image_reader(png.get_ref()).unwrap();
        assert_eq!(reader.format(), Some(ImageFormat::Png));
        assert_eq!(reader.into_dimensions().unwrap(), (3, 2));
    }
}
