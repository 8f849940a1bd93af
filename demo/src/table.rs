//! The figures as a table for people or as lines of JSON for programs.

use lopside_quality::group_digits;

use crate::{Result, comparison::CodecRow};

const NOTE: &str =
    "JPEG and WebP: the highest quality at which the file is not larger than the Lopside frame.\n";

/// Formats one JSON object per line.
pub(crate) fn format_json(rows: &[CodecRow]) -> Result<String> {
    rows.iter()
        .map(|row| serde_json::to_string(row).map(|line| line + "\n").map_err(|error| error.to_string()))
        .collect()
}

/// Formats one line per file, with a separator before each photograph.
pub(crate) fn format_table(rows: &[CodecRow]) -> String {
    let mut text = line("picture", "codec", ["bytes", "bpp", "PSNR dB"]);
    let mut last = "";
    for row in rows {
        if row.picture != last {
            text += &line(&"─".repeat(12), &"─".repeat(14), [&"─".repeat(8), &"─".repeat(6), &"─".repeat(7)]);
            last = &row.picture;
        }
        let [bpp, psnr] = [format!("{:.3}", row.bits_per_pixel), format!("{:.2}", row.psnr_db)];
        text += &line(&row.picture, &row.codec, [&group_digits(row.bytes as u64), &bpp, &psnr]);
    }
    text + NOTE
}

fn line(image: &str, codec: &str, [bytes, bpp, psnr]: [&str; 3]) -> String {
    format!("{image:<12}  {codec:<14}  {bytes:>8}  {bpp:>6}  {psnr:>7}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<CodecRow> {
        let row = |picture: &str, codec: &str, bytes, psnr_db| CodecRow {
            picture: picture.into(),
            codec: codec.into(),
            bytes,
            bits_per_pixel: 0.25,
            psnr_db,
        };
        vec![
            row("lake", "Lopside", 9310, 31.25),
            row("lake", "JPEG 4:2:0", 9204, 28.5),
            row("hill", "x", 7, 9.0),
        ]
    }

    #[test]
    fn the_table_has_one_line_per_file() {
        let text = format_table(&rows());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 1 + 2 + 1 + 1 + 1);
        assert!(lines[2].starts_with("lake") && lines[2].contains("9,310") && lines[2].ends_with("31.25"));
        let widths: Vec<usize> = lines[..6].iter().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{widths:?}");
    }

    #[test]
    fn a_line_of_json_has_the_figures() {
        let text = format_json(&rows()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (lines.len(), &lines[1]["codec"], &lines[1]["bytes"]),
            (3, &"JPEG 4:2:0".into(), &9204.into())
        );
    }
}
