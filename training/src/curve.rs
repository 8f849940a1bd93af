//! The loss curve as SVG.

use std::path::Path;

use plotters::prelude::{
    BLACK, ChartBuilder, Color as _, IntoDrawingArea as _, LineSeries, RGBColor, SVGBackend, WHITE,
};

use crate::{EpochMetrics, TrainingError};

const SIZE: (u32, u32) = (800, 480);
const VALIDATION: RGBColor = RGBColor(200, 80, 40);
const TRAINING: RGBColor = RGBColor(60, 110, 190);

/// A curve's name, colour and value.
type Line = (&'static str, RGBColor, fn(&EpochMetrics) -> f64);

/// Draws the training loss and the validation MSE over the epochs, on a logarithmic axis.
///
/// # Errors
/// [`TrainingError::Draw`] when the file cannot be written.
pub(crate) fn draw(history: &[EpochMetrics], path: &Path) -> Result<(), TrainingError> {
    render(history, path)
        .map_err(|error| TrainingError::Draw { path: path.to_owned(), reason: error.to_string() })
}

fn render(history: &[EpochMetrics], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let values = || history.iter().flat_map(|epoch| [epoch.train_loss, epoch.validation_mse]);
    let low = values().fold(f64::INFINITY, f64::min).max(1e-9);
    let high = values().fold(low, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let y = plotters::prelude::IntoLogRange::log_scale(low * 0.9..high * 1.1);
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .caption("loss", ("sans-serif", 22))
        .build_cartesian_2d(1.0..(history.len() as f64).max(2.0), y)?;
    chart.configure_mesh().x_desc("epoch").y_label_formatter(&|value| format!("{value:.4}")).draw()?;
    let lines: [Line; 2] = [
        ("training loss", TRAINING, |epoch| epoch.train_loss),
        ("validation MSE", VALIDATION, |epoch| epoch.validation_mse),
    ];
    for (name, colour, value) in lines {
        let points = history.iter().map(|epoch| (epoch.epoch as f64, value(epoch)));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?.label(name).legend(
            move |(x, y)| plotters::prelude::PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)),
        );
    }
    chart.configure_series_labels().border_style(BLACK).background_style(WHITE.mix(0.8)).draw()?;
    area.present()?;
    Ok(())
}
