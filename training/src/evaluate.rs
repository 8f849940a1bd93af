//! A bundle on pictures it has never seen: real frames from the real encoder, decoded by the real head.

use std::{path::Path, sync::Arc};

use cloud_decoder::{Decoder, Format, Registry, Request, Runtime, Value, Wanted};
use edge_encoder::Encoder;
use image::{DynamicImage, GrayImage};
use lopside_bundle::{Bundle, Cost, InputSpec, Part};
use lopside_latent::{IdOnWire, Limits};
use lopside_quality::{CodecPoint, ContactSheet, jpeg_point, png_bytes, psnr_of_mse, webp_point};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Pca, TrainingError, engines::OrtModel, progress};

/// Frames of one request.
const BATCH: usize = 50;
/// Pictures on the contact sheet.
const SHEET_PICTURES: usize = 16;

/// What a bundle does to the test pictures. Mean squared errors are over samples of 0 to 1; every PSNR is that of
/// the mean squared error over all pictures, in dB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Pictures measured.
    pub pictures: usize,
    /// Values of a latent.
    pub latent_values: usize,
    /// The encoder's cost.
    pub encoder: EvaluatedCost,
    /// The head's cost.
    pub decoder: EvaluatedCost,
    /// Mean squared error with latents that are not quantised.
    pub mse_float: f64,
    /// Mean squared error through frames.
    pub mse_frames: f64,
    /// The PSNR of `mse_frames`.
    pub psnr_frames_db: f64,
    /// Bytes of a frame, header and latent-space id included.
    pub frame: Spread,
    /// PCA with as many components as the latent has values, nothing quantised: its mean squared error.
    pub mse_pca: f64,
    /// Samples of a picture, a byte each.
    pub raw_bytes: usize,
    /// The mean PNG.
    pub png_bytes: f64,
    /// JPEG at its smallest.
    pub jpeg_smallest: Peer,
    /// WebP at its smallest.
    pub webp_smallest: Peer,
}

/// Parameters and multiply-accumulates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatedCost {
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-accumulates a picture.
    pub macs: u64,
}

/// A distribution of sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The smallest.
    pub min: usize,
    /// The median.
    pub median: usize,
    /// The largest.
    pub max: usize,
}

/// Another codec over the same pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its mean size.
    pub mean_bytes: f64,
    /// Its mean squared error.
    pub mse: f64,
    /// The PSNR of `mse`.
    pub psnr_db: f64,
}

/// Measures the bundle in `folder` on `test`; PCA is fitted on `train`. Also draws the first pictures.
///
/// # Errors
/// [`TrainingError`] when the bundle is refused or a part of the path fails.
pub fn evaluate(
    folder: &Path,
    train: &Dataset,
    test: &Dataset,
    runtime: &Runtime,
) -> Result<(Evaluation, ContactSheet), TrainingError> {
    let bundle = Bundle::load(folder, Part::Whole)?;
    let encoder = Encoder::new(&bundle)?;
    let registry = Registry::load(&[folder.to_owned()], runtime, 1)?;
    let decoder = Decoder::new(Arc::new(registry), Limits::default());
    let pictures = pictures(test, &bundle)?;
    let through = through_frames(&encoder, &decoder, &pictures)?;
    let every: Vec<usize> = (0..test.len()).collect();
    let originals = test.batch(&every);
    let latent_values = bundle.space.len();
    let pca = Pca::fit(&train.batch(&(0..train.len()).collect::<Vec<_>>()), train.picture_len, latent_values);
    let mse_frames = mse(&originals, &through.reconstructions);
    let evaluation = Evaluation {
        pictures: test.len(),
        latent_values,
        encoder: cost(bundle.manifest.encoder.cost),
        decoder: cost(bundle.manifest.heads[0].cost),
        mse_float: mse(&originals, &unquantised(&bundle, &originals, test.len(), runtime)?),
        mse_frames,
        psnr_frames_db: psnr_of_unit_mse(mse_frames),
        frame: through.spread(),
        mse_pca: pca.mse(&originals),
        raw_bytes: test.picture_len,
        png_bytes: mean_png(&pictures)?,
        jpeg_smallest: peer(&pictures, |picture| Ok(jpeg_point(picture, 1)?))?,
        webp_smallest: peer(&pictures, |picture| Ok(webp_point(picture, 0)?))?,
    };
    Ok((evaluation, sheet(&pictures, &through.reconstructions)?))
}

impl Evaluation {
    /// The figures as lines of a table, also for the model card.
    #[must_use]
    pub fn table(&self) -> String {
        let row = |what: &str, bytes: String, mse: f64| {
            let psnr = if mse == 0.0 { "lossless".into() } else { format!("{:.2}", psnr_of_unit_mse(mse)) };
            format!("| {what} | {bytes} | {mse:.5} | {psnr} |\n")
        };
        let frame = format!("{:.1} ({}–{})", self.frame.mean, self.frame.min, self.frame.max);
        let values = self.latent_values;
        let mut text = String::from("| | bytes a picture | MSE | PSNR dB |\n|---|---|---|---|\n");
        text += &row("this bundle, through real frames", frame, self.mse_frames);
        text += &row("this bundle, latents not quantised", format!("{}", 4 * values), self.mse_float);
        text += &row(
            &format!("PCA, {values} components, not quantised"),
            format!("{}", 4 * values),
            self.mse_pca,
        );
        text += &row(
            "JPEG at its smallest",
            format!("{:.1}", self.jpeg_smallest.mean_bytes),
            self.jpeg_smallest.mse,
        );
        text += &row(
            "WebP at its smallest",
            format!("{:.1}", self.webp_smallest.mean_bytes),
            self.webp_smallest.mse,
        );
        text += &row("PNG", format!("{:.1}", self.png_bytes), 0.0);
        text += &row("raw", self.raw_bytes.to_string(), 0.0);
        text
    }
}

