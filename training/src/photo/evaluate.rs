//! Evaluates a photo bundle: real frames against JPEG, WebP and AVIF, on photographs that were not used for
//! training.

use std::path::Path;

use image::DynamicImage;
use lopside_bundle::image_codec::ImageCodecCost;
use lopside_latent::image_codec::Quality;
use lopside_quality::{
    Avif, Baseline, QualityAxis, RdCurve, RdPlot, RdPoint, TurboJpeg, Webp, fitting, format_rd_csv,
};
use serde::Serialize;

use super::{
    bundle_codec::BundleCodec,
    compare::{BdRateComparison, compare_all},
    illustration::{self, CardImage, SIDE_BY_SIDE, SheetRow, card_images},
    speed::{EncodingTime, edge_times},
    upscale::{self, UpscalingReport},
};
use crate::{TrainingError, photos, split::write_file};

/// Qualities of Lopside on its curve.
const QUALITIES: [u8; 12] = [1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88];
/// Bit rate of the side-by-side image, in bits per pixel.
const SHOWN_BPP: f64 = 0.25;
/// Side of the crops in the side-by-side image, in pixels.
const CROP_SIDE: u32 = 360;

/// The evaluation of a photo bundle.
#[derive(Debug, Clone, Serialize)]
pub struct PhotoEvaluation {
    /// Names of the images.
    pub pictures: Vec<String>,
    /// Mean curves over the images, one per codec.
    pub curves: Vec<MeanCurve>,
    /// Every codec compared with every anchor.
    pub comparisons: Vec<BdRateComparison>,
    /// The cost of the encoder, which runs at the edge.
    pub encoder: ImageCodecCost,
    /// The cost of the default head, which runs in the cloud.
    pub decoder: ImageCodecCost,
    /// Encoding times of Lopside and the baselines, which change from run to run.
    pub edge_times: Vec<EncodingTime>,
    /// Figures of the head that makes images of twice the size; `None` if the bundle does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upscaling: Option<UpscalingReport>,
    /// Images for the model card.
    #[serde(skip)]
    pub(crate) illustrations: Vec<CardImage>,
}

/// The mean rate–distortion curve of a codec.
#[derive(Debug, Clone, Serialize)]
pub struct MeanCurve {
    /// Name of the codec.
    pub codec: String,
    /// Setting, bits per pixel, PSNR in dB, MS-SSIM.
    pub points: Vec<(u32, f64, f64, f64)>,
}

/// Measures a codec on the photographs below `folder` and writes curves, images and figures to `out`.
///
/// # Errors
/// [`TrainingError`] when a photograph, the bundle or a baseline fails.
pub(crate) fn evaluate(
    bundle_codec: &mut BundleCodec,
    folder: &Path,
    out: &Path,
) -> Result<PhotoEvaluation, TrainingError> {
    let images: Vec<(String, DynamicImage)> = photos::whole_photos(folder)?.collect::<Result<_, _>>()?;
    let codecs = baselines();
    let mut curves: Vec<Vec<RdCurve>> =
        vec![bundle_curves(bundle_codec, &images, "Lopside photo", BundleCodec::encode)?];
    for (codec, settings) in &codecs {
        let baseline_curves =
            images.iter().map(|(_, image)| RdCurve::of_baseline(codec.as_ref(), image, settings));
        curves.push(baseline_curves.collect::<Result<_, _>>()?);
    }
    let mut means: Vec<RdCurve> =
        curves.iter().map(|curves| RdCurve::mean(curves)).collect::<Result<_, _>>()?;
    if bundle_codec.has_fast() {
        let fast = bundle_curves(bundle_codec, &images, "Lopside photo, fast", BundleCodec::encode_fast)?;
        means.push(RdCurve::mean(&fast)?);
    }
    let rows = side_by_side(bundle_codec, &images)?;
    let evaluation = PhotoEvaluation {
        pictures: images.iter().map(|(name, _)| name.clone()).collect(),
        comparisons: compare_all(&curves)?,
        curves: means.iter().map(mean_curve).collect(),
        encoder: bundle_codec.encoder_cost,
        decoder: bundle_codec.decoder_cost,
        edge_times: edge_times(bundle_codec, &images)?,
        upscaling: upscale::measure(bundle_codec, &images)?,
        illustrations: card_images(&means, &rows)?,
    };
    write_file(out, "curves.csv", format_rd_csv(&means).as_bytes())?;
    draw_plots(&means, out)?;
    let sheet = illustration::contact_sheet(&rows.iter().collect::<Vec<_>>(), CROP_SIDE);
    write_file(out, SIDE_BY_SIDE, &illustration::encode_png(&sheet, &out.join(SIDE_BY_SIDE))?)?;
    write_file(out, "evaluation.json", evaluation.json()?.as_bytes())?;
    Ok(evaluation)
}

