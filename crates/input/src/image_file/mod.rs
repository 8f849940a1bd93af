//! Files of one image, and the one policy by which all programs turn them into pixels.
//!
//! An image is read as a picture viewer shows it, or refused with cause and fix:
//!
//! - The format is detected from the content ([`is_image`]). JPEG, PNG, WebP, BMP, TIFF, GIF, QOI and PNM are read; other
//!   formats are refused by their names.
//! - Colour profiles, code points and gamma are converted to sRGB. High dynamic range is reduced, with a warning.
//! - Transparent pixels are mixed with [`ImagePolicy::background`].
//! - The orientation of EXIF is applied, in every format that has it.
//! - Samples that do not use their whole range are stretched, if the file says so.
//! - Data that is cut off or damaged is detected and treated as [`DamagedImages`] says.
//!
//! The size that a header declares is checked before an image is decoded.

mod colour;
mod container;
mod depth;
mod embedded_profile;
mod error;
mod exif;
mod format;
mod jpeg;
mod limits;
mod notes;
mod open;
mod png_chunks;
mod policy;
mod read;
mod tiff_directory;
mod tiff_tags;
mod tiff_ycbcr;
mod transparency;
mod webp_chunks;

pub use error::ImageFileError;
pub use limits::check_image_size;
pub use notes::{ImageNotes, ImageWarning, Location, ReadImage};
pub use policy::{DamagedImages, ImagePolicy};
pub use read::{
    IMAGE_EXTENSIONS, IMAGE_HEAD_BYTES, decode_image_bytes, has_image_content, has_image_extension,
    image_dimensions, is_image, read_image, read_image_file,
};
