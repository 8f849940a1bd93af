//! Rate–distortion curves as an image: SVG, with text in the reader's own sans-serif font, and PNG, with text
//! drawn by glyphs inside this crate, so that no system font is needed.

mod chart;
mod pixels;

use std::{fs, path::Path};

use image::{DynamicImage, RgbImage};
use plotters::prelude::{IntoDrawingArea as _, SVGBackend};

use crate::{QualityError, RatePoint, RdCurve, baselines, image_view::ImageView};
use pixels::PixelBackend;

/// The description of a plot. Points with a value that is not finite are left out, and so are curves without
/// points.
#[derive(Debug, Clone)]
pub struct RdPlot<'a> {
    /// The title above the plot.
    pub title: &'a str,
    /// The curves, drawn and listed in the legend in this order. Points are joined in ascending order of the
    /// rate.
    pub curves: &'a [RdCurve],
    /// The measure on the vertical axis.
    pub quality: QualityAxis,
    /// The scale of the horizontal axis, which shows bits per pixel.
    pub rate: RateAxis,
    /// Width and height, in pixels.
    pub size: (u32, u32),
}

/// The quality axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QualityAxis {
    /// PSNR in dB.
    Psnr,
    /// MS-SSIM in dB, as [`ms_ssim_db`](crate::ms_ssim_db) computes it.
    MsSsim,
}

/// The scale of the axis of bits per pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateAxis {
    /// Linear: equal distances are equal differences of bits.
    Linear,
    /// Logarithmic: equal distances are equal ratios, as BD-rate weights them.
    Log,
}

impl<'a> RdPlot<'a> {
    /// Creates a plot of PSNR over a linear rate axis, 960 × 640 pixels.
    #[must_use]
    pub fn new(title: &'a str, curves: &'a [RdCurve]) -> Self {
        Self { title, curves, quality: QualityAxis::Psnr, rate: RateAxis::Linear, size: (960, 640) }
    }

    /// Renders the plot as an SVG document.
    ///
    /// # Errors
    /// [`QualityError::NoPoints`] when no curve has a finite point, [`QualityError::DrawFailed`] when the plot does
    /// not fit its size.
    pub fn svg(&self) -> Result<String, QualityError> {
        let lines = self.drawable_lines()?;
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
        chart::draw_chart(self, &lines, &area).map_err(draw_failed)?;
        drop(area);
        Ok(svg)
    }

    /// Renders the plot as pixels.
    ///
    /// # Errors
    /// The errors of [`svg`](Self::svg).
    pub fn render(&self) -> Result<RgbImage, QualityError> {
        let lines = self.drawable_lines()?;
        let mut pixels = RgbImage::new(self.size.0, self.size.1);
        let area = PixelBackend::new(&mut pixels).into_drawing_area();
        chart::draw_chart(self, &lines, &area).map_err(draw_failed)?;
        drop(area);
        Ok(pixels)
    }

    /// Writes the SVG document and replaces any file at that path.
    ///
    /// # Errors
    /// The errors of [`svg`](Self::svg), and [`QualityError::SaveFailed`] when the file cannot be written.
    pub fn save_svg(&self, path: impl AsRef<Path>) -> Result<(), QualityError> {
        write_file(path.as_ref(), self.svg()?.as_bytes())
    }

    /// Writes the pixels as a PNG file and replaces any file at that path.
    ///
    /// # Errors
    /// The errors of [`svg`](Self::svg), [`QualityError::SaveFailed`] when the file cannot be written,
    /// [`QualityError::CodecFailed`] when the PNG encoder fails.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<(), QualityError> {
        let pixels = DynamicImage::ImageRgb8(self.render()?);
        write_file(path.as_ref(), &baselines::png_encode(&ImageView::new(&pixels)?)?)
    }

    /// Returns the curves that have at least one point to draw.
    fn drawable_lines(&self) -> Result<Vec<PlotLine<'a>>, QualityError> {
        let lines = self
            .curves
            .iter()
            .map(|curve| PlotLine { name: &curve.codec, points: self.finite_points(curve) });
        let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
        if lines.is_empty() { Err(QualityError::NoPoints) } else { Ok(lines) }
    }

    fn finite_points(&self, curve: &RdCurve) -> Vec<RatePoint> {
        let mut points = match self.quality {
            QualityAxis::Psnr => curve.psnr_points(),
            QualityAxis::MsSsim => curve.ms_ssim_points(),
        };
        points.retain(|point| point.bpp > 0.0 && point.bpp.is_finite() && point.quality.is_finite());
        points.sort_by(|a, b| a.bpp.total_cmp(&b.bpp));
        points
    }
}

