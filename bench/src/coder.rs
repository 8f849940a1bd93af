//! `bench coder`: the entropy coder by itself.

use edge_encoder::PictureEncoder;
use lopside_latent::{
    IdOnWire, Limits,
    picture::{PictureHeader, Quality},
};
use lopside_quality::{Peer as _, Webp, encode_ms_per_megapixel};

use crate::{
    BenchError, Options,
    input::{open, pixels},
    table::{Row, print},
};

const QUALITIES: [u8; 3] = [25, 45, 65];

pub(crate) fn run(options: &Options) -> Result<(), BenchError> {
    let (bundle, picture) = open(options)?;
    let space = &bundle.space;
    let maps = PictureEncoder::new(&bundle)?.layers(&picture)?;
    let symbols: usize = maps.iter().map(Vec::len).sum();
    let webp = encode_ms_per_megapixel(pixels(&picture), options.runs, || {
        Ok::<_, BenchError>(Webp::with_method(4)?.encode(&picture, 75).map(drop)?)
    })?;
    let per_symbol = pixels(&picture) as f64 / symbols as f64;
    let mut rows = Vec::new();
    for quality in QUALITIES.into_iter().filter_map(Quality::new) {
        let header = PictureHeader { width: picture.width(), height: picture.height(), grey: false, quality };
        let quantise =
            |(layer, maps): (usize, &Vec<f32>)| space.quantiser().quantise(layer, quality.index(), maps);
        let layers = maps.iter().enumerate().map(quantise).collect::<Result<Vec<_>, _>>()?;
        let frame = space.encode_integers(header, &layers, IdOnWire::Present)?;
        let encode = encode_ms_per_megapixel(pixels(&picture), options.runs, || {
            Ok::<_, BenchError>(space.encode_integers(header, &layers, IdOnWire::Present).map(drop)?)
        })?;
        let decode = encode_ms_per_megapixel(pixels(&picture), options.runs, || {
            Ok::<_, BenchError>(space.decode(&frame, &Limits::default()).map(drop)?)
        })?;
        let bpp = frame.len() as f64 * 8.0 / pixels(&picture) as f64;
        for (way, ms) in [("encode", encode), ("decode", decode)] {
            // A millisecond a megapixel is a nanosecond a pixel.
            let name = format!("{way}, quality {} ({bpp:.2} bpp)", quality.get());
            rows.push(Row::new(&name, ms, "ns/pixel").against("libwebp, method 4, in all", webp));
            rows.push(Row::new(&name, 1e3 / (ms * per_symbol), "Msym/s"));
        }
    }
    print(&rows, options.json)
}
