//! Reads the files that `edge-encoder send` writes for an image: its reconstruction, and the size of its
//! frame in `report.json`.

use std::{fs, path::Path};

use image::DynamicImage;
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
    frame_bytes: usize,
}

/// Reads the original and its results in `folder`.
pub(crate) fn read_sent(folder: &Path, original: &Path) -> Result<SentImage> {
    let name = original.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let report = folder.join("report.json");
    let text = fs::read(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let SendReport { pictures } =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", report.display()))?;
    let row = pictures.iter().find(|row| row.name == name).ok_or_else(|| {
        format!(
            "{} does not list the image {name:?}: send it with `edge-encoder send` first",
            report.display()
        )
    })?;
    Ok(SentImage {
        original: open_rgb(original)?,
        reconstruction: open_rgb(&folder.join(format!("{name}.png")))?,
        frame_bytes: row.frame_bytes,
        name,
    })
}

fn open_rgb(path: &Path) -> Result<DynamicImage> {
    let image = image::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(image.into_rgb8().into())
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
        let error = error(r#"{"pictures": [{"name": "hill", "frame_bytes": 9}]}"#);
        assert!(error.contains("\"lake\"") && error.contains("edge-encoder"), "{error}");
    }
}
