//! Command-line options of the steps after training.

use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, RuntimeArgs, TrainArgs};
use crate::{
    TrainingError,
    definition::{Blueprint, Definition},
    steps::{CalibrateOptions, EvaluateOptions},
};

/// The model whose data a bundle is measured on if no other one is named.
const DEFAULT_PRESET: &str = "fashion-dense";

pub(super) const FP16_EXAMPLES: &str = "\
Examples:
  cp -r bundles/photo bundles/photo-gpu && training fp16 --bundle bundles/photo-gpu
  training fp16 --bundle bundles/fashion --head reconstruct";

pub(super) const GOLDEN_EXAMPLES: &str = "\
Examples:
  training golden --bundle bundles/fashion samples/fashion/00-ankle-boot.png samples/fashion/01-pullover.png
  training golden --bundle bundles/pump window.csv";

/// Option for the folder of a run.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Folder of the run
    #[arg(long, default_value = "runs/fashion-dense", value_name = "DIR")]
    pub run: PathBuf,
}

/// Options of `export` and `split`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub run: RunArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArgs,
}

/// Options of `calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub export: ExportArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub budget: FrameBudgetArgs,
    /// Folder of photographs to count the tables on, searched recursively [runs of preset photo]
    #[arg(long, default_value = "data/photos/train", value_name = "DIR")]
    pub photos: PathBuf,
    /// Output folder for the bundle
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub out: PathBuf,
}

impl CalibrateArgs {
    /// Returns the options of the step for the run of a model with this blueprint.
    pub(crate) fn options(&self, blueprint: Blueprint) -> CalibrateOptions {
        CalibrateOptions {
            run: self.export.run.run.clone(),
            blueprint: self.budget.apply_to(blueprint),
            data: self.data.folder(),
            out: self.out.clone(),
        }
    }
}

/// Option for the size of frames.
#[derive(Debug, Clone, Copy, Args)]
pub struct FrameBudgetArgs {
    /// Mean size of a training sample's frame, header and id included, in bytes [default: the definition's]
    #[arg(long, value_name = "BYTES")]
    pub frame_bytes: Option<f64>,
}

impl FrameBudgetArgs {
    /// Returns the blueprint with this frame budget, or unchanged if the option was not given.
    #[must_use]
    pub fn apply_to(self, mut blueprint: Blueprint) -> Blueprint {
        let frame = &mut blueprint.definition.frame;
        frame.bytes = self.frame_bytes.unwrap_or(frame.bytes);
        blueprint
    }
}

/// Options of `evaluate`.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Folder of the bundle
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub bundle: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: DataArgs,
    /// The preset or definition (.toml) that describes the data [default: fashion-dense]
    #[arg(long, value_name = "MODEL")]
    pub preset: Option<String>,
    /// The one class that counts as normal
    #[arg(long, value_name = "CLASS")]
    pub normal: Option<u8>,
    /// Folder of photographs to measure a photo bundle on, searched recursively
    #[arg(long, default_value = "data/photos/test", value_name = "DIR")]
    pub photos: PathBuf,
    /// Output folder for figures and images
    #[arg(long, default_value = "out/evaluation", value_name = "DIR")]
    pub out: PathBuf,
    /// Print JSON instead of the table
    #[arg(long)]
    pub json: bool,
}

impl EvaluateArgs {
    /// Returns the options of the step for a bundle of fixed latents.
    ///
    /// # Errors
    /// [`TrainingError`] for a model that does not exist or cannot be read.
    pub(crate) fn options(&self) -> Result<EvaluateOptions, TrainingError> {
        let mut definition = Definition::find(self.preset.as_deref().unwrap_or(DEFAULT_PRESET))?;
        definition.data.normal = self.normal.or(definition.data.normal);
        Ok(EvaluateOptions {
            bundle: self.bundle.clone(),
            definition,
            data: self.data.folder(),
            out: self.out.clone(),
            json: self.json,
        })
    }
}

/// Options of `bundle`.
#[derive(Debug, Clone, Args)]
pub struct BundleArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub train: TrainArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub budget: FrameBudgetArgs,
    /// Output folder for the bundle
    #[arg(long, default_value = "bundles/fashion", value_name = "DIR")]
    pub out: PathBuf,
}

/// Options of `fp16`.
#[derive(Debug, Clone, Args)]
pub struct Fp16Args {
    /// The bundle that gets the new head versions
    #[arg(long, value_name = "DIR")]
    pub bundle: PathBuf,
    /// Convert only this head [default: all]
    #[arg(long, value_name = "NAME")]
    pub head: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub runtime: RuntimeArgs,
}

/// Options of `golden`.
#[derive(Debug, Clone, Args)]
pub struct GoldenArgs {
    /// The bundle that gets the golden inputs
    #[arg(long, value_name = "DIR")]
    pub bundle: PathBuf,
    /// 1 to 8 small files in a format that edge-encoder reads
    #[arg(required = true, num_args = 1..=8, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
}
