//! Bundles of photo models: pictures of any size, several layers, every quality.
//!
//! ```text
//! bundle.json       the manifest, schema 2
//! encoder.onnx      picture [n, 3, h + 2·reach, w + 2·reach] → layers, coarsest first
//! contexts.bin      the context model of the latent space
//! heads/*.onnx      layers and quality → picture
//! golden/           inputs and the frames they become, which an edge tries the encoder on
//! README.md         the model card
//! ```
//! The pictures that the card shows may lie beside it; the manifest does not name them and nothing reads them.
//! `h` and `w` are multiples of the coarsest layer's stride. A picture is continued beyond its last row and column
//! up to such sides, and `reach` samples beyond those, by its mirror image (the border's samples repeated).

mod identity;
mod load;
mod manifest;
mod write;

pub use identity::picture_space_id;
pub use load::{AnyBundle, PictureBundle, PictureHead};
pub use manifest::{
    FastEncoderSpec, LayerSpec, PICTURE_SCHEMA, PictureCost, PictureEncoderSpec, PictureHeadSpec,
    PictureInput, PictureManifest, PictureQuantiserSpec,
};
pub use write::{FastDraft, PictureDraft, PictureDraftHead, add_head, put_card};
