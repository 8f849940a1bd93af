//! Measures how well anomaly scores separate anomalies from normal samples.

use std::fmt::Write as _;

use lopside_decoder::Anomaly;
use serde::{Deserialize, Serialize};

use super::round_trip::RoundTrip;
use crate::{
    anomaly::auroc,
    corpus::{Corpus, CorpusSamples},
};

/// Areas under the ROC curve of a bundle's anomaly scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyFigures {
    /// Number of anomalies among the samples.
    pub anomalies: usize,
    /// The score from the frame alone.
    pub frame_alone: ScoreFigures,
    /// The score with the reference input.
    pub with_input: ScoreFigures,
    /// Each part of the score separately.
    pub parts: Vec<ScoreFigures>,
    /// Share of normal samples that are called anomalous from the frame alone (false positive rate).
    pub false_alarms: f64,
    /// Share of anomalies that are called anomalous from the frame alone (true positive rate).
    pub found: f64,
}

/// The area under the ROC curve of one score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreFigures {
    /// The name of the score.
    pub name: String,
    /// Area under the curve per sample: 0.5 is chance, 1 is perfect.
    pub auroc: f64,
    /// Area under the curve per point of a time series, where a point has the mean score of the windows that
    /// cover it. `None` for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_auroc: Option<f64>,
}

/// Computes the figures. Returns `None` if the samples are all normal or all anomalies.
pub(super) fn anomaly_figures(round_trip: &RoundTrip, test: &Corpus) -> Option<AnomalyFigures> {
    let (frame_only, with_input) = (&round_trip.frame_only_verdicts, &round_trip.with_input_verdicts);
    let parts = with_input.first()?.parts.iter().enumerate();
    Some(AnomalyFigures {
        anomalies: test.anomalies.iter().filter(|&&anomaly| anomaly).count(),
        frame_alone: score_figures("score of the frame alone", frame_only, test, |anomaly| anomaly.score)?,
        with_input: score_figures("score with the input", with_input, test, |anomaly| anomaly.score)?,
        parts: parts
            .map(|(index, part)| {
                score_figures(&part.name, with_input, test, |anomaly| anomaly.parts[index].value)
            })
            .collect::<Option<_>>()?,
        false_alarms: flagged_share(frame_only, test, false),
        found: flagged_share(frame_only, test, true),
    })
}

/// Computes the figures of one score. Returns `None` if the samples are all normal or all anomalies.
fn score_figures(
    name: &str,
    verdicts: &[Anomaly],
    test: &Corpus,
    score: impl Fn(&Anomaly) -> f32,
) -> Option<ScoreFigures> {
    let scores: Vec<f64> = verdicts.iter().map(|anomaly| f64::from(score(anomaly))).collect();
    let point_auroc = match &test.samples {
        CorpusSamples::Series(half) => {
            auroc(&half.windows.point_scores(&scores), &half.windows.flag_points(&half.row_anomalies))
        }
        CorpusSamples::Images(_) => None,
    };
    Some(ScoreFigures { name: name.to_owned(), auroc: auroc(&scores, &test.anomalies)?, point_auroc })
}

/// Returns the share of the anomalies, or of the normal samples, that are called anomalous.
fn flagged_share(verdicts: &[Anomaly], test: &Corpus, anomalous: bool) -> f64 {
    let selected = verdicts.iter().zip(&test.anomalies).filter(|(_, label)| **label == anomalous);
    let flagged: Vec<bool> = selected.map(|(verdict, _)| verdict.anomalous).collect();
    flagged.iter().filter(|&&flagged| flagged).count() as f64 / flagged.len().max(1) as f64
}

impl AnomalyFigures {
    /// Formats the figures as a Markdown table.
    #[must_use]
    pub fn table(&self) -> String {
        let rows = [&self.frame_alone, &self.with_input].into_iter().chain(&self.parts);
        let has_points = rows.clone().any(|row| row.point_auroc.is_some());
        let mut text = String::from(if has_points {
            "| score | AUROC, samples | AUROC, points |\n|---|---|---|\n"
        } else {
            "| score | AUROC |\n|---|---|\n"
        });
        for row in rows {
            let _ = write!(text, "| {} | {:.4} |", row.name, row.auroc);
            if has_points {
                let _ = write!(text, " {:.4} |", row.point_auroc.unwrap_or(f64::NAN));
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "\nFrom the frame alone, at the bundle's threshold: {:.1} % of {} anomalies found, {:.1} % false alarms.",
            100.0 * self.found,
            self.anomalies,
            100.0 * self.false_alarms
        );
        text
    }
}
