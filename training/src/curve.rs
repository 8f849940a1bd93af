//! Draws loss and gradient norms over the epochs, as SVG.

use std::path::Path;

use plotters::{
    coord::Shift,
    prelude::{
        BLACK, ChartBuilder, Color as _, DrawingArea, IntoDrawingArea as _, IntoLogRange, LineSeries,
        PathElement, RGBColor, SVGBackend, WHITE,
    },
};

use crate::{EpochMetrics, TrainingError};

const SIZE: (u32, u32) = (800, 800);
const ORANGE: RGBColor = RGBColor(200, 80, 40);
const BLUE: RGBColor = RGBColor(60, 110, 190);

/// Name, colour and value of a curve.
type CurveLine = (&'static str, RGBColor, fn(&EpochMetrics) -> f64);

const LOSS: [CurveLine; 2] = [
    ("training loss", BLUE, |epoch| epoch.train_loss),
    ("validation MSE", ORANGE, |epoch| epoch.validation_mse),
];
const GRADIENTS: [CurveLine; 2] = [
    ("encoder parameters", BLUE, |epoch| epoch.encoder_gradient),
    ("decoder parameters", ORANGE, |epoch| epoch.decoder_gradient),
];

/// Draws the training loss and the validation MSE over the epochs, and below them the norms of the loss's
/// gradients, each on a logarithmic axis.
///
/// # Errors
/// [`TrainingError::Draw`] when the file cannot be written.
pub(crate) fn draw(history: &[EpochMetrics], path: &Path) -> Result<(), TrainingError> {
    render(history, path)
        .map_err(|error| TrainingError::Draw { path: path.to_owned(), reason: error.to_string() })
}

fn render(history: &[EpochMetrics], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (upper, lower) = area.split_vertically(SIZE.1 / 2);
    draw_chart(history, &upper, "loss", &LOSS)?;
    draw_chart(history, &lower, "gradient norm", &GRADIENTS)?;
    area.present()?;
    Ok(())
}

fn draw_chart(
    history: &[EpochMetrics],
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    lines: &[CurveLine],
) -> Result<(), Box<dyn std::error::Error>> {
    let values: Vec<f64> =
        history.iter().flat_map(|epoch| lines.iter().map(|(_, _, value)| value(epoch))).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min).max(1e-9);
    let high = values.iter().copied().fold(low, f64::max);
    let y = IntoLogRange::log_scale(low * 0.9..high * 1.1);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .caption(caption, ("sans-serif", 22))
        .build_cartesian_2d(1.0..(history.len() as f64).max(2.0), y)?;
    chart.configure_mesh().x_desc("epoch").y_label_formatter(&|value| format!("{value:.4}")).draw()?;
    for &(name, colour, value) in lines {
        let points = history.iter().map(|epoch| (epoch.epoch as f64, value(epoch)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}
