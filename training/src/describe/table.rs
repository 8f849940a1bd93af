//! Formats the figures as text.

use std::fmt::Write as _;

use lopside_quality::group_digits;

use super::{Description, LayerDescription, PartDescription};

/// Formats both halves as tables, followed by the latent and the ratios of decoder to encoder.
#[must_use]
pub fn format_table(description: &Description) -> String {
    let Description { name, description: line, input, output, latent, asymmetry, .. } = description;
    let mut text =
        format!("{name}: {line}\n\ninput {}, output {}\n\n", format_dims(input), format_dims(output));
    text += &format_part("encoder (edge)", &description.encoder);
    text += &format_part("decoder (cloud)", &description.decoder);
    if let Some(classifier) = &description.classifier {
        text += &format_part("classifier (cloud)", classifier);
    }
    let distribution = if latent.variational {
        ", the mean of a distribution; during training, a second layer computes its log-variance"
    } else {
        ""
    };
    let _ = writeln!(text, "latent: {}, {} values{distribution}", format_dims(&latent.shape), latent.values);
    for tap in &latent.taps {
        let _ = writeln!(text, "tap {}: {}, {} values", tap.name, format_dims(&tap.shape), tap.values);
    }
    let _ = writeln!(
        text,
        "decoder ÷ encoder: depth ×{:.2}, widest layer ×{:.2}, parameters ×{:.2}, MAC ×{:.2}",
        asymmetry.depth, asymmetry.width, asymmetry.parameters, asymmetry.macs
    );
    text
}

fn format_part(title: &str, part: &PartDescription) -> String {
    let mut rows = vec![[title, "output", "parameters", "MAC"].map(str::to_owned)];
    part.layers.iter().for_each(|row| push_rows(&mut rows, row, 1));
    let total = format!("{} layers with weights, widest {}", part.depth, part.widest);
    rows.push([total, String::new(), group_digits(part.parameters), group_digits(part.macs)]);
    let widths = [0, 1, 2, 3].map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    let [layer, output, parameters, macs] = widths;
    let rule = "─".repeat(widths.iter().sum::<usize>() + 6) + "\n";
    let lines: Vec<String> = rows
        .iter()
        .map(|[a, b, c, d]| format!("{a:layer$}  {b:>output$}  {c:>parameters$}  {d:>macs$}\n"))
        .collect();
    let (first, rest) = lines.split_at(1);
    let (middle, last) = rest.split_at(rest.len() - 1);
    [first.concat(), rule.clone(), middle.concat(), rule, last.concat(), "\n".to_owned()].concat()
}

fn push_rows(rows: &mut Vec<[String; 4]>, row: &LayerDescription, depth: usize) {
    let layer = format!("{}{}", "  ".repeat(depth), row.layer);
    rows.push([layer, format_dims(&row.output), group_digits(row.parameters), group_digits(row.macs)]);
    row.block.iter().for_each(|inner| push_rows(rows, inner, depth + 1));
}

fn format_dims(dims: &[usize]) -> String {
    dims.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}
