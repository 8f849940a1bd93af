use lopside_latent::LatentSpaceId;
use sha2::{Digest as _, Sha256};

use crate::{Digest, Preprocess};

/// The key under which an ONNX model's `metadata_props` name the latent space it belongs to. Heads carry it; the
/// encoder does not, because the name is a digest of the encoder.
pub const LATENT_SPACE_KEY: &str = "lopside.latent_space";

const DOMAIN: &[u8] = b"lopside latent space 1\0";

/// The name of a latent space: the first 8 bytes of SHA-256 over, in this order,
/// `"lopside latent space 1\0"`; the digest of `encoder.onnx` and that of the table file, 64 hexadecimal digits
/// each; width, height and channels of the preprocessing as `u32`; its low and high value and all gains as
/// `f32`; numbers little-endian.
///
/// Whatever changes a frame's meaning changes the name. Heads are not part of it.
#[must_use]
pub fn latent_space_id(
    encoder: &Digest,
    tables: &Digest,
    preprocess: &Preprocess,
    gains: &[f32],
) -> LatentSpaceId {
    let mut hash = Sha256::new_with_prefix(DOMAIN);
    hash.update(encoder.as_str());
    hash.update(tables.as_str());
    for number in [preprocess.width, preprocess.height, preprocess.channels.count()] {
        hash.update(number.to_le_bytes());
    }
    for value in [preprocess.low, preprocess.high].iter().chain(gains) {
        hash.update(value.to_le_bytes());
    }
    let digest = hash.finalize();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    LatentSpaceId::new(id)
}
