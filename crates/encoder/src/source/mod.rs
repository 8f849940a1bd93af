//! Images and numbers from files and folders, one after the other.
//!
//! A folder stands for its files in the order of their names, without its subfolders. The content of a file decides what it
//! is, and its name only where the content does not say it. PNG, JPEG, WebP, PGM/PPM and further files contain one image,
//! `.npy` files one or many, and IDX files (`…-idx3-ubyte`) many; all of them may be compressed with gzip. Files are opened
//! only when their first image is requested, and the images of an IDX file are read one by one. After an error, the next
//! file is read.
//!
//! Files are not trusted. Every reader takes [`InputLimits`], alone or in an [`ImagePolicy`], and refuses a file over one of
//! them before it allocates memory; the functions without such a parameter use the default limits.

mod content;
mod error;
pub mod idx;
mod listing;
mod names;
mod npy;
mod npy_array;
pub mod numbers;
mod pieces;
mod table;

use std::{
    io::{self, BufReader, Read},
    iter,
    path::{Path, PathBuf},
};

use image::DynamicImage;
use lopside_input::{
    IMAGE_EXTENSIONS, ImageFileError, ImageNotes, ImagePolicy, InputLimits, LimitedReader, ReadImage,
    decode_image_bytes, image_dimensions, read_image_file,
};

pub use content::is_image_file;
pub use error::InputError;
pub use listing::{InputListing, SkippedEntry};
pub use names::NamedFile;

use content::{FileKind, file_kind, open_unpacked};
use error::invalid_file;
use names::{file_stem, numbered_name};

pub(crate) use listing::list;

/// Maximum number of bytes of a compressed file beside the samples of its image.
const METADATA_BYTES: u64 = 16 << 20;

/// An image with a name for its outputs.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The name of the file's outputs, with the number of the image if the file contains many.
    pub name: String,
    /// The image as a viewer shows it.
    pub picture: DynamicImage,
    /// The facts about its file that are not pixels.
    pub notes: ImageNotes,
}

/// The images of files, one after the other.
pub type NamedImages = Box<dyn Iterator<Item = Result<NamedImage, InputError>>>;

/// The input of an encoder.
#[derive(Debug, Clone)]
pub enum EncoderInput {
    /// An image as a viewer shows it.
    Image(DynamicImage),
    /// A window or tensor, row-major, in its own units.
    Values(Vec<f32>),
}

/// An input with a name for its outputs.
#[derive(Debug, Clone)]
pub struct NamedInput {
    /// The name of the file's outputs, with a number if the file contains many inputs.
    pub name: String,
    /// The input.
    pub input: EncoderInput,
    /// The facts about the file of an image that are not pixels; for a window, the time of its last row, if it is known.
    pub notes: ImageNotes,
}

/// The inputs of files, one after the other.
pub type NamedInputs = Box<dyn Iterator<Item = Result<NamedInput, InputError>>>;

/// Returns the images of these files and folders as inputs.
///
/// # Errors
/// As [`open_images`].
pub fn open_inputs(inputs: &[PathBuf]) -> Result<NamedInputs, InputError> {
    open_inputs_within(inputs, InputLimits::default())
}

/// Returns the images of these files and folders as inputs, each file within these limits.
///
/// # Errors
/// As [`open_images`].
pub fn open_inputs_within(inputs: &[PathBuf], limits: InputLimits) -> Result<NamedInputs, InputError> {
    open_inputs_with(inputs, ImagePolicy::with_limits(limits))
}

/// Returns the images of these files and folders as inputs, read by this policy.
///
/// # Errors
/// As [`open_images`].
pub fn open_inputs_with(inputs: &[PathBuf], policy: ImagePolicy) -> Result<NamedInputs, InputError> {
    Ok(Box::new(open_images_with(inputs, policy)?.map(|item| item.map(NamedInput::from))))
}

/// Returns the images of these files and folders.
///
/// # Errors
/// [`InputError::Io`] for a path that cannot be listed, [`InputError::NoImages`] if there are no files to
/// read. The error of a single file is returned as an item of that file.
pub fn open_images(inputs: &[PathBuf]) -> Result<NamedImages, InputError> {
    open_images_within(inputs, InputLimits::default())
}

/// Returns the images of these files and folders, each file within these limits.
///
/// # Errors
/// As [`open_images`].
pub fn open_images_within(inputs: &[PathBuf], limits: InputLimits) -> Result<NamedImages, InputError> {
    open_images_with(inputs, ImagePolicy::with_limits(limits))
}

/// Returns the images of these files and folders, read by this policy.
///
/// # Errors
/// As [`open_images`].
pub fn open_images_with(inputs: &[PathBuf], policy: ImagePolicy) -> Result<NamedImages, InputError> {
    let files = list(inputs, false, &[])?.files;
    Ok(Box::new(files.into_iter().flat_map(move |file| open_image_file(&file, &policy))))
}

