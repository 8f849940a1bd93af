//! Measures the reconstruction error and compares it with other codecs.

use image::DynamicImage;
use lopside_bundle::{HeadKind, ImageSpec, InputSpec};
use lopside_decoder::Runtime;
use lopside_input::{image_from_samples, image_samples, normalise_window, to_model_image};
use lopside_quality::{CodecPoint, ContactSheet, jpeg_point, png_bytes, psnr_of_mse, webp_point};
use serde::{Deserialize, Serialize};

use super::{round_trip::RoundTrip, size_distribution::SizeDistribution};
use crate::{
    DataError, Pca, TrainingError,
    corpus::{Corpus, CorpusSamples},
    engines::{OrtModel, TensorValues},
    split_service::SplitService,
};

/// Number of images on the contact sheet.
const SHEET_IMAGES: usize = 16;
/// Scale factor of images on the contact sheet, for a side of 28 pixels.
const SHEET_SCALE: u32 = 4;

/// Reconstruction errors. They are mean squared errors over the head's values: samples from 0 to 1 in the
/// shipped image bundles, multiples of the standard deviation for time series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReconstructionFigures {
    /// Mean squared error with unquantised latents.
    pub mse_float: f64,
    /// Mean squared error through frames.
    pub mse_frames: f64,
    /// Mean squared error of PCA with as many components as the latent has values, unquantised. `None` if the
    /// latent has at least as many values as the sample, or if the output has another size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mse_pca: Option<f64>,
    /// Figures for images only.
    #[serde(flatten)]
    pub picture: Option<ImageFigures>,
}

/// Image quality compared with other codecs. Every PSNR is computed from the mean squared error over all
/// images, in dB.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ImageFigures {
    /// PSNR of the mean squared error through frames.
    pub psnr_frames_db: f64,
    /// For heads that upscale: PSNR of the encoder's input enlarged by bicubic interpolation, unquantised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psnr_bicubic_db: Option<f64>,
    /// Mean size of PNG files in bytes.
    pub png_bytes: f64,
    /// JPEG at its lowest quality.
    pub jpeg_smallest: BaselineCodec,
    /// WebP at its lowest quality.
    pub webp_smallest: BaselineCodec,
}

/// The figures of a baseline codec on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BaselineCodec {
    /// Mean size in bytes.
    pub mean_bytes: f64,
    /// Mean squared error, for samples from 0 to 1.
    pub mse: f64,
    /// PSNR of `mse` in dB.
    pub psnr_db: f64,
}

/// Computes the figures and, for images, a contact sheet of the first ones.
pub(super) fn reconstruction_figures(
    service: &SplitService,
    round_trip: &RoundTrip,
    train: &Corpus,
    test: &Corpus,
    runtime: &Runtime,
) -> Result<(ReconstructionFigures, Option<ContactSheet>), TrainingError> {
    let (inputs, targets) = (sample_rows(service, test, false)?, sample_rows(service, test, true)?);
    let figures = ReconstructionFigures {
        mse_float: mean_squared_error(
            &targets,
            &decode_unquantised(service, inputs.clone(), test.len(), runtime)?,
        ),
        mse_frames: mean_squared_error(&targets, &round_trip.reconstructions),
        mse_pca: pca_error(service, train, &inputs, &targets, test.len())?,
        picture: None,
    };
    let HeadKind::Reconstruct(spec) = &service.bundle.manifest.heads[0].kind else {
        return Ok((figures, None));
    };
    let originals: Vec<DynamicImage> = grey_images(test).map(|image| to_model_image(&image, spec)).collect();
    let image = ImageFigures {
        psnr_frames_db: psnr_of_unit_mse(figures.mse_frames),
        psnr_bicubic_db: bicubic_psnr(service, test, &originals, spec),
        png_bytes: mean_png(&originals)?,
        jpeg_smallest: measure_codec(&originals, |image| Ok(jpeg_point(image, 1)?))?,
        webp_smallest: measure_codec(&originals, |image| Ok(webp_point(image, 0)?))?,
    };
    let sheet = contact_sheet(&originals, &round_trip.reconstructions, spec)?;
    Ok((ReconstructionFigures { picture: Some(image), ..figures }, Some(sheet)))
}

