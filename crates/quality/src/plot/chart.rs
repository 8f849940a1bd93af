//! Axes, curves and legend, for any backend of plotters.

use std::{error::Error, ops::Range};

use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, ValueFormatter},
        types::RangedCoordf64,
    },
    drawing::DrawingAreaErrorKind,
    prelude::{
        BLACK, Cartesian2d, ChartBuilder, ChartContext, Circle, Color as _, DrawingArea, DrawingBackend,
        EmptyElement, IntoLogRange as _, LineSeries, PathElement, RGBColor, Ranged, SeriesLabelPosition,
        WHITE,
    },
};

use super::{PlotLine, QualityAxis, RateAxis, RdPlot};
use crate::RatePoint;

/// Colours that people with a colour vision deficiency can distinguish: M. Okabe, K. Ito, "Color Universal
/// Design", 2008, without black and yellow. With more than six curves the colours repeat.
const COLOURS: [(u8, u8, u8); 6] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0)];
/// Margin on each side of the values, as a fraction of their range.
const MARGIN: f64 = 0.05;

type Chart<'a, B, X> = ChartContext<'a, B, Cartesian2d<X, RangedCoordf64>>;

/// A linear or a logarithmic axis.
trait RateCoordinates: Ranged<ValueType = f64> + ValueFormatter<f64> {}
impl<X: Ranged<ValueType = f64> + ValueFormatter<f64>> RateCoordinates for X {}

/// Returns the colour of the curve with this index.
pub(super) fn curve_colour(index: usize) -> (u8, u8, u8) {
    COLOURS[index % COLOURS.len()]
}

pub(super) fn draw_chart<B: DrawingBackend>(
    plot: &RdPlot<'_>,
    lines: &[PlotLine<'_>],
    area: &DrawingArea<B, Shift>,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    match plot.rate {
        RateAxis::Linear => draw_over(plot, lines, area, value_range(lines, |point| point.bpp)),
        RateAxis::Log => {
            let decades = value_range(lines, |point| point.bpp.log10());
            let rates = 10_f64.powf(decades.start)..10_f64.powf(decades.end);
            draw_over(plot, lines, area, rates.log_scale())
        }
    }
}

fn draw_over<B: DrawingBackend, X: AsRangedCoord<Value = f64>>(
    plot: &RdPlot<'_>,
    lines: &[PlotLine<'_>],
    area: &DrawingArea<B, Shift>,
    rates: X,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
    X::CoordDescType: RateCoordinates,
{
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .caption(plot.title, ("sans-serif", 24))
        .build_cartesian_2d(rates, value_range(lines, |point| point.quality))?;
    draw_axes(&mut chart, plot.quality)?;
    for (index, line) in lines.iter().enumerate() {
        draw_line(&mut chart, line, curve_colour(index))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(("sans-serif", 16))
        .border_style(BLACK.mix(0.4))
        .background_style(WHITE.mix(0.9))
        .draw()?;
    area.present()?;
    Ok(())
}

fn draw_axes<B: DrawingBackend, X: RateCoordinates>(
    chart: &mut Chart<'_, B, X>,
    quality: QualityAxis,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let quality = match quality {
        QualityAxis::Psnr => "PSNR (dB)",
        QualityAxis::MsSsim => "MS-SSIM (dB)",
    };
    chart
        .configure_mesh()
        .x_desc("bits per pixel")
        .y_desc(quality)
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 14))
        .light_line_style(WHITE)
        .x_label_formatter(&|rate| format_tick(*rate))
        .y_label_formatter(&|quality| format_tick(*quality))
        .draw()
}

fn draw_line<'a, B: DrawingBackend + 'a, X: RateCoordinates>(
    chart: &mut Chart<'a, B, X>,
    line: &PlotLine<'_>,
    (red, green, blue): (u8, u8, u8),
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let colour = RGBColor(red, green, blue);
    let points: Vec<(f64, f64)> = line.points.iter().map(|point| (point.bpp, point.quality)).collect();
    chart.draw_series(points.iter().map(|&point| Circle::new(point, 4, colour.filled())))?;
    let series = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    series.label(line.name).legend(move |position| {
        EmptyElement::at(position)
            + PathElement::new([(0, 0), (20, 0)], colour.stroke_width(2))
            + Circle::new((10, 0), 4, colour.filled())
    });
    Ok(())
}

/// Returns the range of the values with a margin; a single value has a margin of one unit on each side.
fn value_range(lines: &[PlotLine<'_>], value: impl Fn(&RatePoint) -> f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in lines.iter().flat_map(|line| &line.points).map(value) {
        (low, high) = (low.min(value), high.max(value));
    }
    let margin = if high > low { MARGIN * (high - low) } else { 1.0 };
    low - margin..high + margin
}

/// Formats a value with at most three decimals and without trailing zeros.
fn format_tick(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.1, 2.0, 30.0, 0.125, 0.300_000_1].map(format_tick), ["0.1", "2", "30", "0.125", "0.3"]);
    }

    #[test]
    fn ranges_have_a_margin() {
        let line = |rates: &[f64]| PlotLine {
            name: "",
            points: rates.iter().map(|&bpp| RatePoint { bpp, quality: 1.0 }).collect(),
        };
        let lines = [line(&[1.0, 2.0]), line(&[3.0])];
        assert_eq!(value_range(&lines, |point| point.bpp), 0.9..3.1);
        assert_eq!(value_range(&lines, |point| point.quality), 0.0..2.0);
    }
}
