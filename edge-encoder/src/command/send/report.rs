//! The report of `send`: cost and result per input, their mean, the table and the JSON.

use std::fmt::Write as _;

use lopside_telemetry::printable::escape;
use serde::Serialize;

use crate::command::batch::BatchReport;

/// One input over the whole path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct InputRow {
    /// The name of the input.
    pub(super) name: String,
    /// The file of the input; absent from the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Size of the encoder's input in bytes: one byte per sample of an image, four bytes per number.
    pub(super) raw_bytes: u64,
    /// Size of the frame in bytes.
    pub(super) frame_bytes: u64,
    /// Bytes that the request sent over TCP: frame, gRPC and HTTP/2.
    pub(super) wire_bytes: u64,
    /// Time to encode the input at the edge.
    pub(super) edge_ms: f64,
    /// Time between request and response.
    pub(super) round_trip_ms: f64,
    /// Figures of images that were reconstructed.
    #[serde(flatten)]
    pub(super) picture: Option<ImageResult>,
    /// Additional figures of image codecs.
    #[serde(flatten)]
    pub(super) photo: Option<ImageSizeResult>,
    /// Figures of numbers that were reconstructed.
    #[serde(flatten)]
    pub(super) numbers: Option<NumbersResult>,
    /// Result of a classification head; absent from the mean.
    #[serde(flatten)]
    pub(super) class: Option<ClassResult>,
    /// Result of a scoring head.
    #[serde(flatten)]
    pub(super) anomaly: Option<AnomalyResult>,
}

/// Quality of a reconstructed image, compared with other codecs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct ImageResult {
    /// Size of the same image as PNG, in bytes.
    pub(super) png_bytes: u64,
    /// Size of the same image as the smallest JPEG that reaches this PSNR, or as the smallest possible JPEG
    /// if even quality 1 is better, in bytes.
    pub(super) jpeg_bytes: u64,
    /// PSNR of that JPEG, in dB.
    pub(super) jpeg_psnr_db: f64,
    /// PSNR of the reconstruction on 8-bit samples, in dB.
    pub(super) psnr_db: f64,
}

/// Figures that a [`InputRow`] has only for images of any size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct ImageSizeResult {
    /// Width in pixels; for a mean, rounded.
    pub(super) width: u32,
    /// Height in pixels; for a mean, rounded.
    pub(super) height: u32,
    /// Bits of the frame per pixel.
    pub(super) bits_per_pixel: f64,
}

/// Quality of reconstructed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct NumbersResult {
    /// Root of the mean squared error, in the units of the numbers.
    pub(super) rmse: f64,
}

/// The most probable class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct ClassResult {
    /// The label of the class.
    pub(super) class: String,
    /// The probability of the class, 0 to 1.
    pub(super) probability: f64,
}

/// The result of a scoring head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct AnomalyResult {
    /// The anomaly score; larger is more unusual.
    pub(super) score: f64,
    /// The share of normal samples with a lower score, 0 to 1.
    pub(super) quantile: f64,
    /// The verdict, 1 for anomalous or 0; for a mean, the share.
    pub(super) anomalous: f64,
}

/// The rows and their mean, and the inputs without a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SendReport {
    /// The name of the bundle.
    pub(super) bundle: String,
    /// The identifier of the latent space.
    pub(super) latent_space: String,
    /// The inputs, in the order in which they were sent.
    pub(super) pictures: Vec<InputRow>,
    /// Means over the inputs; bytes are rounded. `null` if no input was processed.
    pub(super) mean: Option<InputRow>,
    #[serde(flatten)]
    pub(super) batch: BatchReport,
}

impl SendReport {
    /// Creates a report.
    #[must_use]
    pub(super) fn new(bundle: &str, latent_space: &str, rows: Vec<InputRow>, batch: BatchReport) -> Self {
        let mean = (!rows.is_empty()).then(|| mean_row(&rows));
        let (bundle, latent_space) = (bundle.to_owned(), latent_space.to_owned());
        Self { bundle, latent_space, pictures: rows, mean, batch }
    }

