//! `bench coder`: the entropy coder alone.

use image::DynamicImage;
use lopside_bundle::image_codec::ImageCodecBundle;
use lopside_encoder::ImageCodecEncoder;
use lopside_latent::{
    IdOnWire, Limits,
    image_codec::{Coefficients, ImageCodecHeader, ImageCodecSpace, Quality},
};
use lopside_quality::{EncodeJob, measure_encode_times};

use crate::{
    BenchError, CodecArgs,
    input::{TimedJob, load_inputs, our_qualities, pixel_count, webp_job},
    table::{Measurement, print_rows},
};

pub(crate) fn run(options: &CodecArgs) -> Result<(), BenchError> {
    let (bundle, image) = load_inputs(options)?;
    let (contents, symbols) = coder_work(&bundle, &image)?;
    let pixels = pixel_count(&image);
    let mut jobs = vec![webp_job(4, &image)?];
    for content in &contents {
        let bpp = content.frame.len() as f64 * 8.0 / pixels as f64;
        jobs.extend(content.jobs(&bundle.space, bpp));
    }
    let times = measure_encode_times(pixels, options.runs, jobs)?;
    let mut rows = Vec::new();
    if let [webp, ours @ ..] = &times[..] {
        for time in ours {
            let ms = time.ms_per_megapixel;
            // One millisecond per megapixel equals one nanosecond per pixel.
            let row = Measurement::new(&time.name, ms, "ns/pixel");
            rows.push(row.with_ratio("libwebp, method 4, whole encoder", webp.ms_per_megapixel));
            rows.push(Measurement::new(&time.name, 1e3 * symbols as f64 / (ms * pixels as f64), "Msym/s"));
        }
    }
    print_rows(&rows, options.json)
}

/// The coder's input and output at one quality.
struct CoderWork {
    header: ImageCodecHeader,
    layers: Vec<Coefficients>,
    frame: Vec<u8>,
}

/// Returns the coder's input and output at every quality, and the number of integers of one latent.
fn coder_work(
    bundle: &ImageCodecBundle,
    image: &DynamicImage,
) -> Result<(Vec<CoderWork>, usize), BenchError> {
    let space = &bundle.space;
    let maps = ImageCodecEncoder::new(bundle)?.layers(image)?;
    let contents = our_qualities()
        .map(|quality| CoderWork::new(space, image, &maps, quality))
        .collect::<Result<_, BenchError>>()?;
    Ok((contents, maps.iter().map(Vec::len).sum()))
}

impl CoderWork {
    /// Quantises and encodes the feature maps of an image's layers at one quality.
    fn new(
        space: &ImageCodecSpace,
        image: &DynamicImage,
        maps: &[Vec<f32>],
        quality: Quality,
    ) -> Result<Self, BenchError> {
        let header =
            ImageCodecHeader { width: image.width(), height: image.height(), is_grey: false, quality };
        let mut layers = Vec::with_capacity(maps.len());
        for (layer, maps) in maps.iter().enumerate() {
            let channels = space.layout().layers()[layer].channels as usize;
            layers.push(space.quantise_coefficients(layer, channels, quality.index(), maps)?);
        }
        let frame = space.encode(header, &layers, IdOnWire::Present)?;
        Ok(Self { header, layers, frame })
    }

    fn jobs<'a>(&'a self, space: &'a ImageCodecSpace, bpp: f64) -> [TimedJob<'a>; 2] {
        [
            EncodeJob::new(self.job_name("encode", bpp), || {
                Ok(space.encode(self.header, &self.layers, IdOnWire::Present)?.len())
            }),
            EncodeJob::new(self.job_name("decode", bpp), || {
                Ok(space.decode(&self.frame, &Limits::default()).map(|_| self.frame.len())?)
            }),
        ]
    }

    fn job_name(&self, operation: &str, bpp: f64) -> String {
        format!("{operation}, quality {} ({bpp:.2} bpp)", self.header.quality.get())
    }
}
