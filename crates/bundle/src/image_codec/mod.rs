//! Bundles of image codecs: images of any size, several layers, every quality.
//!
//! ```text
//! bundle.json       the manifest, schema 2
//! encoder.onnx      image [n, 3, h + 2·reach, w + 2·reach] → layers, coarsest first
//! contexts.bin      the context model of the latent space
//! heads/*.onnx      layers and quality → image
//! golden/           inputs and the frames they become, with which a device tests the encoder
//! README.md         the model card
//! ```
//! Images that the model card shows may be stored beside it; the manifest does not name them and the code
//! does not read them. `h` and `w` are multiples of the coarsest layer's stride. An image is extended beyond
//! its last row and column up to such sides, and by `reach` samples beyond those, with its mirror image
//! (border samples repeated).

mod identity;
mod load;
mod manifest;
mod write;

pub use identity::image_codec_space_id;
pub use load::{AnyBundle, ImageCodecBundle, ImageCodecHead};
pub use manifest::{
    FastEncoderSpec, IMAGE_CODEC_SCHEMA, ImageCodecCost, ImageCodecEncoderSpec, ImageCodecHeadSpec,
    ImageCodecInput, ImageCodecLayerSpec, ImageCodecManifest, ImageCodecQuantiserSpec,
};
pub use write::{FastEncoderDraft, ImageCodecDraft, ImageCodecDraftHead, add_head, put_model_card};
