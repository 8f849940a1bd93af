//! The cuts of a model as a table and as JSON.

use std::collections::BTreeSet;

use lopside_onnx::{Cut, Extent, HalfCost, ModelInput, rank_cuts};
use lopside_quality::group_digits;
use serde::Serialize;

use super::bind::Bindings;

/// Number of rows of a table without `--all`.
const DEFAULT_ROWS: usize = 20;

/// The inputs of a model and its possible cuts.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    inputs: Vec<InputRow>,
    /// Open dimensions that count as 1.
    batches: Vec<String>,
    cuts: Vec<CutRow>,
}

#[derive(Debug, Serialize)]
struct InputRow {
    name: String,
    shape: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct CutRow {
    tensor: String,
    op: String,
    shape: Option<Vec<String>>,
    values: Option<u64>,
    bytes: Option<u64>,
    /// Whether no other cut has both a smaller latent and a cheaper encoder.
    optimal: bool,
    encoder: HalfRow,
    decoder: HalfRow,
}

#[derive(Debug, Serialize)]
struct HalfRow {
    macs: Option<u64>,
    parameters: u64,
    /// Reason why `macs` is unknown.
    unknown: Option<String>,
}

impl Listing {
    /// Lists the best cuts first.
    pub(super) fn new(inputs: &[ModelInput], bindings: &Bindings, cuts: &[Cut]) -> Self {
        Self {
            inputs: inputs.iter().map(input_row).collect(),
            batches: bindings.unbound_batches.clone(),
            cuts: rank_cuts(cuts).into_iter().map(|(cut, optimal)| cut_row(cut, optimal)).collect(),
        }
    }

    pub(super) fn table(&self, all: bool) -> String {
        let rows = if all { &self.cuts[..] } else { &self.cuts[..self.cuts.len().min(DEFAULT_ROWS)] };
        let hint = if rows.len() < self.cuts.len() { ", the best 20; --all lists all" } else { "" };
        let reasons = rows.iter().flat_map(|cut| [&cut.encoder.unknown, &cut.decoder.unknown]).flatten();
        let reasons: BTreeSet<&String> = reasons.collect();
        let inputs = self
            .inputs
            .iter()
            .map(|input| format!("input {} {}\n", input.name, format_shape(input.shape.as_ref())));
        let batches = self.batches.iter();
        let parts = inputs
            .chain(batches.map(|batch| format!("dimension {batch} is set to 1: costs are per item\n")))
            .chain([
                format!("{} cuts at one tensor{hint}\n\n", self.cuts.len()),
                align_columns(&[vec![table_header()], rows.iter().map(CutRow::cells).collect()].concat()),
                "\n* no other cut has both a smaller latent and a cheaper encoder\n".to_owned(),
            ])
            .chain(reasons.into_iter().map(|reason| format!("unknown: {reason}\n")));
        parts.collect()
    }
}

impl CutRow {
    fn cells(&self) -> Vec<String> {
        vec![
            if self.optimal { "*" } else { "" }.to_owned(),
            self.tensor.clone(),
            self.op.clone(),
            format_shape(self.shape.as_ref()),
            format_count(self.bytes),
            format_count(self.encoder.macs),
            group_digits(self.encoder.parameters),
            format_count(self.decoder.macs),
            group_digits(self.decoder.parameters),
        ]
    }
}

fn table_header() -> Vec<String> {
    let names = [
        "",
        "tensor",
        "operator",
        "shape",
        "latent bytes",
        "encoder MAC",
        "parameters",
        "decoder MAC",
        "parameters",
    ];
    names.map(str::to_owned).to_vec()
}

fn input_row(input: &ModelInput) -> InputRow {
    InputRow { name: input.name.clone(), shape: format_extents(input.dims.as_deref()) }
}

fn cut_row(cut: &Cut, optimal: bool) -> CutRow {
    CutRow {
        tensor: cut.tensor.clone(),
        op: cut.op.clone(),
        shape: format_extents(cut.shape.as_deref()),
        values: cut.element_count,
        bytes: cut.latent_bytes(),
        optimal,
        encoder: half_row(&cut.encoder),
        decoder: half_row(&cut.decoder),
    }
}

fn half_row(cost: &HalfCost) -> HalfRow {
    HalfRow {
        macs: cost.macs.as_ref().ok().copied(),
        parameters: cost.parameters,
        unknown: cost.macs.as_ref().err().map(ToString::to_string),
    }
}

fn format_extents(dims: Option<&[Extent]>) -> Option<Vec<String>> {
    dims.map(|dims| dims.iter().map(ToString::to_string).collect())
}

fn format_count(count: Option<u64>) -> String {
    count.map_or("unknown".to_owned(), group_digits)
}

fn format_shape(dims: Option<&Vec<String>>) -> String {
    dims.map_or("unknown".to_owned(), |dims| format!("[{}]", dims.join(", ")))
}

/// Aligns columns to their widest cell, names to the left and numbers to the right.
fn align_columns(rows: &[Vec<String>]) -> String {
    const NAME_COLUMNS: usize = 4;
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < NAME_COLUMNS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    text
}
