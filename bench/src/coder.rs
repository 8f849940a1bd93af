//! `bench coder`: the entropy coder alone.

use edge_encoder::PictureEncoder;
use image::DynamicImage;
use lopside_bundle::picture::PictureBundle;
use lopside_latent::{
    IdOnWire, Limits,
    picture::{Coefficients, PictureHeader, PictureSpace, Quality},
};
use lopside_quality::{EncodeJob, encode_times};

use crate::{
    BenchError, Options,
    input::{Job, open, pixels, qualities, webp},
    table::{Row, print},
};

pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let (bundle, picture) = open(options)?;
    let (contents, symbols) = contents(&bundle, &picture)?;
    let pixels = pixels(&picture);
    let mut jobs = vec![webp(4, &picture)?];
    for content in &contents {
        let bpp = content.frame.len() as f64 * 8.0 / pixels as f64;
        jobs.extend(content.both_ways(&bundle.space, bpp));
    }
    let times = encode_times(pixels, options.runs, jobs)?;
    let mut rows = Vec::new();
    if let [webp, ours @ ..] = &times[..] {
        for time in ours {
            let ms = time.ms_per_megapixel;
            // One millisecond per megapixel equals one nanosecond per pixel.
            let row = Row::new(&time.name, ms, "ns/pixel");
            rows.push(row.against("libwebp, method 4, whole encoder", webp.ms_per_megapixel));
            rows.push(Row::new(&time.name, 1e3 * symbols as f64 / (ms * pixels as f64), "Msym/s"));
        }
    }
    print(&rows, options.json)
}

/// The coder's input and output at one quality.
struct Content {
    header: PictureHeader,
    layers: Vec<Coefficients>,
    frame: Vec<u8>,
}

/// Returns the coder's input and output at every quality, and the number of integers of one latent.
fn contents(bundle: &PictureBundle, picture: &DynamicImage) -> Result<(Vec<Content>, usize), BenchError> {
    let space = &bundle.space;
    let maps = PictureEncoder::new(bundle)?.layers(picture)?;
    let content = |quality: Quality| {
        let header = PictureHeader { width: picture.width(), height: picture.height(), grey: false, quality };
        let channels = |layer: usize| space.layout().layers()[layer].channels as usize;
        let coefficients = |(layer, maps): (usize, &Vec<f32>)| {
            space.coefficients(layer, channels(layer), quality.index(), maps)
        };
        let layers = maps.iter().enumerate().map(coefficients).collect::<Result<Vec<_>, _>>()?;
        let frame = space.encode(header, &layers, IdOnWire::Present)?;
        Ok(Content { header, layers, frame })
    };
    let contents = qualities().map(content).collect::<Result<_, BenchError>>()?;
    Ok((contents, maps.iter().map(Vec::len).sum()))
}

impl Content {
    fn both_ways<'a>(&'a self, space: &'a PictureSpace, bpp: f64) -> [Job<'a>; 2] {
        let name = |way: &str| format!("{way}, quality {} ({bpp:.2} bpp)", self.header.quality.get());
        let encode = || Ok(space.encode(self.header, &self.layers, IdOnWire::Present)?.len());
        let decode = || Ok(space.decode(&self.frame, &Limits::default()).map(|_| self.frame.len())?);
        [EncodeJob::new(name("encode"), encode), EncodeJob::new(name("decode"), decode)]
    }
}
