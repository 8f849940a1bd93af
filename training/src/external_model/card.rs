//! The report on a bundle made from an external model: its card and its terminal output.

use std::path::Path;

use lopside_onnx::{Cost, OnnxError};
use lopside_quality::group_digits;

use super::{
    bundle_report::BundleReport,
    cut_model::CutModel,
    measure::{OutputError, RatePoint},
    verify::Agreement,
};

/// Formats the bundle's `README.md`. It does not contain anything that changes between runs, such as times.
pub(super) fn write_card(report: &BundleReport, source: &CutModel<'_>) -> String {
    let layers: String = report
        .layers
        .iter()
        .map(|layer| {
            format!(
                "| `{}` | {:?} | {} | {:.4} | {:.4} | {:.4} | {:.4} | {:.1} % |\n",
                layer.tensor,
                layer.shape,
                layer.runs,
                layer.min,
                layer.max,
                layer.mean,
                layer.deviation,
                100.0 * layer.zeros
            )
        })
        .collect();
    let heads: String = report
        .heads
        .iter()
        .map(|head| format!("| {} | {} | `{}` | {:?} |\n", head.name, head.kind, head.output, head.shape))
        .collect();
    let encoder = format_cost(&source.halves.encoder_cost);
    let decoder = format_cost(&source.halves.decoder_cost);
    format!(
        "# {name}\n\n`{model}`, cut in two at {at} by Lopside: the encoder runs at the edge, the decoder in the cloud.\n\n\
         - model: `{model}`, SHA-256 {sha256}\n- latent space: {space}\n- largest difference between the \
         halves and the model: {ort:.1e} in ONNX Runtime{tract}\n{batch}{left_out}\n\
         ## Figures\n\n{figures}\n\
         | | encoder (edge) | decoder (cloud) |\n|---|---|---|\n| parameters | {} | {} |\n| MAC per item | {} | {} |\n\n\
         ## Layers of the latent\n\n| tensor | shape | runs | minimum | maximum | mean | deviation | zeros |\n\
         |---|---|---|---|---|---|---|---|\n{layers}\nEvery run of values has its own quantisation step and entropy table.\n\n\
         ## Heads\n\n| head | kind | output | shape |\n|---|---|---|---|\n{heads}\n\
         ## Made by\n\n```sh\n{command}\n```\n\nThe licence is that of the model.\n",
        encoder.0,
        decoder.0,
        encoder.1,
        decoder.1,
        name = report.name,
        model = report.model,
        at = source.at.iter().map(|tensor| format!("`{tensor}`")).collect::<Vec<_>>().join(" and "),
        sha256 = report.sha256.as_str(),
        space = report.latent_space,
        ort = source.halves.verification.onnx_runtime_difference,
        tract = match source.halves.verification.tract {
            Agreement::Within { difference } => format!(", {difference:.1e} in tract (encoder only)"),
            Agreement::Unsupported { .. } => String::new(),
        },
        batch = report
            .one_by_one
            .as_ref()
            .map_or(String::new(), |reason| format!("- {}\n", single_item_note(reason))),
        left_out = left_out_note(report),
        figures = report.figures(),
        command = source.command,
    )
}

/// Formats the numbers of parameters and of multiply-accumulates.
fn format_cost(cost: &Result<Cost, OnnxError>) -> (String, String) {
    match cost {
        Ok(cost) => (group_digits(cost.parameters), group_digits(cost.macs)),
        Err(_) => ("unknown".to_owned(), "unknown".to_owned()),
    }
}

fn single_item_note(reason: &str) -> String {
    format!(
        "the decoder takes one item at a time ({reason}), so the cloud runs the frames of a request one after the other; to \
         run them together, export the model with a dynamic batch dimension"
    )
}

fn left_out_note(report: &BundleReport) -> String {
    match &report.left_out[..] {
        [] => String::new(),
        names => format!(
            "- outputs without a head, because they are not 32-bit floats: `{}`\n",
            names.join("`, `")
        ),
    }
}

impl BundleReport {
    /// Formats the report for people; `out` is the bundle's folder.
    pub(super) fn text(&self, out: &Path) -> String {
        let heads: Vec<String> =
            self.heads.iter().map(|head| format!("{} ({})", head.name, head.kind)).collect();
        format!(
            "{}{}{}\nlatent space {}, heads: {}\nbundle {} in {}\n",
            self.figures(),
            self.one_by_one
                .as_ref()
                .map_or(String::new(), |reason| format!("\nNote: {}.\n", single_item_note(reason))),
            left_out_note(self),
            self.latent_space,
            heads.join(", "),
            self.name,
            out.display()
        )
    }

    /// Formats the sweep and the figures of the bundle itself.
    fn figures(&self) -> String {
        let measured_on = if self.held_out {
            format!("Measured on {} inputs that were not used for gains and tables", self.test_inputs)
        } else {
            format!(
                "Measured on the same {} inputs as gains and tables, because there are too few to set some aside",
                self.test_inputs
            )
        };
        let columns: Vec<String> = self.chosen.outputs.iter().map(column_header).collect();
        let agreement_columns =
            self.chosen.outputs.iter().filter(|output| output.top1_agreement.is_some()).count();
        let rule = "|---".repeat(3 + columns.len() + agreement_columns);
        let chosen = &self.chosen;
        format!(
            "{measured_on}. Gains and tables were computed from {calibrated} inputs. The error is the root mean square of the \
             change in an output when the latent is quantised, relative to the root mean square of the output.\n\n\
             | bits per value, target | coded | bytes per frame | {titles} |\n{rule}|\n{rows}\
             | **this bundle**, through real frames | | {mean:.1} ({min}–{max}) | {errors} |\n",
            calibrated = self.calibration_inputs,
            titles = columns.join(" | "),
            rows = self.sweep.iter().map(format_point).collect::<String>(),
            mean = chosen.mean_frame_bytes,
            min = chosen.smallest_frame_bytes,
            max = chosen.largest_frame_bytes,
            errors = format_cells(&chosen.outputs),
        )
    }
}

fn column_header(output: &OutputError) -> String {
    let name = &output.output;
    match output.top1_agreement {
        Some(_) => format!("error of `{name}` | same class"),
        None => format!("error of `{name}`"),
    }
}

fn format_point(point: &RatePoint) -> String {
    let RatePoint { bits, bits_a_value, frame_bytes, outputs } = point;
    format!("| {bits} | {bits_a_value:.2} | {frame_bytes:.1} | {} |\n", format_cells(outputs))
}

fn format_cells(outputs: &[OutputError]) -> String {
    outputs.iter().map(format_error).collect::<Vec<_>>().join(" | ")
}

fn format_error(output: &OutputError) -> String {
    let error = format!("{:.2} %", 100.0 * output.relative_rms);
    match output.top1_agreement {
        Some(agreement) => format!("{error} | {:.1} %", 100.0 * agreement),
        None => error,
    }
}
