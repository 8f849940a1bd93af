//! Images and numbers from files and folders, one after the other.
//!
//! A folder stands for its files in the order of their names, without its subfolders. PNG, JPEG, WebP and
//! PGM/PPM files contain one image, `.npy` files one or many, and IDX files (`…-idx3-ubyte`) many. Files are
//! opened only when their first image is requested, and the images of an IDX file are read one by one.

pub mod idx;
mod npy;
pub mod numbers;
mod output_names;

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use image::{DynamicImage, ImageReader};

use crate::{EdgeError, error::io};

pub(crate) use output_names::check_output_names;

/// An image with a name for its outputs.
#[derive(Debug, Clone)]
pub struct Item {
    /// The stem of the file name, with the number of the image if the file contains many.
    pub name: String,
    /// The image as read.
    pub picture: DynamicImage,
}

/// The images of files, one after the other.
pub type Items = Box<dyn Iterator<Item = Result<Item, EdgeError>>>;

/// The input of an encoder.
#[derive(Debug, Clone)]
pub enum Input {
    /// An image as read.
    Picture(DynamicImage),
    /// A window or tensor, row-major, in its own units.
    Numbers(Vec<f32>),
}

/// An input with a name for its outputs.
#[derive(Debug, Clone)]
pub struct Named {
    /// The stem of the file name, with a number if the file contains many inputs.
    pub name: String,
    /// The input.
    pub input: Input,
}

/// The inputs of files, one after the other.
pub type Inputs = Box<dyn Iterator<Item = Result<Named, EdgeError>>>;

/// Returns the images of these files and folders as inputs.
///
/// # Errors
/// As [`open`].
pub fn inputs(inputs: &[PathBuf]) -> Result<Inputs, EdgeError> {
    let named = |item: Item| Named { name: item.name, input: Input::Picture(item.picture) };
    Ok(Box::new(open(inputs)?.map(move |item| item.map(named))))
}

/// Returns the images of these files and folders.
///
/// # Errors
/// [`EdgeError::Io`] for a path that cannot be listed, [`EdgeError::NoPictures`] if there are no files to
/// read. The error of a single file is returned as an item of that file.
pub fn open(inputs: &[PathBuf]) -> Result<Items, EdgeError> {
    let files = files(inputs, is_picture)?;
    if files.is_empty() {
        return Err(EdgeError::NoPictures { paths: joined(inputs) });
    }
    Ok(Box::new(
        files
            .into_iter()
            .flat_map(|file| read_file(&file).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))),
    ))
}

/// The reason why a file without a single input is refused.
const NO_INPUTS: &str = "the file contains no inputs: its array or table is empty";

enum Kind {
    Picture,
    Npy,
    Idx,
}

/// Returns whether a file contains images, judged by its name.
pub(crate) fn is_picture(path: &Path) -> bool {
    kind_of(path).is_some()
}

/// Returns whether a file of images contains many, whose names are numbered.
fn is_container(path: &Path) -> bool {
    matches!(kind_of(path), Some(Kind::Npy | Kind::Idx)) || numbers::is_numbers(path)
}

/// Returns the kind of a file, judged by its name.
fn kind_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    if ends(&[".png", ".jpg", ".jpeg", ".webp", ".pgm", ".ppm", ".pnm"]) {
        Some(Kind::Picture)
    } else if ends(&[".npy"]) {
        Some(Kind::Npy)
    } else if ends(&["-idx3-ubyte", ".idx3-ubyte", ".idx"]) {
        Some(Kind::Idx)
    } else {
        None
    }
}

/// Returns the files of these files and folders, in the order in which they are read.
pub(crate) fn list(inputs: &[PathBuf], takes_numbers: bool) -> Result<Vec<PathBuf>, EdgeError> {
    files(inputs, if takes_numbers { numbers::is_numbers } else { is_picture })
}

/// Returns the given files, and those files in the given folders that `fit`.
fn files(inputs: &[PathBuf], fit: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, EdgeError> {
    let mut files = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            files.push(input.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(input).map_err(io(input))? {
            let path = entry.map_err(io(input))?.path();
            if path.is_file() && fit(&path) {
                inside.push(path);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn joined(inputs: &[PathBuf]) -> String {
    let paths: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// Reads the images of a file; one that contains none is an error.
fn read_file(path: &Path) -> Result<Items, EdgeError> {
    let mut items = read(path)?.peekable();
    if items.peek().is_none() {
        return Err(wrong(path, NO_INPUTS));
    }
    Ok(Box::new(items))
}

fn read(path: &Path) -> Result<Items, EdgeError> {
    match kind_of(path) {
        Some(Kind::Picture) => Ok(Box::new(std::iter::once(read_picture(path)))),
        Some(Kind::Npy) => npy::read(path, reader(path)?),
        Some(Kind::Idx) => idx::read(path, reader(path)?),
        None => Err(wrong(
            path,
            "the file's name does not end in .png, .jpg, .webp, .pgm, .ppm, .npy or -idx3-ubyte",
        )),
    }
}

fn read_picture(path: &Path) -> Result<Item, EdgeError> {
    let picture = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(io(path))?
        .decode()
        .map_err(|error| wrong(path, &error.to_string()))?;
    Ok(Item { name: stem(path), picture })
}

/// Opens a file; decompresses it if its name ends in `.gz`.
pub(crate) fn reader(path: &Path) -> Result<Box<dyn Read>, EdgeError> {
    let file = BufReader::new(File::open(path).map_err(io(path))?);
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if packed { Box::new(BufReader::new(GzDecoder::new(file))) } else { Box::new(file) })
}

fn wrong(path: &Path, reason: &str) -> EdgeError {
    EdgeError::File { path: path.to_owned(), reason: reason.to_owned() }
}

/// Returns the file name without its extensions.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let cut = [
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".pgm",
        ".ppm",
        ".pnm",
        ".npy",
        ".csv",
        ".idx",
        "-idx3-ubyte",
        ".idx3-ubyte",
    ];
    let lower = name.to_ascii_lowercase();
    cut.iter()
        .find(|ending| lower.ends_with(**ending))
        .map_or(name, |ending| &name[..name.len() - ending.len()])
        .into()
}

fn numbered(path: &Path, number: usize) -> String {
    format!("{}-{number:05}", stem(path))
}
