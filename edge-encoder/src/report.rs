//! What one picture cost and how it came back: rows, their mean, the table and the JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// One picture through the whole path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The picture's name.
    pub name: String,
    /// Samples of the encoder's input, one byte each.
    pub raw_bytes: u64,
    /// The same picture as PNG.
    pub png_bytes: u64,
    /// The same picture as the smallest JPEG that reaches this PSNR, or JPEG's smallest size when even quality 1
    /// is better.
    pub jpeg_bytes: u64,
    /// The PSNR of that JPEG, in dB.
    pub jpeg_psnr_db: f64,
    /// The frame.
    pub frame_bytes: u64,
    /// What the request sent over TCP: frame, gRPC and HTTP/2.
    pub wire_bytes: u64,
    /// Reconstruction against input on 8-bit samples, in dB.
    pub psnr_db: f64,
    /// Picture to frame at the edge.
    pub edge_ms: f64,
    /// Request to answer.
    pub round_trip_ms: f64,
    /// What photo models have beside.
    #[serde(flatten)]
    pub photo: Option<Photo>,
}

/// What pictures of any size have beside the rest of a [`Row`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Photo {
    /// Pixels a row; of a mean, rounded.
    pub width: u32,
    /// Rows; of a mean, rounded.
    pub height: u32,
    /// Bits of the frame a pixel.
    pub bits_per_pixel: f64,
}

/// The rows and their mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The bundle's name.
    pub bundle: String,
    /// The latent space's name.
    pub latent_space: String,
    /// The pictures, in the order they were sent.
    pub pictures: Vec<Row>,
    /// Means over the pictures; bytes are rounded.
    pub mean: Row,
}

impl Report {
    /// A report of at least one row.
    #[must_use]
    pub fn new(bundle: &str, latent_space: &str, pictures: Vec<Row>) -> Self {
        let mean = mean(&pictures);
        Self { bundle: bundle.to_owned(), latent_space: latent_space.to_owned(), pictures, mean }
    }

    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![headings(self.mean.photo.is_some())];
        rows.extend(self.pictures.iter().chain([&self.mean]).map(cells));
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for (i, row) in rows.iter().enumerate() {
            if i == 1 || i + 1 == rows.len() {
                let line: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
                let _ = writeln!(text, "{}", line.join("  "));
            }
            let _ = writeln!(text, "{}", align(row, &widths));
        }
        text.push_str(NOTE);
        text
    }
}

const HEADINGS: [&str; 10] =
    ["picture", "raw B", "PNG B", "JPEG B", "JPEG dB", "frame B", "wire B", "PSNR dB", "edge ms", "trip ms"];
const NOTE: &str = "JPEG: the smallest at our PSNR, or its smallest of all. wire: the request over TCP with gRPC and \
HTTP/2.\n";

fn headings(photo: bool) -> Vec<String> {
    HEADINGS.iter().chain(photo.then_some(&"bpp")).map(|&heading| heading.to_owned()).collect()
}

fn cells(row: &Row) -> Vec<String> {
    let mut cells = vec![
        row.name.clone(),
        row.raw_bytes.to_string(),
        row.png_bytes.to_string(),
        row.jpeg_bytes.to_string(),
        format!("{:.2}", row.jpeg_psnr_db),
        row.frame_bytes.to_string(),
        row.wire_bytes.to_string(),
        format!("{:.2}", row.psnr_db),
        format!("{:.3}", row.edge_ms),
        format!("{:.2}", row.round_trip_ms),
    ];
    cells.extend(row.photo.map(|photo| format!("{:.3}", photo.bits_per_pixel)));
    cells
}

/// Names to the left, numbers to the right.
fn align(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (cell, &width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
        .collect();
    cells.join("  ")
}

fn mean(rows: &[Row]) -> Row {
    let count = rows.len().max(1) as f64;
    let of = |value: fn(&Row) -> f64| rows.iter().map(value).sum::<f64>() / count;
    let bytes = |value: fn(&Row) -> u64| {
        let sum: u64 = rows.iter().map(value).sum();
        (sum as f64 / count).round() as u64
    };
    Row {
        name: "mean".to_owned(),
        raw_bytes: bytes(|row| row.raw_bytes),
        png_bytes: bytes(|row| row.png_bytes),
        jpeg_bytes: bytes(|row| row.jpeg_bytes),
        jpeg_psnr_db: of(|row| row.jpeg_psnr_db),
        frame_bytes: bytes(|row| row.frame_bytes),
        wire_bytes: bytes(|row| row.wire_bytes),
        psnr_db: of(|row| row.psnr_db),
        edge_ms: of(|row| row.edge_ms),
        round_trip_ms: of(|row| row.round_trip_ms),
        photo: mean_photo(rows),
    }
}

fn mean_photo(rows: &[Row]) -> Option<Photo> {
    let photos: Vec<Photo> = rows.iter().filter_map(|row| row.photo).collect();
    let count = photos.len() as f64;
    let of = |value: fn(&Photo) -> f64| photos.iter().map(value).sum::<f64>() / count;
    (!photos.is_empty()).then(|| Photo {
        width: of(|photo| photo.width.into()).round() as u32,
        height: of(|photo| photo.height.into()).round() as u32,
        bits_per_pixel: of(|photo| photo.bits_per_pixel),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, frame_bytes: u64, psnr_db: f64) -> Row {
        Row {
            name: name.into(),
            raw_bytes: 784,
            png_bytes: 400,
            jpeg_bytes: 330,
            jpeg_psnr_db: 21.0,
            frame_bytes,
            wire_bytes: 90,
            psnr_db,
            edge_ms: 0.1,
            round_trip_ms: 2.0,
            photo: None,
        }
    }

    #[test]
    fn the_table_has_a_line_a_picture_and_the_mean() {
        let report =
            Report::new("fashion", "0123456789abcdef", vec![row("a", 26, 20.0), row("boot", 29, 22.0)]);
        assert_eq!((report.mean.frame_bytes, report.mean.psnr_db), (28, 21.0));
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[3].starts_with("boot") && lines[3].contains(" 29 ") && lines[3].contains("22.00"));
        assert!(lines[5].starts_with("mean") && lines[5].contains("21.00"));
        let widths: Vec<usize> = lines[..6].iter().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{widths:?}");
    }

    #[test]
    fn only_photographs_have_bits_a_pixel() {
        let report = Report::new("fashion", "0", vec![row("a", 26, 20.0)]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["mean"].as_object().unwrap().len(), 10);
        let photo = |width| Some(Photo { width, height: 10, bits_per_pixel: 0.5 });
        let rows = [20, 31].map(|width| Row { photo: photo(width), ..row("a", 26, 20.0) });
        let report = Report::new("photo", "0", rows.to_vec());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["pictures"][1]["width"], &json["mean"]["width"]), (&31.into(), &26.into()));
        let table = report.table();
        assert!(table.lines().next().unwrap().ends_with("bpp") && table.contains(" 0.500"), "{table}");
    }
}
