//! What a photo bundle is worth: real frames against JPEG, WebP and AVIF on photographs it has never seen.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{DynamicImage, RgbImage, imageops};
use lopside_latent::picture::Quality;
use lopside_quality::{
    Avif, Peer, QualityAxis, QualityError, RatePoint, RdCurve, RdPlot, RdPoint, TurboJpeg, Webp,
    bd_rate_within, fitting, rd_csv,
};
use serde::Serialize;

use super::own::OwnCodec;
use crate::{TrainingError, error::io, photos};

/// The bit rates between which curves are compared, those of the anchor.
const RATES: (f64, f64) = (0.1, 0.8);
/// Our qualities on the curve.
const QUALITIES: [u8; 12] = [1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88];
/// The bit rate of the side-by-side picture.
const SHOWN_BPP: f64 = 0.25;
/// The side of its crops, in pixels.
const CROP: u32 = 360;

/// BD-rates of a codec against an anchor, in percent: negative is fewer bits.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The codec measured.
    pub codec: String,
    /// The codec it is measured against.
    pub anchor: String,
    /// Mean over the pictures of each one's BD-rate by PSNR.
    pub psnr_percent: f64,
    /// Each picture's, with the range of PSNR compared, in dB.
    pub psnr_by_picture: Vec<(f64, f64, f64)>,
    /// Mean over the pictures of each one's BD-rate by MS-SSIM in dB.
    pub ms_ssim_percent: f64,
}

/// The whole evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct PhotoEvaluation {
    /// The pictures' names.
    pub pictures: Vec<String>,
    /// Mean curves over the pictures.
    pub curves: Vec<Curve>,
    /// Every codec against every anchor.
    pub comparisons: Vec<Comparison>,
}

/// A mean curve.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// The codec.
    pub codec: String,
    /// Setting, bits a pixel, PSNR in dB, MS-SSIM.
    pub points: Vec<(u32, f64, f64, f64)>,
}

impl PhotoEvaluation {
    /// A Markdown table: BD-rates of every codec against every anchor.
    #[must_use]
    pub fn table(&self) -> String {
        let head = "| codec | against | BD-rate, PSNR | BD-rate, MS-SSIM |\n|---|---|---|---|\n".to_owned();
        let row = |comparison: &Comparison| {
            let Comparison { codec, anchor, psnr_percent, ms_ssim_percent, .. } = comparison;
            format!("| {codec} | {anchor} | {psnr_percent:+.1} % | {ms_ssim_percent:+.1} % |\n")
        };
        head + &self.comparisons.iter().map(row).collect::<String>()
    }

    /// All figures as JSON.
    ///
    /// # Errors
    /// [`TrainingError::Json`], which does not happen.
    pub fn json(&self) -> Result<String, TrainingError> {
        let failed = |source| TrainingError::Json { path: "evaluation.json".into(), source };
        Ok(serde_json::to_string_pretty(self).map_err(failed)? + "\n")
    }
}

/// Measures a codec on the photographs below `folder` and leaves curves, pictures and figures in `out`.
///
/// # Errors
/// [`TrainingError`] when a photograph, the bundle or a peer fails.
pub(crate) fn evaluate(
    own: &mut OwnCodec,
    folder: &Path,
    out: &Path,
) -> Result<PhotoEvaluation, TrainingError> {
    let pictures: Vec<(String, DynamicImage)> = photos::whole(folder)?.collect::<Result<_, _>>()?;
    let peers = peers();
    let mut curves: Vec<Vec<RdCurve>> = vec![own_curves(own, &pictures)?];
    for (peer, settings) in &peers {
        let of_picture =
            |(_, picture): &(String, DynamicImage)| RdCurve::of_peer(peer.as_ref(), picture, settings);
        curves.push(pictures.iter().map(of_picture).collect::<Result<_, _>>()?);
    }
    let means: Vec<RdCurve> = curves.iter().map(|curves| RdCurve::mean(curves)).collect::<Result<_, _>>()?;
    let evaluation = PhotoEvaluation {
        pictures: pictures.iter().map(|(name, _)| name.clone()).collect(),
        comparisons: comparisons(&curves)?,
        curves: means.iter().map(points).collect(),
    };
    fs::create_dir_all(out).map_err(io(out))?;
    draw(&means, out)?;
    write(&out.join("curves.csv"), rd_csv(&means).as_bytes())?;
    side_by_side(own, &pictures)?.save(out.join("side-by-side.png")).map_err(|error| {
        TrainingError::Draw { path: out.join("side-by-side.png"), reason: error.to_string() }
    })?;
    write(&out.join("evaluation.json"), evaluation.json()?.as_bytes())?;
    Ok(evaluation)
}

fn peers() -> Vec<(Box<dyn Peer>, Vec<u8>)> {
    let mut peers: Vec<(Box<dyn Peer>, Vec<u8>)> = vec![
        (Box::new(TurboJpeg::default()), (5..=95).step_by(5).collect()),
        (Box::new(Webp::default()), (0..=95).step_by(5).collect()),
    ];
    // AVIF is measured where its programs are installed.
    if let Ok(avif) = Avif::find() {
        peers.push((Box::new(avif), (10..=90).step_by(10).collect()));
    }
    peers
}

