//! Images and windows of time series as the tensors that models read, and back; and the rows of CSV that such
//! windows are made of.
//!
//! [`InputLimits`] bound what a reader may allocate for a file or an image that it does not trust.
//!
//! Both hosts need this crate: the device for the inputs that it encodes, the cloud for the outputs of its
//! heads and for reference inputs.

pub mod csv_rows;
mod image_file;
mod limited_reader;
mod limits;
mod pixels;
mod time_series;

pub use image_file::{
    DamagedImages, IMAGE_EXTENSIONS, IMAGE_HEAD_BYTES, ImageFileError, ImageNotes, ImagePolicy, ImageWarning,
    Location, ReadImage, check_image_size, decode_image_bytes, has_image_content, has_image_extension,
    image_dimensions, is_image, read_image, read_image_file,
};
pub use limited_reader::LimitedReader;
pub use limits::InputLimits;
pub use pixels::{image_from_samples, image_samples, to_model_image};
pub use time_series::{normalise_window, restore_window};