/// A curve as it is drawn.
struct PlotLine<'a> {
    name: &'a str,
    /// At least one point, in ascending order of the rate.
    points: Vec<RatePoint>,
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), QualityError> {
    fs::write(path, bytes)
        .map_err(|error| QualityError::SaveFailed { path: path.to_owned(), reason: error.to_string() })
}

// `map_err` passes the error by value.
#[allow(clippy::needless_pass_by_value)]
fn draw_failed(error: Box<dyn std::error::Error>) -> QualityError {
    QualityError::DrawFailed { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RdPoint;

    fn curves() -> Vec<RdCurve> {
        let curve = |codec: &str, gain: f64| {
            let point = |setting: u32| {
                let bpp = 0.1 * 1.5_f64.powi(setting as i32);
                let psnr = 30.0 + gain + 8.0 * bpp.log10();
                RdPoint {
                    quality_setting: setting,
                    bpp,
                    psnr,
                    ms_ssim: Some(1.0 - 0.05 / bpp / (1.0 + gain)),
                }
            };
            RdCurve { codec: codec.to_owned(), points: (0..9).map(point).collect() }
        };
        vec![curve("JPEG 4:2:0", 0.0), curve("WebP, method 6", 2.5), curve("AVIF 4:2:0, speed 6", 4.0)]
    }

    #[test]
    fn the_svg_document_names_axes_and_curves() {
        let curves = curves();
        let mut plot = RdPlot::new("Kodak & others", &curves);
        for (quality, label) in [(QualityAxis::Psnr, "PSNR (dB)"), (QualityAxis::MsSsim, "MS-SSIM (dB)")] {
            for rate in [RateAxis::Linear, RateAxis::Log] {
                (plot.quality, plot.rate) = (quality, rate);
                let svg = plot.svg().unwrap();
                for text in
                    ["<svg ", "Kodak &amp; others", "bits per pixel", label, "JPEG 4:2:0", "AVIF", "</svg>"]
                {
                    assert!(svg.contains(text), "no {text} in {svg}");
                }
                assert_eq!(svg.matches("<circle").count(), 3 * 9 + 3);
            }
        }
    }

    #[test]
    fn the_pixels_show_every_curve_and_text() {
        let curves = curves();
        let pixels = RdPlot::new("Kodak", &curves).render().unwrap();
        assert_eq!(pixels.dimensions(), (960, 640));
        for index in 0..3 {
            let (red, green, blue) = chart::curve_colour(index);
            let count = pixels.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count();
            assert!(count > 500, "{count} pixels of curve {index}");
        }
        // The title is centred above the chart.
        let title = image::imageops::crop_imm(&pixels, 380, 0, 200, 40).to_image();
        assert!(title.pixels().any(|pixel| pixel.0.iter().all(|&sample| sample < 64)));
        assert_eq!(pixels.get_pixel(2, 2).0, [255; 3]);
    }

    #[test]
    fn the_files_hold_the_same() {
        let (directory, curves) = (tempfile::tempdir().unwrap(), curves());
        let plot = RdPlot { rate: RateAxis::Log, ..RdPlot::new("Kodak", &curves) };
        let (svg, png) = (directory.path().join("rd.svg"), directory.path().join("rd.png"));
        plot.save_svg(&svg).unwrap();
        plot.save_png(&png).unwrap();
        assert_eq!(fs::read_to_string(svg).unwrap(), plot.svg().unwrap());
        assert_eq!(image::open(png).unwrap().to_rgb8(), plot.render().unwrap());
        let error = plot.save_png(directory.path().join("missing/rd.png")).unwrap_err().to_string();
        assert!(error.contains("missing/rd.png"), "{error}");
    }

    #[test]
    fn points_that_cannot_be_drawn_are_omitted_or_refused() {
        let mut curves = curves();
        curves[1].points.clear();
        curves[0].points[0].psnr = f64::INFINITY;
        let svg = RdPlot::new("some", &curves).svg().unwrap();
        assert!(svg.matches("<circle").count() == 8 + 9 + 2 && !svg.contains("WebP"));
        assert_eq!(RdPlot::new("none", &[]).svg(), Err(QualityError::NoPoints));
        curves[0].points.truncate(1);
        assert_eq!(RdPlot::new("none", &curves[..2]).render(), Err(QualityError::NoPoints));
        let single = RdPlot::new("one", &curves[2..]);
        assert!(single.svg().is_ok());
        let tiny = RdPlot { size: (10, 10), ..single };
        assert!(tiny.render().is_ok_and(|pixels| pixels.width() == 10) || tiny.svg().is_err());
    }
}