fn own_curves(
    own: &mut OwnCodec,
    pictures: &[(String, DynamicImage)],
) -> Result<Vec<RdCurve>, TrainingError> {
    let mut curves = Vec::new();
    for (_, picture) in pictures {
        let mut points = Vec::new();
        for quality in QUALITIES.into_iter().filter_map(Quality::new) {
            let frame = own.encode(picture, quality)?;
            let decoded = own.decode(&frame)?;
            points.push(RdPoint::measure(u32::from(quality.get()), frame.len(), picture, decoded)?);
        }
        curves.push(RdCurve { codec: "Lopside photo".into(), points });
    }
    Ok(curves)
}

/// Every codec against the first peer and the second: JPEG and WebP.
fn comparisons(curves: &[Vec<RdCurve>]) -> Result<Vec<Comparison>, TrainingError> {
    let mut all = Vec::new();
    for anchor in &curves[1..] {
        for codec in curves {
            if codec[0].codec != anchor[0].codec {
                all.push(compare(codec, anchor)?);
            }
        }
    }
    Ok(all)
}

fn compare(codec: &[RdCurve], anchor: &[RdCurve]) -> Result<Comparison, TrainingError> {
    let by = |points: fn(&RdCurve) -> Vec<RatePoint>| -> Result<Vec<(f64, f64, f64)>, QualityError> {
        anchor
            .iter()
            .zip(codec)
            .map(|(anchor, codec)| {
                let bd = bd_rate_within(&points(anchor), &points(codec), RATES.0, RATES.1)?;
                Ok((bd.percent, bd.low, bd.high))
            })
            .collect()
    };
    let (psnr, ms_ssim) = (by(RdCurve::psnr_points)?, by(RdCurve::ms_ssim_points)?);
    let mean =
        |values: &[(f64, f64, f64)]| values.iter().map(|value| value.0).sum::<f64>() / values.len() as f64;
    Ok(Comparison {
        codec: codec[0].codec.clone(),
        anchor: anchor[0].codec.clone(),
        psnr_percent: mean(&psnr),
        psnr_by_picture: psnr,
        ms_ssim_percent: mean(&ms_ssim),
    })
}

fn points(curve: &RdCurve) -> Curve {
    let point = |p: &RdPoint| (p.quality_setting, p.bpp, p.psnr, p.ms_ssim.unwrap_or(f64::NAN));
    Curve { codec: curve.codec.clone(), points: curve.points.iter().map(point).collect() }
}

fn draw(means: &[RdCurve], out: &Path) -> Result<(), TrainingError> {
    for (name, quality) in [("psnr", QualityAxis::Psnr), ("ms-ssim", QualityAxis::MsSsim)] {
        let mut plot = RdPlot::new("Mean over the pictures", means);
        plot.quality = quality;
        plot.save_svg(out.join(format!("{name}.svg")))?;
        plot.save_png(out.join(format!("{name}.png")))?;
    }
    Ok(())
}

/// One row a picture: the original, ours, JPEG and WebP at equal bytes (the best of each that is not larger than
/// ours), the middle of each.
fn side_by_side(own: &mut OwnCodec, pictures: &[(String, DynamicImage)]) -> Result<RgbImage, TrainingError> {
    let mut sheet = RgbImage::new(4 * CROP, pictures.len() as u32 * CROP);
    for (row, (_, picture)) in pictures.iter().enumerate() {
        let (frame, decoded) = shown(own, picture)?;
        let mut columns = vec![picture.clone(), decoded];
        let peers: [&dyn Peer; 2] = [&TurboJpeg::default(), &Webp::default()];
        for peer in peers {
            columns.push(fitting(peer, picture, frame.len())?.picture);
        }
        for (column, picture) in columns.iter().enumerate() {
            let x = picture.width().saturating_sub(CROP) / 2;
            let y = picture.height().saturating_sub(CROP) / 2;
            let part = picture.crop_imm(x, y, CROP, CROP).to_rgb8();
            imageops::replace(
                &mut sheet,
                &part,
                i64::from(column as u32 * CROP),
                i64::from(row as u32 * CROP),
            );
        }
    }
    Ok(sheet)
}

/// Our finest frame of at most [`SHOWN_BPP`].
fn shown(own: &mut OwnCodec, picture: &DynamicImage) -> Result<(Vec<u8>, DynamicImage), TrainingError> {
    let budget = (f64::from(picture.width()) * f64::from(picture.height()) * SHOWN_BPP / 8.0) as usize;
    let mut best = Vec::new();
    for quality in (1..=100).filter_map(Quality::new) {
        let frame = own.encode(picture, quality)?;
        if frame.len() > budget && !best.is_empty() {
            break;
        }
        best = frame;
    }
    let decoded = own.decode(&best)?;
    Ok((best, decoded))
}

fn write(path: &PathBuf, bytes: &[u8]) -> Result<(), TrainingError> {
    fs::write(path, bytes).map_err(io(path))
}
