//! All figures of all rows as text.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    record::{MethodFigures, RowRecord, TrainingRun},
    row::TheoryRow,
};

/// Formats the rows one after the other: command, epochs, figures, baselines.
pub(super) fn render(rows: &[TheoryRow], records: &BTreeMap<String, RowRecord>) -> String {
    let mut text = String::new();
    for (row, record) in rows.iter().filter_map(|row| Some((row, records.get(&row.id)?))) {
        let _ = writeln!(text, "==== {}: {}\n$ training {}", row.id, row.theory, record.command);
        for (index, run) in record.runs.iter().enumerate() {
            if record.runs.len() > 1 {
                let _ = writeln!(text, "\n---- normal: {index}");
            }
            write_run(&mut text, run);
        }
        for MethodFigures { name, auroc, point_auroc } in &record.baselines {
            let points = point_auroc.map(|area| format!(", by points {area:.4}")).unwrap_or_default();
            let _ = writeln!(text, "{name}: AUROC {auroc:.4}{points}");
        }
        text.push('\n');
    }
    text
}

fn write_run(text: &mut String, run: &TrainingRun) {
    text.push_str("\nepoch  loss  |gradient by theta|  |gradient by phi|  validation MSE\n");
    for epoch in &run.epochs {
        let _ = writeln!(
            text,
            "{:>5}  {:.6}  {:.6}  {:.6}  {:.6}",
            epoch.epoch,
            epoch.train_loss,
            epoch.encoder_gradient,
            epoch.decoder_gradient,
            epoch.validation_mse
        );
    }
    let evaluation = &run.evaluation;
    let _ = writeln!(
        text,
        "\nencoder {} MAC, {} parameters; decoder {} MAC, {} parameters; {:.1} % of {} integers are 0\n\n{}",
        evaluation.encoder.macs,
        evaluation.encoder.parameters,
        evaluation.decoder.macs,
        evaluation.decoder.parameters,
        100.0 * evaluation.zeros,
        evaluation.latent_values,
        evaluation.table()
    );
}
