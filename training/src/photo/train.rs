//! The photo model's training loop.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::{PhotoOptions, learner::PhotoLearner, run::PhotoRun};
use crate::{
    PhotoError, TrainingError,
    photos::{BatchLoader, BatchSampling, Crop, TileSet},
    progress,
};

/// Number of steps between two validations and checkpoints.
const VALIDATION_INTERVAL: usize = 250;

/// The parameters of a training.
pub(crate) struct PhotoTraining<'a> {
    /// The options that determine the result.
    pub(crate) options: PhotoOptions,
    /// Folder of the tile cache.
    pub(crate) tiles: PathBuf,
    /// Folder for weights, averaged weights, optimiser and metrics.
    pub(crate) run: &'a Path,
    /// Whether to resume the training in `run`.
    pub(crate) resume: bool,
    /// The step to stop after; `None` trains to the end.
    pub(crate) stop_step: Option<usize>,
    /// The run whose averaged weights to start from; `None` starts from fresh weights.
    pub(crate) start_run: Option<&'a Path>,
}

impl PhotoTraining<'_> {
    /// Runs the training; its batches depend only on the seed and the step.
    ///
    /// # Errors
    /// [`TrainingError`] when there is nothing to resume, the options differ, the crop does not fit the
    /// model, the loss diverges, or a file cannot be read or written.
    pub(crate) fn run(&self, device: &Device) -> Result<(), TrainingError> {
        let options = &self.options;
        let crop = checked_crop(options)?;
        let tiles = TileSet::open(&self.tiles)?;
        let mut learner = self.start_learner(device)?;
        let start = learner.metrics.steps_done();
        let end = self.stop_step.unwrap_or(options.steps).min(options.steps);
        let sampling = BatchSampling { seed: options.seed, batch_size: options.batch, crop };
        let loader = BatchLoader::new(&tiles, sampling, start, 1)?;
        let bar = progress::step_bar(options.steps, start);
        let (mut sum, mut count) = (0.0, 0);
        for batch in loader.take(end.saturating_sub(start)) {
            let done = batch.step + 1;
            sum += learner.step(&batch)?;
            count += 1;
            bar.inc(1);
            if done % VALIDATION_INTERVAL == 0 || done == end {
                let loss = std::mem::take(&mut sum) / f64::from(std::mem::take(&mut count));
                let point = learner.validate(&tiles, crop, done, loss);
                bar.println(format!(
                    "step {done}: loss {loss:.4}, {:.3?} bpp, {:.2?} dB",
                    point.bpp, point.psnr
                ));
                learner.save(self.run)?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn start_learner(&self, device: &Device) -> Result<PhotoLearner, TrainingError> {
        if self.resume {
            return PhotoLearner::new(&self.options, None, device).resume_from(self.run);
        }
        let Some(start_run) = self.start_run else {
            return Ok(PhotoLearner::new(&self.options, None, device));
        };
        let run = PhotoRun::read(start_run)?;
        let autodiff = device.clone().autodiff();
        autodiff.seed(self.options.seed);
        let start = run.model(&autodiff)?.with_decoder_shape(&self.options.spec(), &autodiff);
        let mut learner = PhotoLearner::new(&self.options, Some(start), device);
        learner.metrics.from = Some(Box::new(run.origin));
        Ok(learner)
    }
}

/// Returns the crop of a batch's images, whose side must be a multiple of the stride of the encoder's
/// coarsest layer.
fn checked_crop(options: &PhotoOptions) -> Result<Crop, PhotoError> {
    let step = options.scale * options.spec().alignment();
    if !options.crop.is_multiple_of(step) {
        return Err(PhotoError::CropNotMultiple { side: options.crop, step });
    }
    Crop::new(options.crop)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use image::{Rgb, RgbImage};

    use super::*;
    use crate::{
        photo::{DistortionMeasure, TrainedParts, model::PhotoModel, run::PhotoMetrics},
        photos::{self, TileOptions},
    };

    struct Setting {
        folder: tempfile::TempDir,
        options: PhotoOptions,
    }

    impl Setting {
        /// Creates two images of waves, one of them for validation, and the options of a model of the
        /// smallest size.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let photos = folder.path().join("photos");
            std::fs::create_dir(&photos).unwrap();
            for seed in [3, 5] {
                let wave = |x: u32, y: u32, c: u32| {
                    let phase = (x * seed + y * (c + 1)) as f32 / (9.0 + c as f32);
                    (128.0 + 90.0 * phase.sin()) as u8
                };
                let image = RgbImage::from_fn(256, 256, |x, y| Rgb([0, 1, 2].map(|c| wave(x, y, c))));
                image.save(photos.join(format!("{seed}.png"))).unwrap();
            }
            let options = TileOptions { halve: false, validation_share: 0.5 };
            photos::build_cache(&photos, &folder.path().join("tiles"), options).unwrap();
            let options = PhotoOptions {
                width: 4,
                blocks: 1,
                steps: 40,
                batch: 2,
                crop: 32,
                learning_rate: 2e-3,
                seed: 1,
                distortion: DistortionMeasure::Mse,
                trained: TrainedParts::Both,
                scale: 1,
            };
            Self { folder, options }
        }

        fn train(&self, run: &str, until: usize, resume: bool, from: Option<&str>) {
            let from = from.map(|from| self.folder.path().join(from));
            let training = PhotoTraining {
                options: self.options.clone(),
                tiles: self.folder.path().join("tiles"),
                run: &self.folder.path().join(run),
                resume,
                stop_step: Some(until),
                start_run: from.as_deref(),
            };
            training.run(&Device::flex()).unwrap();
        }

        fn model(&self, run: &str) -> PhotoModel {
            let run = PhotoRun::read(&self.folder.path().join(run)).unwrap();
            run.model(&Device::flex()).unwrap()
        }
    }

    fn differ<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> bool {
        (a - b).abs().max().into_scalar::<f32>() > 0.0
    }

    #[test]
    fn a_resumed_training_ends_where_an_uninterrupted_one_does() {
        let setting = Setting::new();
        setting.train("start", 1, false, None);
        setting.train("whole", 6, false, Some("start"));
        setting.train("parts", 3, false, Some("start"));
        setting.train("parts", 6, true, None);
        assert!(!differ(
            setting.model("whole").trunk.tail.weight.val(),
            setting.model("parts").trunk.tail.weight.val()
        ));
        let last = |run: &str| {
            let metrics = PhotoMetrics::read(&setting.folder.path().join(run)).unwrap();
            let point = metrics.points.last().unwrap().clone();
            (point.bpp, point.psnr)
        };
        assert_eq!(last("whole"), last("parts"));
    }

    #[test]
    fn a_decoder_of_twice_the_size_starts_from_a_run_and_resumes() {
        let mut setting = Setting::new();
        setting.train("start", 2, false, None);
        setting.options =
            PhotoOptions { trained: TrainedParts::Decoder, scale: 2, crop: 64, ..setting.options };
        setting.train("whole", 6, false, Some("start"));
        setting.train("parts", 3, false, Some("start"));
        setting.train("parts", 6, true, None);
        let (start, whole, parts) = (setting.model("start"), setting.model("whole"), setting.model("parts"));
        assert!(!differ(start.analysis.bands.val(), whole.analysis.bands.val()));
        assert!(!differ(start.synthesis.bands.val(), whole.synthesis.bands.val()));
        let tail = |model: &PhotoModel| model.trunk.detail.as_ref().unwrap().tail.weight.val();
        assert!(!differ(tail(&whole), tail(&parts)));
        assert!(differ(tail(&whole), tail(&whole).zeros_like()));
    }

    #[test]
    fn a_crop_that_the_coarsest_layer_does_not_divide_is_refused() {
        let mut setting = Setting::new();
        setting.options.scale = 2;
        setting.options.crop = 96;
        let training = PhotoTraining {
            options: setting.options,
            tiles: setting.folder.path().join("tiles"),
            run: &setting.folder.path().join("run"),
            resume: false,
            stop_step: None,
            start_run: None,
        };
        let error = training.run(&Device::flex()).unwrap_err().to_string();
        assert!(error.contains("96") && error.contains("multiple of 64"), "{error}");
    }

    #[test]
    fn training_the_decoder_alone_keeps_the_latent_space() {
        let mut setting = Setting::new();
        setting.train("both", 5, false, None);
        setting.options.trained = TrainedParts::Decoder;
        setting.train("decoder", 5, false, Some("both"));
        let (before, after) = (setting.model("both"), setting.model("decoder"));
        assert!(!differ(before.analysis.bands.val(), after.analysis.bands.val()));
        assert!(!differ(before.analysis.merges[0].val(), after.analysis.merges[0].val()));
        assert!(!differ(before.gains[1].val(), after.gains[1].val()));
        assert!(differ(before.synthesis.bands.val(), after.synthesis.bands.val()));
        assert!(differ(before.trunk.tail.weight.val(), after.trunk.tail.weight.val()));
    }
}
