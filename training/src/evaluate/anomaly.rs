//! How well anomalies stand out.

use std::fmt::Write as _;

use cloud_decoder::Anomaly;
use serde::{Deserialize, Serialize};

use super::Through;
use crate::{
    anomaly::auroc,
    corpus::{Content, Corpus},
};

/// The areas under the receiver's operating curve of a bundle's scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyFigures {
    /// Samples that are anomalies.
    pub anomalies: usize,
    /// The score that the frame alone has.
    pub frame_alone: PartFigures,
    /// The score with the input sent along.
    pub with_input: PartFigures,
    /// Every part by itself.
    pub parts: Vec<PartFigures>,
    /// Of the normal samples, the share that is called anomalous, by the frame alone.
    pub false_alarms: f64,
    /// Of the anomalies, the share that is called anomalous, by the frame alone.
    pub found: f64,
}

/// How well one score tells anomalies from normal samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartFigures {
    /// The score's name.
    pub name: String,
    /// The area under the curve by samples, 0.5 for chance, 1 for perfect.
    pub auroc: f64,
    /// Of series, by points: each has the mean score of the windows that cover it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_auroc: Option<f64>,
}

/// The figures; `None` when the samples are all of one kind.
pub(super) fn figures(through: &Through, test: &Corpus) -> Option<AnomalyFigures> {
    let figures = |name: &str, of: &[Anomaly], score: &dyn Fn(&Anomaly) -> f32| {
        let scores: Vec<f64> = of.iter().map(|anomaly| f64::from(score(anomaly))).collect();
        let point_auroc = match &test.content {
            Content::Series(half) => auroc(&half.windows.point_scores(&scores), &half.rows),
            Content::Pictures(_) => None,
        };
        Some(PartFigures { name: name.to_owned(), auroc: auroc(&scores, &test.anomalies)?, point_auroc })
    };
    let names = through.seeing.first()?.parts.iter().map(|part| part.name.clone());
    let part = |(index, name): (usize, String)| {
        figures(&name, &through.seeing, &|anomaly| anomaly.parts[index].value)
    };
    let share = |anomalous: bool| {
        let of_kind = through.blind.iter().zip(&test.anomalies).filter(|(_, is)| **is == anomalous);
        let called: Vec<bool> = of_kind.map(|(verdict, _)| verdict.anomalous).collect();
        called.iter().filter(|&&called| called).count() as f64 / called.len().max(1) as f64
    };
    Some(AnomalyFigures {
        anomalies: test.anomalies.iter().filter(|&&anomaly| anomaly).count(),
        frame_alone: figures("score of the frame alone", &through.blind, &|anomaly| anomaly.score)?,
        with_input: figures("score with the input", &through.seeing, &|anomaly| anomaly.score)?,
        parts: names.enumerate().map(part).collect::<Option<_>>()?,
        false_alarms: share(false),
        found: share(true),
    })
}

impl AnomalyFigures {
    /// The figures as lines of a table.
    #[must_use]
    pub fn table(&self) -> String {
        let rows = || [&self.frame_alone, &self.with_input].into_iter().chain(&self.parts);
        let points = rows().any(|row| row.point_auroc.is_some());
        let mut text = String::from(if points {
            "| score | AUROC, samples | AUROC, points |\n|---|---|---|\n"
        } else {
            "| score | AUROC |\n|---|---|\n"
        });
        for row in rows() {
            let _ = write!(text, "| {} | {:.4} |", row.name, row.auroc);
            if points {
                let _ = write!(text, " {:.4} |", row.point_auroc.unwrap_or(f64::NAN));
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "\nBy the frame alone, at the bundle's threshold: {:.1} % of {} anomalies found, {:.1} % false alarms.",
            100.0 * self.found,
            self.anomalies,
            100.0 * self.false_alarms
        );
        text
    }
}