/// Returns width and height of the image of a file, as a viewer shows it, from its header alone. `None` for a file that
/// contains an array.
///
/// # Errors
/// [`InputError`] if the file cannot be read, is not an image, or is over one of the limits.
pub fn image_size(path: &Path, policy: &ImagePolicy) -> Result<Option<(u32, u32)>, InputError> {
    if matches!(file_kind(path)?, Some(FileKind::Npy | FileKind::Idx)) {
        return Ok(None);
    }
    let (reader, _) = open_unpacked(path)?;
    let size = image_dimensions(&read_content(path, reader, policy)?, policy);
    size.map(Some).map_err(|error| image_error(path, error))
}

/// Returns the images of one file as inputs. An error is the last item.
pub(crate) fn open_input_file(file: &NamedFile, policy: &ImagePolicy) -> NamedInputs {
    Box::new(open_image_file(file, policy).map(|item| item.map(NamedInput::from)))
}

impl From<NamedImage> for NamedInput {
    fn from(image: NamedImage) -> Self {
        let NamedImage { name, picture, notes } = image;
        Self { name, input: EncoderInput::Image(picture), notes }
    }
}

/// The reason why a file without a single input is refused.
const NO_INPUTS: &str = "the file contains no inputs: its array or table is empty";

/// Returns the images of one file; an error is the last item. A file that contains no image is an error.
fn open_image_file(file: &NamedFile, policy: &ImagePolicy) -> NamedImages {
    match read_images(file, policy) {
        Ok(images) => until_error(&file.path, images),
        Err(error) => Box::new(iter::once(Err(error))),
    }
}

/// Ends the items of a file after its first error, because whatever follows is not reliable. No item at all is an error.
fn until_error<T: 'static>(
    path: &Path,
    items: impl Iterator<Item = Result<T, InputError>> + 'static,
) -> Box<dyn Iterator<Item = Result<T, InputError>>> {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return Box::new(iter::once(Err(invalid_file(path, NO_INPUTS))));
    }
    let mut has_failed = false;
    Box::new(items.map_while(move |item| {
        let is_last = has_failed;
        has_failed |= item.is_err();
        (!is_last).then_some(item)
    }))
}

fn read_images(file: &NamedFile, policy: &ImagePolicy) -> Result<NamedImages, InputError> {
    let (path, limits) = (&file.path, &policy.limits);
    match file_kind(path)? {
        Some(FileKind::Npy) => npy::read(file, open_reader(path, limits)?, limits),
        Some(FileKind::Idx) => idx::read(file, open_reader(path, limits)?, limits),
        // The decoder also knows formats that are refused, and how to convert them.
        Some(FileKind::Image) | None => Ok(Box::new(iter::once(read_named_image(file, policy)))),
    }
}

fn read_named_image(file: &NamedFile, policy: &ImagePolicy) -> Result<NamedImage, InputError> {
    let NamedFile { path, name } = file;
    let (reader, is_packed) = open_unpacked(path)?;
    let read = if is_packed {
        decode_image_bytes(&read_content(path, reader, policy)?, policy)
    } else {
        read_image_file(path, policy)
    };
    let ReadImage { image, notes } = read.map_err(|error| image_error(path, error))?;
    Ok(NamedImage { name: name.clone(), picture: image, notes })
}

/// Reads the content of an image file within the limits.
fn read_content(path: &Path, reader: Box<dyn Read>, policy: &ImagePolicy) -> Result<Vec<u8>, InputError> {
    let max_bytes = policy.limits.max_image_bytes().saturating_add(METADATA_BYTES);
    let mut bytes = Vec::new();
    let read = LimitedReader::new(reader, max_bytes).read_to_end(&mut bytes);
    read.map_err(|error| content_error(path, "the image cannot be read", &error))?;
    Ok(bytes)
}

/// Opens a file within the limits, and decompresses it if it is compressed.
fn open_reader(path: &Path, limits: &InputLimits) -> Result<Box<dyn Read>, InputError> {
    let (reader, _) = open_unpacked(path)?;
    Ok(Box::new(BufReader::new(LimitedReader::new(reader, limits.max_file_bytes))))
}

/// Checks the number of inputs that a file declares.
fn check_input_count(path: &Path, count: u64, limits: &InputLimits) -> Result<(), InputError> {
    if count <= limits.max_inputs {
        return Ok(());
    }
    let limit = limits.max_inputs;
    Err(invalid_file(path, &format!("it has {count} inputs, over the limit of {limit} per file: split it")))
}

fn image_error(path: &Path, error: ImageFileError) -> InputError {
    match error {
        ImageFileError::Io(source) => InputError::Io { path: path.to_owned(), source },
        ImageFileError::UnknownFormat { first } if first.is_empty() => {
            invalid_file(path, "the file is empty: transfer it again")
        }
        error @ ImageFileError::UnknownFormat { .. } => {
            let endings = IMAGE_EXTENSIONS.join(", .");
            invalid_file(path, &format!("{error}, or a .npy or IDX file; the usual endings are .{endings}"))
        }
        other => invalid_file(path, &other.to_string()),
    }
}

/// Returns the error of reading the content of a file. A file over the limit is not called unreadable.
fn content_error(path: &Path, problem: &str, error: &io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::FileTooLarge => invalid_file(path, &error.to_string()),
        _ => invalid_file(path, &format!("{problem}: {error}")),
    }
}