    /// Formats the table for people.
    #[must_use]
    pub(super) fn table(&self) -> String {
        let Some(mean) = &self.mean else { return "no input was decoded\n".into() };
        let lines: Vec<&InputRow> = self.pictures.iter().chain([mean]).collect();
        let columns: Vec<&Column> =
            COLUMNS.iter().filter(|column| lines.iter().any(|row| (column.1)(row).is_some())).collect();
        let mut rows = vec![columns.iter().map(|column| column.0.to_owned()).collect::<Vec<_>>()];
        for row in &lines {
            let cells = columns.iter().map(|column| (column.1)(row).unwrap_or_default());
            rows.push(cells.map(|cell| escape(&cell).into_owned()).collect());
        }
        let widths: Vec<usize> = (0..columns.len())
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
        let notes = [(mean.picture.is_some(), IMAGES_NOTE), (mean.numbers.is_some(), NUMBERS_NOTE)];
        notes.into_iter().filter(|(is_shown, _)| *is_shown).for_each(|(_, note)| text.push_str(note));
        text.push_str(WIRE_NOTE);
        text
    }
}

/// The heading of a column, and the function that formats its cell; `None` leaves the cell empty.
type Column = (&'static str, fn(&InputRow) -> Option<String>);

const COLUMNS: [Column; 17] = [
    ("input", |row| Some(row.name.clone())),
    ("raw B", |row| Some(row.raw_bytes.to_string())),
    ("PNG B", |row| row.picture.map(|image| image.png_bytes.to_string())),
    ("JPEG B", |row| row.picture.map(|image| image.jpeg_bytes.to_string())),
    ("JPEG dB", |row| row.picture.map(|image| format!("{:.2}", image.jpeg_psnr_db))),
    ("frame B", |row| Some(row.frame_bytes.to_string())),
    ("wire B", |row| Some(row.wire_bytes.to_string())),
    ("PSNR dB", |row| row.picture.map(|image| format!("{:.2}", image.psnr_db))),
    ("RMSE", |row| row.numbers.map(|numbers| format!("{:.4}", numbers.rmse))),
    ("class", |row| row.class.as_ref().map(|class| class.class.clone())),
    ("prob", |row| row.class.as_ref().map(|class| format!("{:.2}", class.probability))),
    ("score", |row| row.anomaly.map(|anomaly| format!("{:.2}", anomaly.score))),
    ("quantile", |row| row.anomaly.map(|anomaly| format!("{:.3}", anomaly.quantile))),
    ("anomalous", |row| row.anomaly.map(|anomaly| format_verdict(anomaly.anomalous))),
    ("edge ms", |row| Some(format!("{:.3}", row.edge_ms))),
    ("trip ms", |row| Some(format!("{:.2}", row.round_trip_ms))),
    ("bpp", |row| row.photo.map(|photo| format!("{:.3}", photo.bits_per_pixel))),
];
const IMAGES_NOTE: &str = "JPEG: the smallest file with at least our PSNR, or the smallest possible file. ";
const NUMBERS_NOTE: &str = "raw: 4 bytes per number. ";
const WIRE_NOTE: &str = "wire: the request over TCP, including gRPC and HTTP/2.\n";

/// Formats the verdict as yes or no, or the share of a mean.
fn format_verdict(anomalous: f64) -> String {
    match anomalous {
        0.0 => "no".into(),
        1.0 => "yes".into(),
        share => format!("{:.0} %", 100.0 * share),
    }
}

/// Aligns names to the left and numbers to the right.
fn align(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(i, (cell, &width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
        .collect();
    cells.join("  ")
}

fn mean_row(rows: &[InputRow]) -> InputRow {
    InputRow {
        name: "mean".to_owned(),
        file: None,
        raw_bytes: mean_bytes(rows, |row| row.raw_bytes),
        frame_bytes: mean_bytes(rows, |row| row.frame_bytes),
        wire_bytes: mean_bytes(rows, |row| row.wire_bytes),
        edge_ms: average(rows.iter().map(|row| row.edge_ms)),
        round_trip_ms: average(rows.iter().map(|row| row.round_trip_ms)),
        picture: mean_figures(
            rows,
            |row| row.picture,
            |mean_of| ImageResult {
                png_bytes: mean_of(|image| image.png_bytes as f64).round() as u64,
                jpeg_bytes: mean_of(|image| image.jpeg_bytes as f64).round() as u64,
                jpeg_psnr_db: mean_of(|image| image.jpeg_psnr_db),
                psnr_db: mean_of(|image| image.psnr_db),
            },
        ),
        photo: mean_figures(
            rows,
            |row| row.photo,
            |mean_of| ImageSizeResult {
                width: mean_of(|photo| photo.width.into()).round() as u32,
                height: mean_of(|photo| photo.height.into()).round() as u32,
                bits_per_pixel: mean_of(|photo| photo.bits_per_pixel),
            },
        ),
        numbers: mean_figures(
            rows,
            |row| row.numbers,
            |mean_of| NumbersResult { rmse: mean_of(|numbers| numbers.rmse) },
        ),
        class: None,
        anomaly: mean_figures(
            rows,
            |row| row.anomaly,
            |mean_of| AnomalyResult {
                score: mean_of(|anomaly| anomaly.score),
                quantile: mean_of(|anomaly| anomaly.quantile),
                anomalous: mean_of(|anomaly| anomaly.anomalous),
            },
        ),
    }
}

/// Returns the mean of a group of figures over the rows that have it; `build` receives a function that
/// averages one figure.
fn mean_figures<T>(
    rows: &[InputRow],
    group: fn(&InputRow) -> Option<T>,
    build: impl FnOnce(&dyn Fn(fn(&T) -> f64) -> f64) -> T,
) -> Option<T> {
    let groups: Vec<T> = rows.iter().filter_map(group).collect();
    (!groups.is_empty()).then(|| build(&|figure| average(groups.iter().map(figure))))
}

fn mean_bytes(rows: &[InputRow], value: fn(&InputRow) -> u64) -> u64 {
    average(rows.iter().map(|row| value(row) as f64)).round() as u64
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, frame_bytes: u64, psnr_db: f64) -> InputRow {
        InputRow {
            name: name.into(),
            file: Some(format!("{name}.png")),
            raw_bytes: 784,
            frame_bytes,
            wire_bytes: 90,
            edge_ms: 0.1,
            round_trip_ms: 2.0,
            picture: Some(ImageResult { png_bytes: 400, jpeg_bytes: 330, jpeg_psnr_db: 21.0, psnr_db }),
            photo: None,
            numbers: None,
            class: None,
            anomaly: None,
        }
    }

    fn report_of(bundle: &str, rows: Vec<InputRow>) -> SendReport {
        SendReport::new(bundle, "0123456789abcdef", rows, BatchReport::default())
    }

    #[test]
    fn a_report_without_rows_has_no_mean() {
        let report = report_of("fashion", Vec::new());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["mean"], &json["failed"]), (&serde_json::Value::Null, &serde_json::json!([])));
        assert_eq!(report.table(), "no input was decoded\n");
    }

    #[test]
    fn the_table_has_one_line_per_input_and_the_mean() {
        let report = report_of("fashion", vec![row("a", 26, 20.0), row("boot", 29, 22.0)]);
        let mean = report.mean.as_ref().unwrap();
        assert_eq!((mean.frame_bytes, mean.picture.unwrap().psnr_db), (28, 21.0));
        let table = report.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7);
        assert!(lines[3].starts_with("boot") && lines[3].contains(" 29 ") && lines[3].contains("22.00"));
        assert!(lines[5].starts_with("mean") && lines[5].contains("21.00"));
        let widths: Vec<usize> = lines[..6].iter().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{widths:?}");
    }

    #[test]
    fn only_columns_with_figures_are_shown() {
        let row = |name: &str, rmse, anomalous| InputRow {
            picture: None,
            numbers: Some(NumbersResult { rmse }),
            anomaly: Some(AnomalyResult { score: 2.0, quantile: 0.5, anomalous }),
            ..row(name, 26, 0.0)
        };
        let report = report_of("pump", vec![row("a", 0.25, 0.0), row("b", 0.75, 1.0)]);
        let table = report.table();
        assert!(table.contains("RMSE") && !table.contains("JPEG") && !table.contains("class"), "{table}");
        assert!(table.contains(" 0.5000") && table.contains("yes") && table.contains("50 %"), "{table}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["mean"]["rmse"], &json["mean"]["anomalous"]), (&0.5.into(), &0.5.into()));
    }

    #[test]
    fn only_image_codecs_report_bits_per_pixel() {
        let report = report_of("fashion", vec![row("a", 26, 20.0)]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["mean"].as_object().unwrap().len(), 10);
        let photo = |width| Some(ImageSizeResult { width, height: 10, bits_per_pixel: 0.5 });
        let rows = [20, 31].map(|width| InputRow { photo: photo(width), ..row("a", 26, 20.0) });
        let report = report_of("photo", rows.to_vec());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["pictures"][1]["width"], &json["mean"]["width"]), (&31.into(), &26.into()));
        let table = report.table();
        assert!(table.lines().next().unwrap().ends_with("bpp") && table.contains(" 0.500"), "{table}");
    }
}
