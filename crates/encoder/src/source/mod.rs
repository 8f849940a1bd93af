//! Images and numbers from files and folders, one after the other.
//!
//! A folder stands for its files in the order of their names, without its subfolders. PNG, JPEG, WebP and
//! PGM/PPM files contain one image, `.npy` files one or many, and IDX files (`…-idx3-ubyte`) many. Files are
//! opened only when their first image is requested, and the images of an IDX file are read one by one.
//!
//! Files are not trusted. Every reader takes [`InputLimits`] and refuses a file over one of them before it allocates
//! memory; the functions without such a parameter use the default limits.

mod error;
pub mod idx;
mod npy;
mod npy_array;
pub mod numbers;
mod output_names;

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use image::DynamicImage;
use lopside_input::{
    IMAGE_EXTENSIONS, ImageFileError, InputLimits, LimitedReader, has_image_extension, read_image,
};

pub use error::InputError;
use error::io_error;

pub(crate) use output_names::check_output_names;

/// An image with a name for its outputs.
#[derive(Debug, Clone)]
pub struct NamedImage {
    /// The stem of the file name, with the number of the image if the file contains many.
    pub name: String,
    /// The image as read.
    pub picture: DynamicImage,
}

/// The images of files, one after the other.
pub type NamedImages = Box<dyn Iterator<Item = Result<NamedImage, InputError>>>;

/// The input of an encoder.
#[derive(Debug, Clone)]
pub enum EncoderInput {
    /// An image as read.
    Image(DynamicImage),
    /// A window or tensor, row-major, in its own units.
    Values(Vec<f32>),
}

/// An input with a name for its outputs.
#[derive(Debug, Clone)]
pub struct NamedInput {
    /// The stem of the file name, with a number if the file contains many inputs.
    pub name: String,
    /// The input.
    pub input: EncoderInput,
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
    Ok(Box::new(open_images_within(inputs, limits)?.map(|item| {
        item.map(|NamedImage { name, picture }| NamedInput { name, input: EncoderInput::Image(picture) })
    })))
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
    let files = list_files(inputs, is_image_file)?;
    if files.is_empty() {
        return Err(InputError::NoImages { paths: join_paths(inputs) });
    }
    Ok(Box::new(files.into_iter().flat_map(move |file| {
        read_file(&file, &limits).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
    })))
}

/// The reason why a file without a single input is refused.
const NO_INPUTS: &str = "the file contains no inputs: its array or table is empty";

enum FileKind {
    Image,
    Npy,
    Idx,
}

/// Returns whether a file contains images, judged by its name.
#[must_use]
pub fn is_image_file(path: &Path) -> bool {
    file_kind(path).is_some()
}

/// Returns whether a file of images contains many, whose names are numbered.
fn is_container(path: &Path) -> bool {
    matches!(file_kind(path), Some(FileKind::Npy | FileKind::Idx)) || numbers::is_numbers_file(path)
}

/// Returns the kind of a file, judged by its name.
fn file_kind(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if has_image_extension(Path::new(name)) {
        Some(FileKind::Image)
    } else if has_suffix(name, &[".npy"]) {
        Some(FileKind::Npy)
    } else if has_suffix(name, &["-idx3-ubyte", ".idx3-ubyte", ".idx"]) {
        Some(FileKind::Idx)
    } else {
        None
    }
}

fn has_suffix(name: &str, suffixes: &[&str]) -> bool {
    suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// Returns the files of these files and folders, in the order in which they are read.
pub(super) fn list(inputs: &[PathBuf], takes_numbers: bool) -> Result<Vec<PathBuf>, InputError> {
    list_files(inputs, if takes_numbers { numbers::is_numbers_file } else { is_image_file })
}

/// Returns the given files, and the accepted files in the given folders.
fn list_files(inputs: &[PathBuf], accepts: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, InputError> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let mut folder_files = Vec::new();
        for entry in fs::read_dir(input).map_err(io_error(input))? {
            let path = entry.map_err(io_error(input))?.path();
            if path.is_file() && accepts(&path) {
                folder_files.push(path);
            }
        }
        folder_files.sort();
        files.extend(folder_files);
    }
    Ok(files)
}

fn join_paths(inputs: &[PathBuf]) -> String {
    let paths: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// Reads the images of a file; one that contains none is an error.
fn read_file(path: &Path, limits: &InputLimits) -> Result<NamedImages, InputError> {
    let mut items = read_images(path, limits)?.peekable();
    if items.peek().is_none() {
        return Err(invalid_file(path, NO_INPUTS));
    }
    Ok(Box::new(items))
}

fn read_images(path: &Path, limits: &InputLimits) -> Result<NamedImages, InputError> {
    match file_kind(path) {
        Some(FileKind::Image) => Ok(Box::new(std::iter::once(read_named_image(path, limits)))),
        Some(FileKind::Npy) => npy::read(path, open_reader(path, limits)?, limits),
        Some(FileKind::Idx) => idx::read(path, open_reader(path, limits)?, limits),
        None => Err(invalid_file(
            path,
            &format!(
                "the file's name does not end in .{}, .npy or -idx3-ubyte",
                IMAGE_EXTENSIONS.join(", .")
            ),
        )),
    }
}

fn read_named_image(path: &Path, limits: &InputLimits) -> Result<NamedImage, InputError> {
    let picture = read_image(path, limits).map_err(|error| image_error(path, error))?;
    Ok(NamedImage { name: file_stem(path), picture })
}

/// Opens a file; decompresses it if its name ends in `.gz`.
fn open_reader(path: &Path, limits: &InputLimits) -> Result<Box<dyn Read>, InputError> {
    let file = File::open(path).map_err(io_error(path))?;
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    let reader: Box<dyn Read> =
        if packed { Box::new(GzDecoder::new(BufReader::new(file))) } else { Box::new(file) };
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

fn invalid_file(path: &Path, reason: &str) -> InputError {
    InputError::InvalidFile { path: path.to_owned(), reason: reason.to_owned() }
}

fn image_error(path: &Path, error: ImageFileError) -> InputError {
    match error {
        ImageFileError::Io(source) => InputError::Io { path: path.to_owned(), source },
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

/// Returns the file name without its extensions.
fn file_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let lower = name.to_ascii_lowercase();
    let images =
        IMAGE_EXTENSIONS.into_iter().filter_map(|extension| lower.strip_suffix(extension)?.strip_suffix('.'));
    let other_suffixes = [".npy", ".csv", ".idx", "-idx3-ubyte", ".idx3-ubyte"].into_iter();
    let stem = images.chain(other_suffixes.filter_map(|suffix| lower.strip_suffix(suffix))).next();
    // Lower case has as many bytes as ASCII letters had before.
    stem.map_or(name, |stem| &name[..stem.len()]).into()
}

fn numbered_name(path: &Path, number: usize) -> String {
    format!("{}-{number:05}", file_stem(path))
}
