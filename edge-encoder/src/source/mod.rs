//! Pictures and numbers from files and folders, one after the other.
//!
//! A folder stands for its files in the order of their names, not for its subfolders. PNG, JPEG, WebP and PGM/PPM
//! hold one picture; `.npy` one or many; IDX (`…-idx3-ubyte`) many. The last two are read lazily.

pub mod idx;
mod npy;
pub mod numbers;

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use image::{DynamicImage, ImageReader};

use crate::{EdgeError, error::io};

/// One picture and a name for what is made from it.
#[derive(Debug, Clone)]
pub struct Item {
    /// The file's stem; with the picture's number when the file holds many.
    pub name: String,
    /// The picture as read.
    pub picture: DynamicImage,
}

/// Pictures of one file.
pub type Items = Box<dyn Iterator<Item = Result<Item, EdgeError>>>;

/// What an encoder takes.
#[derive(Debug, Clone)]
pub enum Input {
    /// A picture as read.
    Picture(DynamicImage),
    /// A window or tensor, row-major, in its own units.
    Numbers(Vec<f32>),
}

/// An input and a name for what is made from it.
#[derive(Debug, Clone)]
pub struct Named {
    /// The file's stem; with a number when the file holds many.
    pub name: String,
    /// The input.
    pub input: Input,
}

/// Inputs, one after the other.
pub type Inputs = Box<dyn Iterator<Item = Result<Named, EdgeError>>>;

/// The pictures of these files and folders, as inputs.
///
/// # Errors
/// As [`open`].
pub fn inputs(inputs: &[PathBuf]) -> Result<Inputs, EdgeError> {
    let named = |item: Item| Named { name: item.name, input: Input::Picture(item.picture) };
    Ok(Box::new(open(inputs)?.map(move |item| item.map(named))))
}

/// The pictures of these files and folders.
///
/// # Errors
/// [`EdgeError::Io`] for a path that cannot be listed, [`EdgeError::NoPictures`] when there is nothing to read.
/// What is wrong with one file comes with that file's item.
pub fn open(inputs: &[PathBuf]) -> Result<Items, EdgeError> {
    let files = files(inputs, is_picture)?;
    if files.is_empty() {
        return Err(EdgeError::NoPictures { paths: joined(inputs) });
    }
    Ok(Box::new(
        files
            .into_iter()
            .flat_map(|file| read(&file).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))),
    ))
}

enum Kind {
    Picture,
    Npy,
    Idx,
}

/// Whether a file holds pictures, by its name.
pub(crate) fn is_picture(path: &Path) -> bool {
    kind_of(path).is_some()
}

/// What a file is, by its name.
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

/// The files named, and those in the folders named that `fit`.
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

/// The file's bytes, decompressed when its name ends in `.gz`.
pub(crate) fn reader(path: &Path) -> Result<Box<dyn Read>, EdgeError> {
    let file = BufReader::new(File::open(path).map_err(io(path))?);
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if packed { Box::new(BufReader::new(GzDecoder::new(file))) } else { Box::new(file) })
}

fn wrong(path: &Path, reason: &str) -> EdgeError {
    EdgeError::File { path: path.to_owned(), reason: reason.to_owned() }
}

/// The file's name without its endings.
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