impl ReconstructionFigures {
    /// Formats the figures as a Markdown table, with the sizes of frames, the number of values per latent and
    /// the bytes per uncompressed sample.
    #[must_use]
    pub fn table(&self, frame: SizeDistribution, values: usize, raw_bytes: usize) -> String {
        let sizes = format!("{:.1} ({}–{})", frame.mean, frame.min, frame.max);
        let mut text = if self.picture.is_some() {
            String::from("| | bytes per image | MSE | PSNR dB |\n|---|---|---|---|\n")
        } else {
            String::from("| | bytes per sample | MSE |\n|---|---|---|\n")
        };
        let unquantised = (4 * values).to_string();
        text += &self.table_row("this bundle, through real frames", &sizes, self.mse_frames);
        text += &self.table_row("this bundle, latents not quantised", &unquantised, self.mse_float);
        if let Some(mse) = self.mse_pca {
            text += &self.table_row(&format!("PCA, {values} components, not quantised"), &unquantised, mse);
        }
        if let Some(image) = &self.picture {
            if let Some(psnr) = image.psnr_bicubic_db {
                let mse = 10_f64.powf(-psnr / 10.0);
                text += &self.table_row("the encoder's input, enlarged (bicubic)", "–", mse);
            }
            for (name, codec) in [("JPEG", image.jpeg_smallest), ("WebP", image.webp_smallest)] {
                let bytes = format!("{:.1}", codec.mean_bytes);
                text += &self.table_row(&format!("{name}, lowest quality"), &bytes, codec.mse);
            }
            text += &self.table_row("PNG", &format!("{:.1}", image.png_bytes), 0.0);
        }
        text + &self.table_row("raw", &raw_bytes.to_string(), 0.0)
    }

    /// Formats a row of the table, with a PSNR for images.
    fn table_row(&self, label: &str, bytes: &str, mse: f64) -> String {
        let psnr = if mse == 0.0 { "lossless".into() } else { format!("{:.2}", psnr_of_unit_mse(mse)) };
        let psnr = if self.picture.is_some() { format!(" {psnr} |") } else { String::new() };
        format!("| {label} | {bytes} | {mse:.5} |{psnr}\n")
    }
}

/// Returns all samples as encoder inputs, or with `target` as the ideal outputs of the first head.
pub(super) fn sample_rows(
    service: &SplitService,
    corpus: &Corpus,
    target: bool,
) -> Result<Vec<f32>, TrainingError> {
    let manifest = &service.bundle.manifest;
    let head_spec = match &manifest.heads[0].kind {
        HeadKind::Reconstruct(spec) => Some(spec),
        _ => None,
    };
    match (&corpus.samples, &manifest.input) {
        (CorpusSamples::Images(_), InputSpec::Picture(spec)) => {
            let spec = head_spec.filter(|_| target).unwrap_or(spec);
            Ok(grey_images(corpus)
                .flat_map(|image| image_samples(&to_model_image(&image, spec), spec))
                .collect())
        }
        (CorpusSamples::Series(half), InputSpec::Series(spec)) => {
            let windows =
                (0..corpus.len()).flat_map(|index| normalise_window(half.unscaled_window(index), spec));
            Ok(windows.collect())
        }
        _ => Err(DataError::RefusedByBundle { bundle: manifest.name.clone() }.into()),
    }
}

fn grey_images(corpus: &Corpus) -> impl Iterator<Item = DynamicImage> + '_ {
    let data = match &corpus.samples {
        CorpusSamples::Images(data) => Some(data),
        CorpusSamples::Series(_) => None,
    };
    data.into_iter().flat_map(|data| (0..data.len()).map(|index| data.grey_image(index).into()))
}

