//! Draws a model as a diagram: one block per layer, from the input on the left to the output on the right.
//!
//! A block's height grows with the logarithm of the number of output values, and its shadow with the side of
//! the map. The latent is the waist between encoder and decoder, and an arc leads from each tap to the layer
//! that joins it.

use std::fmt::Write as _;

use crate::definition::{Blueprint, Operation, Shape, Stage};

const BLOCK_WIDTH: f64 = 26.0;
const GAP: f64 = 26.0;
const MARGIN: f64 = 28.0;
const MAX_BLOCK_HEIGHT: f64 = 180.0;
/// Vertical centre of the blocks.
const CENTRE_Y: f64 = 232.0;
const DIAGRAM_HEIGHT: f64 = 450.0;
/// Top of the layer names, and the width of one letter of the description.
const NAMES_Y: f64 = 346.0;
const LETTER_WIDTH: f64 = 5.8;
const EDGE_COLOUR: &str = "#2f6f9f";
const CLOUD_COLOUR: &str = "#b4552d";
const LATENT_COLOUR: &str = "#3b3b3b";
const SIGNAL_COLOUR: &str = "#8a8a8a";
const CLASSIFIER_COLOUR: &str = "#5b7f3a";

/// One block of the diagram.
struct DiagramBlock {
    label: String,
    shape: Shape,
    colour: &'static str,
    /// The tap that leaves after the block or is joined before it.
    tap: Option<String>,
}

impl DiagramBlock {
    fn is_decoder(&self) -> bool {
        self.colour == CLOUD_COLOUR
    }
}

/// Returns the diagram as SVG.
#[must_use]
pub fn render_svg(blueprint: &Blueprint) -> String {
    let blocks = collect_blocks(blueprint);
    let largest = blocks.iter().map(|block| block.shape.values()).max().unwrap_or(1);
    let definition = &blueprint.definition;
    let title = 2.0 * MARGIN + LETTER_WIDTH * definition.description.chars().count() as f64;
    let width = (block_left(blocks.len()) + 2.0 * MARGIN).max(title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {DIAGRAM_HEIGHT:.0}\" width=\"{width:.0}\" \
         height=\"{DIAGRAM_HEIGHT:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    draw_text(&mut out, [MARGIN, 24.0], "font-size=\"16\" font-weight=\"bold\"", &definition.name);
    draw_text(&mut out, [MARGIN, 42.0], "fill=\"#555555\"", &definition.description);
    draw_halves(&mut out, &blocks);
    for (index, block) in blocks.iter().enumerate() {
        draw_block(&mut out, block, block_left(index), block_height(block.shape.values(), largest));
    }
    draw_arcs(&mut out, &blocks, largest);
    out + "</svg>\n"
}

/// Returns the blocks of input, encoder, latent, decoder and output, followed by the classifier.
fn collect_blocks(blueprint: &Blueprint) -> Vec<DiagramBlock> {
    let mut blocks = vec![signal_block("input", blueprint.input)];
    let latent = blueprint.latent_stage();
    for (index, stage) in blueprint.encoder.iter().enumerate() {
        if let (Operation::Tap(name), Some(last)) = (&stage.operation, blocks.last_mut()) {
            last.tap = Some(name.clone());
        } else if index != latent {
            blocks.push(stage_block(stage, EDGE_COLOUR));
        } else {
            blocks.push(DiagramBlock {
                label: format!("latent ({})", stage.label()),
                ..stage_block(stage, LATENT_COLOUR)
            });
        }
    }
    blocks.extend(blueprint.decoder.iter().map(|stage| stage_block(stage, CLOUD_COLOUR)));
    blocks.push(signal_block("output", blueprint.definition.output().shape()));
    blocks.extend(blueprint.classifier.iter().map(|stage| stage_block(stage, CLASSIFIER_COLOUR)));
    blocks
}

fn signal_block(label: &str, shape: Shape) -> DiagramBlock {
    DiagramBlock { label: label.into(), shape, colour: SIGNAL_COLOUR, tap: None }
}

fn stage_block(stage: &Stage, colour: &'static str) -> DiagramBlock {
    let tap = match &stage.operation {
        Operation::Join(tap) => Some(tap.clone()),
        _ => None,
    };
    DiagramBlock { label: stage.label(), shape: stage.next_input(), colour, tap }
}

/// Returns the left edge of a block.
fn block_left(index: usize) -> f64 {
    MARGIN + index as f64 * (BLOCK_WIDTH + GAP)
}

