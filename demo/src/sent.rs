//! Reads the files that `edge-encoder send` writes for an image: its reconstruction, and the size of its
//! frame in `report.json`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::DynamicImage;
use lopside_input::{ImagePolicy, read_image_file};
use serde::Deserialize;

use crate::Result;

/// A photograph and its reconstruction.
pub(crate) struct SentImage {
    pub(crate) name: String,
    pub(crate) original: DynamicImage,
    pub(crate) reconstruction: DynamicImage,
    pub(crate) frame_bytes: usize,
}

#[derive(Deserialize)]
struct SendReport {
    pictures: Vec<ReportedImage>,
}

#[derive(Deserialize)]
struct ReportedImage {
    name: String,
    /// The file as it was given to `edge-encoder send`.
    file: PathBuf,
    frame_bytes: usize,
}

/// Reads the original and its results in `folder`.
pub(crate) fn read_sent(folder: &Path, original: &Path) -> Result<SentImage> {
    let report = folder.join("report.json");
    let text = fs::read(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let SendReport { pictures } =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", report.display()))?;
    let row = pictures.into_iter().find(|row| is_same_file(&row.file, original)).ok_or_else(|| {
        format!(
            "{} does not list the image {:?}: send it with `edge-encoder send` first",
            report.display(),
            original.display().to_string()
        )
    })?;
    Ok(SentImage {
        original: read_rgb(original)?,
        reconstruction: read_rgb(&folder.join(format!("{}.png", row.name)))?,
        frame_bytes: row.frame_bytes,
        name: row.name,
    })
}

/// Returns whether two paths lead to one file. The report has the path as text.
fn is_same_file(reported: &Path, original: &Path) -> bool {
    let is_same = |left: PathBuf| original.canonicalize().is_ok_and(|right| left == right);
    reported == original || reported.canonicalize().is_ok_and(is_same)
}

/// Reads an image as the encoder sees it.
fn read_rgb(path: &Path) -> Result<DynamicImage> {
    let read = read_image_file(path, &ImagePolicy::default());
    let read = read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(read.image.into_rgb8().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_was_not_sent_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("lake.png");
        let error = |text: &str| {
            fs::write(folder.path().join("report.json"), text).unwrap();
            read_sent(folder.path(), &original).err().unwrap()
        };
        assert!(error("{}").contains("report.json"));
        let error = error(r#"{"pictures": [{"name": "hill", "file": "hill.png", "frame_bytes": 9}]}"#);
        assert!(error.contains("lake.png\"") && error.contains("edge-encoder"), "{error}");
    }

    #[test]
    fn an_image_is_found_by_its_file_and_not_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let original = folder.path().join("lake.jpg.png");
        let save =
            |path: &Path, sample| image::RgbImage::from_pixel(2, 2, image::Rgb([sample; 3])).save(path);
        save(&original, 9).unwrap();
        save(&folder.path().join("lake.jpg.png.png"), 8).unwrap();
        let row = |name: &str, file: &Path, frame_bytes: usize| serde_json::json!({ "name": name, "file": file, "frame_bytes": frame_bytes });
        let rows = [row("lake", Path::new("lake.png"), 1), row("lake.jpg.png", &original, 7)];
        let report = serde_json::json!({ "pictures": rows }).to_string();
        fs::write(folder.path().join("report.json"), report).unwrap();
        let sent = read_sent(folder.path(), &original).unwrap();
        assert_eq!((&sent.name[..], sent.frame_bytes), ("lake.jpg.png", 7));
        let samples = [&sent.original, &sent.reconstruction].map(|image| image.to_rgb8().into_raw()[0]);
        assert_eq!(samples, [9, 8]);
    }
}
