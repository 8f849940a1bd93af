use lopside_latent::LatentSpaceId;
use sha2::{Digest as _, Sha256};

use crate::{Digest, FixedLatentLayerSpec, InputSpec, TensorSpec};

/// The key in the `metadata_props` of an ONNX model that holds the id of its latent space. Heads carry it;
/// the encoder does not, because the id is a digest of the encoder.
pub const LATENT_SPACE_KEY: &str = "lopside.latent_space";

const DOMAIN: &[u8] = b"lopside latent space 1\0";

/// Computes the id of a latent space: the first 8 bytes of a SHA-256 that `proto/FRAME.md` specifies, over
/// the digests of `encoder.onnx` and of the table file, over the preprocessing, and over the layers with
/// their gains.
///
/// Everything that changes the meaning of a frame changes the id. Heads do not affect it.
#[must_use]
pub fn fixed_latent_space_id(
    encoder: &Digest,
    tables: &Digest,
    input: &InputSpec,
    tensor: &TensorSpec,
    latent: &[FixedLatentLayerSpec],
) -> LatentSpaceId {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    hash.update(encoder.as_str());
    hash.update(tables.as_str());
    add_input(&mut hash, input, tensor);
    add_latent(&mut hash, latent);
    let digest = hash.finalize();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    LatentSpaceId::new(id)
}

fn add_input(hash: &mut Sha256, input: &InputSpec, tensor: &TensorSpec) {
    match input {
        InputSpec::Picture(image) => {
            hash_integers(hash, [image.width, image.height, image.channels.count()]);
            hash_floats(hash, image.low.iter().zip(&image.high).flat_map(|(&low, &high)| [low, high]));
        }
        InputSpec::Series(series) => {
            hash.update(b"series\0");
            hash_integers(hash, [series.length, series.channels.len() as u32]);
            hash_floats(
                hash,
                series.mean.iter().zip(&series.deviation).flat_map(|(&mean, &deviation)| [mean, deviation]),
            );
        }
        InputSpec::Tensor {} => {
            hash.update(b"tensor\0");
            hash_integers(hash, tensor.item_dims().unwrap_or_default());
        }
    }
}

fn add_latent(hash: &mut Sha256, latent: &[FixedLatentLayerSpec]) {
    hash_floats(hash, latent.iter().flat_map(|layer| layer.gains.iter().copied()));
    // A single layer with one gain per value is fully described by its gains.
    let is_single_layer = matches!(latent, [only] if only.values() == only.gains.len() as u64);
    if !is_single_layer {
        hash_integers(
            hash,
            latent.iter().flat_map(|layer| [layer.values() as u32, layer.gains.len() as u32]),
        );
    }
}

fn hash_integers(hash: &mut Sha256, values: impl IntoIterator<Item = u32>) {
    values.into_iter().for_each(|value| hash.update(value.to_le_bytes()));
}

fn hash_floats(hash: &mut Sha256, values: impl IntoIterator<Item = f32>) {
    values.into_iter().for_each(|value| hash.update(value.to_le_bytes()));
}