fn baselines() -> Vec<(Box<dyn Baseline>, Vec<u8>)> {
    let mut codecs: Vec<(Box<dyn Baseline>, Vec<u8>)> = vec![
        (Box::new(TurboJpeg::default()), (5..=95).step_by(5).collect()),
        (Box::new(Webp::default()), (0..=95).step_by(5).collect()),
    ];
    // AVIF is measured only if its programs are installed.
    if let Ok(avif) = Avif::find() {
        codecs.push((Box::new(avif), (10..=90).step_by(10).collect()));
    }
    codecs
}

fn bundle_curves(
    bundle_codec: &mut BundleCodec,
    images: &[(String, DynamicImage)],
    codec: &str,
    encode: fn(&BundleCodec, &DynamicImage, Quality) -> Result<Vec<u8>, TrainingError>,
) -> Result<Vec<RdCurve>, TrainingError> {
    let mut curves = Vec::new();
    for (_, image) in images {
        let mut points = Vec::new();
        for quality in QUALITIES.into_iter().filter_map(Quality::new) {
            let frame = encode(bundle_codec, image, quality)?;
            let decoded = bundle_codec.decode(&frame)?;
            points.push(RdPoint::measure(u32::from(quality.get()), frame.len(), image, decoded)?);
        }
        curves.push(RdCurve { codec: codec.into(), points });
    }
    Ok(curves)
}

fn mean_curve(curve: &RdCurve) -> MeanCurve {
    let points = curve.points.iter();
    MeanCurve {
        codec: curve.codec.clone(),
        points: points.map(|p| (p.quality_setting, p.bpp, p.psnr, p.ms_ssim.unwrap_or(f64::NAN))).collect(),
    }
}

fn draw_plots(means: &[RdCurve], out: &Path) -> Result<(), TrainingError> {
    for (name, quality) in [("psnr", QualityAxis::Psnr), ("ms-ssim", QualityAxis::MsSsim)] {
        let plot = RdPlot { quality, ..illustration::psnr_plot(means) };
        plot.save_svg(out.join(format!("{name}.svg")))?;
        plot.save_png(out.join(format!("{name}.png")))?;
    }
    Ok(())
}

/// Returns the original, Lopside, JPEG and WebP at equal bytes: the best image of each baseline that is not
/// larger than Lopside's frame.
fn side_by_side(
    bundle_codec: &mut BundleCodec,
    images: &[(String, DynamicImage)],
) -> Result<Vec<SheetRow>, TrainingError> {
    let mut rows = Vec::new();
    for (name, image) in images {
        let (frame, decoded) = finest_within_budget(bundle_codec, image)?;
        let mut columns = vec![image.clone(), decoded];
        let codecs: [&dyn Baseline; 2] = [&TurboJpeg::default(), &Webp::default()];
        for codec in codecs {
            columns.push(fitting(codec, image, frame.len())?.picture);
        }
        rows.push(SheetRow { name: name.clone(), images: columns });
    }
    Ok(rows)
}

/// Returns the finest frame of at most [`SHOWN_BPP`], or that of quality 1 if it exceeds the limit, and its
/// image.
fn finest_within_budget(
    bundle_codec: &mut BundleCodec,
    image: &DynamicImage,
) -> Result<(Vec<u8>, DynamicImage), TrainingError> {
    let budget = (f64::from(image.width()) * f64::from(image.height()) * SHOWN_BPP / 8.0) as usize;
    let mut best = Vec::new();
    for quality in (1..=100).filter_map(Quality::new) {
        let frame = bundle_codec.encode(image, quality)?;
        if frame.len() > budget && !best.is_empty() {
            break;
        }
        best = frame;
    }
    let decoded = bundle_codec.decode(&best)?;
    Ok((best, decoded))
}
