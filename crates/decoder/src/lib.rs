//! The decoder: turns frames into the outputs of the heads that read their latent space.
//!
//! ```text
//! request ─► decoder ──► fixed_latent ──┐               ┌─► output (tensor, PNG, class scores, anomaly)
//!            (bundle,    or image_codec ├─► batch ──────┤
//!             checks)    (frames)       ┘   queue,      └─► statistics, metrics
//!                                           engines (ONNX Runtime)
//! ```
//! The [`Registry`] loads the bundles and starts an [`Engine`] per head; its [`Catalog`] is what
//! a request sees. The server and the training crate run the same code path.

mod anomaly;
mod batch;
mod bundle_description;
mod decoder;
mod error;
mod fixed_latent;
mod heads;
mod image_codec;
mod memory_budget;
mod model;
pub mod offload;
mod output;
mod png;
mod reference_input;
mod registry;
mod request;
mod request_options;
mod runtime;
mod served_bundle;

pub use anomaly::{Anomaly, AnomalyPart};
pub use batch::{BatchSettings, BatchTotals, Engine, HeadCounts, HeadStats, TimingCounter, TimingTotal};
pub use bundle_description::{
    BundleDescription, HeadCost, HeadDescription, HeadKindDescription, InputDescription, LayerDescription,
    LayerShape, TensorDescription,
};
pub use decoder::Decoder;
pub use error::{DecodeError, LoadError};
pub use fixed_latent::{
    FixedLatentHead, FixedLatentService, FrameOutput, ReadableFrames, head_outputs, item_dims,
};
pub use heads::{Heads, ServedHead, VersionedHead};
pub use image_codec::{FeatureMaps, ImageCodec, ImageCodecDecoder, ImageCodecService, ImageHead};
pub use memory_budget::MemoryBudget;
pub use model::BatchSlice;
pub use output::{Output, OutputFormat, OutputKind, OutputValue, softmax};
pub use reference_input::ReferenceInput;
pub use registry::{BundleVersion, Catalog, IndexEntry, Registry};
pub use request::{DEFAULT_TIMEOUT, DecodeRequest, MAX_FRAMES, MAX_OUTPUTS, OutputRequest, check_frames};
pub use request_options::{Priority, RequestOptions};
pub use runtime::{Device, Runtime};
pub use served_bundle::ServedBundle;