fn block_height(values: usize, largest: usize) -> f64 {
    let fraction = (1.0 + values as f64).ln() / (1.0 + largest as f64).ln();
    12.0 + (MAX_BLOCK_HEIGHT - 12.0) * fraction
}

/// Draws the labels of the halves above their blocks.
fn draw_halves(out: &mut String, blocks: &[DiagramBlock]) {
    for (colour, name) in [(EDGE_COLOUR, "edge"), (CLOUD_COLOUR, "cloud"), (CLASSIFIER_COLOUR, "classifier")]
    {
        let mut members = blocks.iter().enumerate().filter(|(_, block)| {
            block.colour == colour || (colour == EDGE_COLOUR && block.colour == LATENT_COLOUR)
        });
        let Some((first, _)) = members.next() else { continue };
        let last = members.next_back().map_or(first, |(last, _)| last);
        let (from, to) = (block_left(first) - GAP / 4.0, block_left(last) + BLOCK_WIDTH + GAP / 4.0);
        let _ = writeln!(
            out,
            "<rect x=\"{from:.1}\" y=\"64\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\" \
             fill-opacity=\"0.07\" rx=\"6\"/>",
            to - from,
            DIAGRAM_HEIGHT - 76.0
        );
        draw_text(out, [from + 4.0, 78.0], &format!("font-weight=\"bold\" fill=\"{colour}\""), name);
    }
}

/// Draws a block with its shape above and its rotated name below.
fn draw_block(out: &mut String, block: &DiagramBlock, x: f64, height: f64) {
    let depth = match block.shape {
        Shape::Map { height, .. } => 2.0 + (height as f64).ln() * 1.5,
        _ => 0.0,
    };
    let top = CENTRE_Y - height / 2.0;
    let colour = block.colour;
    if depth > 0.0 {
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{BLOCK_WIDTH}\" height=\"{height:.1}\" fill=\"{colour}\" \
             fill-opacity=\"0.35\"/>",
            x + depth,
            top - depth
        );
    }
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{BLOCK_WIDTH}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
    let centre = x + BLOCK_WIDTH / 2.0;
    let shape = block.shape.to_string();
    draw_text(out, [centre, top - depth - 4.0], "font-size=\"8\" text-anchor=\"middle\"", &shape);
    let rotation = format!("transform=\"rotate(40 {centre:.1} {NAMES_Y})\" font-size=\"9\"");
    draw_text(out, [centre, NAMES_Y], &rotation, &block.label);
}

/// Draws an arc above the blocks, leading to each join and starting at its tap.
fn draw_arcs(out: &mut String, blocks: &[DiagramBlock], largest: usize) {
    for (to, join) in blocks.iter().enumerate().filter(|(_, block)| block.is_decoder() && block.tap.is_some())
    {
        let Some(from) = blocks.iter().position(|block| !block.is_decoder() && block.tap == join.tap) else {
            continue;
        };
        let (a, b) = (block_left(from) + BLOCK_WIDTH / 2.0, block_left(to) + BLOCK_WIDTH / 2.0);
        let tops = (from..=to).map(|index| arc_top(&blocks[index], largest));
        let highest = tops.fold(f64::INFINITY, f64::min);
        let (start, end) = (arc_top(&blocks[from], largest) + 4.0, arc_top(join, largest) + 4.0);
        // A cubic curve reaches three quarters of the way to its control points; the arc must pass above the
        // blocks in between.
        let apex = highest - 10.0;
        let peak = (apex - (start + end) / 8.0) / 0.75;
        let _ = writeln!(
            out,
            "<path d=\"M {a:.1} {start:.1} C {a:.1} {peak:.1}, {b:.1} {peak:.1}, {b:.1} {end:.1}\" fill=\"none\" \
             stroke=\"{LATENT_COLOUR}\" stroke-width=\"1.5\" stroke-dasharray=\"4 3\"/>",
        );
        let name = format!("tap {}", join.tap.as_deref().unwrap_or_default());
        draw_text(out, [f64::midpoint(a, b), apex - 4.0], "font-size=\"9\" text-anchor=\"middle\"", &name);
    }
}

/// Returns the height at which an arc passes above a block.
fn arc_top(block: &DiagramBlock, largest: usize) -> f64 {
    CENTRE_Y - block_height(block.shape.values(), largest) / 2.0 - 16.0
}

/// Draws a text at a position.
fn draw_text(out: &mut String, [x, y]: [f64; 2], attributes: &str, content: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escape_xml(content));
}

fn escape_xml(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 forbids most control characters.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
