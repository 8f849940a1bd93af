//! The table in the README.

use std::{collections::BTreeMap, fmt::Write as _};

use lopside_quality::group_digits;
use training::evaluate::{AnomalyFigures, Evaluation, ImageFigures};

use super::{
    record::{MethodFigures, RowRecord},
    row::{Figure, TheoryRow},
};

/// The two lines of the README between which the table stands.
const MARKS: [&str; 2] = ["<!-- theory -->\n", "<!-- /theory -->\n"];

/// Formats the rows that have figures.
pub(super) fn render_table(rows: &[TheoryRow], records: &BTreeMap<String, RowRecord>) -> String {
    let mut text = String::from(
        "| statement of the theory | command (after `cargo run --release -p training --`) | MAC: encoder, decoder | figure | \
         baseline |\n|---|---|---|---|---|\n",
    );
    for (row, record) in rows.iter().filter_map(|row| Some((row, records.get(&row.id)?))) {
        let cells = [
            row.theory.clone(),
            format!("`{}`", record.command),
            format_cost(record),
            format_figure(row.figure, record),
            format_baselines(row, record, records),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Returns the text with another table between the marks; `None` if the marks are missing.
pub(super) fn replace_table(readme: &str, table: &str) -> Option<String> {
    let [start, end] = MARKS;
    let (before, rest) = readme.split_once(start)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{start}{table}{end}{after}"))
}

fn format_cost(record: &RowRecord) -> String {
    let evaluation = &record.runs[0].evaluation;
    format!("{}, {}", group_digits(evaluation.encoder.macs), group_digits(evaluation.decoder.macs))
}

fn format_figure(kind: Figure, record: &RowRecord) -> String {
    let evaluation = &record.runs[0].evaluation;
    let frame_size = format!("through frames of {:.1} bytes", evaluation.frame.mean);
    let mse = evaluation.reconstruction.mse_frames;
    match kind {
        Figure::Reconstruction => format!("test MSE {mse:.5} {frame_size}"),
        Figure::Enlarged => {
            let psnr = evaluation.reconstruction.picture.map_or(f64::NAN, |image| image.psnr_frames_db);
            format!("{psnr:.2} dB {frame_size}")
        }
        Figure::Classes => {
            let accuracy = 100.0 * evaluation.accuracy.unwrap_or(f64::NAN);
            format!("accuracy {accuracy:.2} %, test MSE {mse:.5} {frame_size}")
        }
        Figure::Layers => format_layers(evaluation),
        Figure::Zeros => {
            format!("{:.1} % of the integers are 0, test MSE {mse:.5} {frame_size}", 100.0 * evaluation.zeros)
        }
        Figure::Gradient => {
            format!(
                "gradient norm at the encoder in epoch 1: {:.2e}, test MSE {mse:.5}",
                first_gradient(record)
            )
        }
        Figure::OneClass => {
            let figures: Vec<&AnomalyFigures> =
                record.runs.iter().filter_map(|run| run.evaluation.anomaly.as_ref()).collect();
            format_one_class(&figures)
        }
        Figure::Series => {
            evaluation.anomaly.as_ref().map(format_series).unwrap_or_default() + ", " + &frame_size
        }
    }
}

fn format_layers(evaluation: &Evaluation) -> String {
    let fewer = evaluation.fewer_layers.iter().map(|figures| {
        format_layer_figures(
            &name_layers(figures.layers),
            figures.frame_bytes,
            figures.mse_frames,
            figures.accuracy,
        )
    });
    let mse = evaluation.reconstruction.mse_frames;
    let complete = format_layer_figures("all layers", evaluation.frame.mean, mse, evaluation.accuracy);
    fewer.chain([complete]).collect::<Vec<_>>().join("; ")
}

fn name_layers(layers: usize) -> String {
    if layers == 1 { "base layer".into() } else { format!("first {layers} layers") }
}

fn format_layer_figures(name: &str, bytes: f64, mse: f64, accuracy: Option<f64>) -> String {
    let accuracy_text =
        accuracy.map(|fraction| format!(", accuracy {:.2} %", 100.0 * fraction)).unwrap_or_default();
    format!("{name}: {bytes:.1} bytes, test MSE {mse:.5}{accuracy_text}")
}

fn first_gradient(record: &RowRecord) -> f64 {
    record.runs[0].epochs.first().map_or(f64::NAN, |epoch| epoch.encoder_gradient)
}

/// Formats the means over the classes.
fn format_one_class(figures: &[&AnomalyFigures]) -> String {
    let parts = figures.first().map(|first| first.parts.iter().enumerate()).into_iter().flatten();
    let parts: Vec<String> = parts
        .map(|(index, part)| {
            format!("{} {:.1}", part.name, mean_percent(figures, |class| class.parts[index].auroc))
        })
        .collect();
    format!(
        "mean AUROC {:.1} with the input, {:.1} from the frame alone; parts: {}",
        mean_percent(figures, |class| class.with_input.auroc),
        mean_percent(figures, |class| class.frame_alone.auroc),
        parts.join(", ")
    )
}

/// Returns the mean of one figure over the classes, in percent.
fn mean_percent(figures: &[&AnomalyFigures], figure: impl Fn(&AnomalyFigures) -> f64) -> f64 {
    100.0 * figures.iter().copied().map(figure).sum::<f64>() / figures.len() as f64
}

fn format_series(figures: &AnomalyFigures) -> String {
    let (with_input, frame_alone) = (&figures.with_input, &figures.frame_alone);
    format!(
        "AUROC {}, {}",
        format_area("with the input", with_input.auroc, with_input.point_auroc),
        format_area("from the frame alone", frame_alone.auroc, frame_alone.point_auroc)
    )
}

/// Formats the AUROC of windows or rows, and that of points.
fn format_area(name: &str, area: f64, points: Option<f64>) -> String {
    let points = points.map(|area| format!(" (points {area:.3})")).unwrap_or_default();
    format!("{area:.3}{points} {name}")
}

fn format_baselines(row: &TheoryRow, record: &RowRecord, records: &BTreeMap<String, RowRecord>) -> String {
    let measured = format_measured(row.figure, record);
    let beside = row
        .beside
        .as_ref()
        .and_then(|id| records.get(id))
        .map(|other| format!("`{}`: {}", other.command, format_figure(row.figure, other)));
    let cells: Vec<String> = [measured, beside, row.published.clone()].into_iter().flatten().collect();
    cells.join("; ")
}

/// Formats the baselines that were measured on the same samples.
fn format_measured(kind: Figure, record: &RowRecord) -> Option<String> {
    let evaluation = &record.runs[0].evaluation;
    match kind {
        Figure::Reconstruction => {
            let (values, mse) = (evaluation.latent_values, evaluation.reconstruction.mse_pca?);
            Some(format!("PCA, {values} components, {} bytes, not quantised: {mse:.5}", 4 * values))
        }
        Figure::Enlarged => {
            let psnr = evaluation
                .reconstruction
                .picture
                .and_then(|ImageFigures { psnr_bicubic_db, .. }| psnr_bicubic_db)?;
            Some(format!("bicubic enlargement of the uncompressed encoder input: {psnr:.2} dB"))
        }
        Figure::OneClass => Some(format_methods(&record.baselines, 100.0, 1)),
        Figure::Series => Some(format_methods(&record.baselines, 1.0, 3)),
        Figure::Classes | Figure::Layers | Figure::Zeros | Figure::Gradient => None,
    }
}

fn format_methods(methods: &[MethodFigures], scale: f64, digits: usize) -> String {
    let texts: Vec<String> = methods.iter().map(|method| format_method(method, scale, digits)).collect();
    texts.join(", ")
}

/// Formats the AUROC of a method, multiplied by `scale`.
fn format_method(method: &MethodFigures, scale: f64, digits: usize) -> String {
    let points = method.point_auroc.map(|area| format!(" (points {area:.digits$})")).unwrap_or_default();
    format!("{} {:.digits$}{points}", method.name, scale * method.auroc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_changes() {
        let readme = "a\n<!-- theory -->\nold\n<!-- /theory -->\nb\n";
        let new = "a\n<!-- theory -->\n| new |\n<!-- /theory -->\nb\n";
        assert_eq!(replace_table(readme, "| new |\n").as_deref(), Some(new));
        assert_eq!(replace_table("no marks", "| new |\n"), None);
    }
}
