//! Our codec as the evaluation sees it.

use burn::{module::Module as _, tensor::{Device, Tensor, TensorData}};
use image::{DynamicImage, RgbImage};
use lopside_bundle::picture::PictureBundle;
use lopside_latent::{IdOnWire, Limits, picture::{PictureHeader, Quality, PictureSpace}};
use std::path::Path;
use crate::TrainingError;
use super::{model::{PhotoModel, COARSEST, FINEST}, spec::Spec, train::PhotoRun};

pub(crate) struct OwnCodec { space: PictureSpace, model: PhotoModel, spec: Spec }

impl OwnCodec {
    pub(crate) fn new(bundle: &PictureBundle, run: &Path) -> Result<Self, TrainingError> {
        let run = PhotoRun::read(run)?;
        Ok(Self { space: bundle.space.clone(), model: run.model(&Device::flex())?.no_grad(), spec: run.options.spec() })
    }
    pub(crate) fn encode(&self, picture: &DynamicImage, quality: u8) -> Result<Vec<u8>, TrainingError> {
        let rgb = picture.to_rgb8();
        let (w, h) = rgb.dimensions();
        let a = self.spec.alignment() as u32;
        let (pw, ph) = (w.next_multiple_of(a), h.next_multiple_of(a));
        let m = |i: u32, n: u32| if i < n { i } else { (2 * n - 1 - i).min(n - 1) };
        let mut s = Vec::with_capacity((3 * pw * ph) as usize);
        for c in 0..3 { for y in 0..ph { for x in 0..pw { s.push(f32::from(rgb.get_pixel(m(x, w), m(y, h))[c]) / 255.0 - 0.5); } } }
        let t = Tensor::from_data(TensorData::new(s, [1, 3, ph as usize, pw as usize]), &Device::flex());
        let maps: Vec<Vec<f32>> = self.model.analysis.analyse(t, &self.spec).into_iter().map(|l| l.into_data().try_to_vec().unwrap_or_default()).collect();
        let header = PictureHeader { width: w, height: h, grey: false, quality: Quality::new(quality).unwrap_or_else(|| unreachable!()) };
        Ok(self.space.encode(header, &maps, IdOnWire::Present)?)
    }
    pub(crate) fn decode(&self, frame: &[u8]) -> Result<DynamicImage, TrainingError> {
        let d = self.space.decode(frame, &Limits::default())?;
        let maps = self.space.dequantise(&d)?;
        let (w, h) = (d.header.width, d.header.height);
        let layers: Vec<Tensor<4>> = maps.into_iter().enumerate().map(|(l, v)| {
            let [r, c] = self.space.layout().dims(l, w, h);
            let n = v.len() / r / c;
            Tensor::from_data(TensorData::new(v, [1, n, r, c]), &Device::flex())
        }).collect();
        let q = f32::from(d.header.quality.get());
        let octave = COARSEST + (q - 1.0) / 99.0 * (FINEST - COARSEST);
        let p = self.model.decode(&layers, Tensor::full([1, 1], octave, &Device::flex()), &self.spec);
        let [_, _, _, pw] = p.dims(); let ph = p.dims()[2];
        let v: Vec<f32> = p.into_data().try_to_vec().unwrap_or_default();
        Ok(RgbImage::from_fn(w, h, |x, y| image::Rgb([0, 1, 2].map(|c: usize| ((v[(c * ph + y as usize) * pw + x as usize] + 0.5) * 255.0).round().clamp(0.0, 255.0) as u8))).into())
    }
}
