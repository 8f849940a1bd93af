//! The model of the image codec: photographs of any size, 100 qualities, and a linear encoder of about 1 kMAC
//! per pixel.

mod average;
mod bundle;
mod bundle_codec;
mod calibrate;
mod card;
mod compare;
mod double;
mod evaluate;
mod export;
mod fast;
pub(crate) mod finetune;
mod fit;
pub(crate) mod folders;
mod illustration;
pub mod lapped;
mod learner;
mod mirror;
pub mod model;
mod ms_ssim;
pub(crate) mod options;
mod pixel_shuffle;
mod quantise;
pub mod rates;
mod report;
pub mod residual_network;
pub(crate) mod run;
pub mod spec;
mod speed;
mod statistics;
pub(crate) mod steps;
mod train;
pub mod transform;
pub(crate) mod upscale;

pub use compare::BdRateComparison;
pub use evaluate::{MeanCurve, PhotoEvaluation};
pub use options::{DistortionMeasure, PhotoOptions, TrainedParts};
pub use speed::EncodingTime;
pub use upscale::{Similarity, UpscalingReport, UpscalingRow};