fn decode_unquantised(
    service: &SplitService,
    values: Vec<f32>,
    n: usize,
    runtime: &Runtime,
) -> Result<Vec<f32>, TrainingError> {
    let bundle = &service.bundle;
    let item_dims = bundle.manifest.encoder.input.item_dims().unwrap_or_default();
    let dims = std::iter::once(n).chain(item_dims.iter().map(|&dim| dim as usize)).collect();
    let mut encoder = OrtModel::new(runtime, "encoder.onnx", &bundle.encoder)?;
    let latents = encoder.run_batches(&[TensorValues { dims, values }])?;
    let outputs = OrtModel::new(runtime, "reconstruct", &bundle.heads[0].model)?.run_batches(&latents)?;
    Ok(outputs.into_iter().next().map(|output| output.values).unwrap_or_default())
}

fn pca_error(
    service: &SplitService,
    train: &Corpus,
    inputs: &[f32],
    targets: &[f32],
    n: usize,
) -> Result<Option<f64>, TrainingError> {
    let (dims, count) = (inputs.len() / n.max(1), service.bundle.space.len());
    if inputs.len() != targets.len() || count >= dims {
        return Ok(None);
    }
    let pca = Pca::fit(&sample_rows(service, train, false)?, dims, count);
    Ok(Some(pca.mse(inputs)))
}

pub(super) fn mean_squared_error(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    squares / a.len().max(1) as f64
}

fn psnr_of_unit_mse(mse: f64) -> f64 {
    psnr_of_mse(mse * 255.0 * 255.0)
}

/// Returns the PSNR of the encoder's input enlarged to the output's size, or `None` if the sizes are equal.
fn bicubic_psnr(
    service: &SplitService,
    test: &Corpus,
    originals: &[DynamicImage],
    spec: &ImageSpec,
) -> Option<f64> {
    let InputSpec::Picture(input_spec) = &service.bundle.manifest.input else { return None };
    if (input_spec.width, input_spec.height) == (spec.width, spec.height) {
        return None;
    }
    let enlarged = grey_images(test).map(|image| {
        let input = to_model_image(&image, input_spec);
        input.resize_exact(spec.width, spec.height, image::imageops::FilterType::CatmullRom)
    });
    let squares = enlarged.zip(originals).map(|(enlarged, original)| {
        let pairs = enlarged.as_bytes().iter().zip(original.as_bytes());
        pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>()
    });
    let samples = originals.len() as f64 * spec.samples() as f64;
    Some(psnr_of_mse(squares.sum::<f64>() / samples))
}

fn mean_png(images: &[DynamicImage]) -> Result<f64, TrainingError> {
    let mut sum = 0;
    for image in images {
        sum += png_bytes(image)?;
    }
    Ok(sum as f64 / images.len() as f64)
}

fn measure_codec(
    images: &[DynamicImage],
    encode: impl Fn(&DynamicImage) -> Result<CodecPoint, TrainingError>,
) -> Result<BaselineCodec, TrainingError> {
    let (mut bytes, mut mse) = (0, 0.0);
    for image in images {
        let point = encode(image)?;
        bytes += point.bytes;
        // Inverse of the PSNR's definition, for samples from 0 to 1.
        mse += 10_f64.powf(-point.psnr / 10.0);
    }
    let count = images.len() as f64;
    Ok(BaselineCodec {
        mean_bytes: bytes as f64 / count,
        mse: mse / count,
        psnr_db: psnr_of_unit_mse(mse / count),
    })
}

fn contact_sheet(
    originals: &[DynamicImage],
    reconstructions: &[f32],
    spec: &ImageSpec,
) -> Result<ContactSheet, TrainingError> {
    let mut sheet = ContactSheet::new(8, SHEET_SCALE)?;
    for (original, values) in
        originals.iter().zip(reconstructions.chunks(spec.samples() as usize)).take(SHEET_IMAGES)
    {
        if let Some(reconstruction) = image_from_samples(values, spec) {
            sheet.push_pair(original, &reconstruction)?;
        }
    }
    Ok(sheet)
}
