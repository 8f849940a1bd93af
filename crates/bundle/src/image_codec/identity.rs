use lopside_latent::LatentSpaceId;
use sha2::{Digest as _, Sha256};

use crate::Digest;

use super::{ImageCodecInput, ImageCodecLayerSpec, ImageCodecQuantiserSpec};

const DOMAIN: &[u8] = b"lopside picture space 2\0";

/// Computes the id of an image codec's latent space: the first 8 bytes of SHA-256 over, in this order,
/// `"lopside picture space 2\0"`; the digest of `encoder.onnx` and that of the context file, 64 hexadecimal
/// digits each; the input's reach as `u32`; channels and stride of every layer as `u32`; the input's low and
/// high value, the 100 steps, all gains and all roundings as `f32`. All numbers are little-endian.
///
/// Everything that changes the meaning of a frame changes the id. Heads do not affect it.
#[must_use]
pub fn image_codec_space_id(
    encoder: &Digest,
    contexts: &Digest,
    input: &ImageCodecInput,
    layers: &[ImageCodecLayerSpec],
    quantiser: &ImageCodecQuantiserSpec,
) -> LatentSpaceId {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    hash.update(encoder.as_str());
    hash.update(contexts.as_str());
    let shapes = layers.iter().flat_map(|layer| [layer.channels, layer.stride]);
    for number in std::iter::once(input.reach).chain(shapes) {
        hash.update(number.to_le_bytes());
    }
    let values = [input.low, input.high];
    let quantiser = quantiser.steps.iter().chain(quantiser.gains.iter().flatten()).chain(&quantiser.rounding);
    for value in values.iter().chain(quantiser) {
        hash.update(value.to_le_bytes());
    }
    let digest = hash.finalize();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    LatentSpaceId::new(id)
}