/// Frames' sizes and what came back.
struct Through {
    sizes: Vec<usize>,
    reconstructions: Vec<f32>,
}

impl Through {
    fn spread(&self) -> Spread {
        let mut sizes = self.sizes.clone();
        sizes.sort_unstable();
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64;
        let at = |index: usize| sizes.get(index).copied().unwrap_or(0);
        Spread { mean, min: at(0), median: at(sizes.len() / 2), max: at(sizes.len().saturating_sub(1)) }
    }
}

fn through_frames(
    encoder: &Encoder,
    decoder: &Decoder,
    pictures: &[DynamicImage],
) -> Result<Through, TrainingError> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| TrainingError::Io { path: "tokio".into(), source })?;
    let wanted = [Wanted { head: String::new(), format: Format::Tensor }];
    let mut through = Through { sizes: Vec::new(), reconstructions: Vec::new() };
    let bar = progress::pictures(pictures.len());
    for batch in pictures.chunks(BATCH) {
        let encode = |picture: &DynamicImage| Ok(encoder.encode(picture, IdOnWire::Present)?.frame);
        let frames: Vec<Vec<u8>> = batch.iter().map(encode).collect::<Result<_, TrainingError>>()?;
        through.sizes.extend(frames.iter().map(Vec::len));
        for output in tokio
            .block_on(decoder.decode(Request { wanted: &wanted, ..Request::new(&frames) }))?
            .into_iter()
            .flatten()
        {
            if let Value::Tensor { values, .. } = output.value {
                through.reconstructions.extend(values);
            }
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(through)
}

fn unquantised(
    bundle: &Bundle,
    originals: &[f32],
    n: usize,
    runtime: &Runtime,
) -> Result<Vec<f32>, TrainingError> {
    let latents = OrtModel::new(runtime, "encoder.onnx", &bundle.encoder)?.run_all(originals, n)?;
    OrtModel::new(runtime, "reconstruct", &bundle.heads[0].model)?.run_all(&latents, n)
}

/// The test pictures; they are checked to be what the encoder takes as they are.
fn pictures(test: &Dataset, bundle: &Bundle) -> Result<Vec<DynamicImage>, TrainingError> {
    let other = || TrainingError::Model {
        model: bundle.manifest.name.clone(),
        reason: "it does not take pictures like those of the data set".into(),
    };
    let InputSpec::Picture(spec) = &bundle.manifest.input else { return Err(other()) };
    let fits = spec.samples() == test.picture_len as u64;
    let picture = |index: usize| {
        let picture = GrayImage::from_raw(spec.width, spec.height, test.picture(index).to_vec());
        picture.map(DynamicImage::from).filter(|_| fits)
    };
    (0..test.len()).map(picture).collect::<Option<_>>().ok_or_else(other)
}

fn mse(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    squares / a.len().max(1) as f64
}

fn psnr_of_unit_mse(mse: f64) -> f64 {
    psnr_of_mse(mse * 255.0 * 255.0)
}

fn mean_png(pictures: &[DynamicImage]) -> Result<f64, TrainingError> {
    let mut sum = 0;
    for picture in pictures {
        sum += png_bytes(picture)?;
    }
    Ok(sum as f64 / pictures.len() as f64)
}

fn peer(
    pictures: &[DynamicImage],
    encode: impl Fn(&DynamicImage) -> Result<CodecPoint, TrainingError>,
) -> Result<Peer, TrainingError> {
    let (mut bytes, mut mse) = (0, 0.0);
    for picture in pictures {
        let point = encode(picture)?;
        bytes += point.bytes;
        // The inverse of the PSNR's definition, per sample of 0 to 1.
        mse += 10_f64.powf(-point.psnr / 10.0);
    }
    let count = pictures.len() as f64;
    Ok(Peer { mean_bytes: bytes as f64 / count, mse: mse / count, psnr_db: psnr_of_unit_mse(mse / count) })
}

fn sheet(pictures: &[DynamicImage], reconstructions: &[f32]) -> Result<ContactSheet, TrainingError> {
    let mut sheet = ContactSheet::new(8, 4)?;
    for (picture, values) in
        pictures.iter().zip(reconstructions.chunks(pictures[0].as_bytes().len())).take(SHEET_PICTURES)
    {
        let samples = values.iter().map(|value| (value * 255.0).round() as u8).collect();
        if let Some(back) = GrayImage::from_raw(picture.width(), picture.height(), samples) {
            sheet.push_pair(picture, &back.into())?;
        }
    }
    Ok(sheet)
}

fn cost(cost: Cost) -> EvaluatedCost {
    EvaluatedCost { parameters: cost.parameters, macs: cost.macs }
}
