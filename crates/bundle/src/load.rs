use std::path::{Path, PathBuf};

use lopside_latent::{LatentSpace, Quantiser, Shape, Tables};

use crate::{BundleError, HeadSpec, Manifest, files, latent_space_id};

const MANIFEST: &str = "bundle.json";
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// Which files of a bundle a host needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The encoder and the tables: an edge.
    Encoder,
    /// The heads and the tables: a cloud.
    Heads,
    /// Everything, the model card included.
    Whole,
}

/// A bundle whose files have all been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The manifest.
    pub manifest: Manifest,
    /// The latent space.
    pub space: LatentSpace,
    /// `encoder.onnx`; empty when only the heads were asked for.
    pub encoder: Vec<u8>,
    /// The heads, in the manifest's order; none when only the encoder was asked for.
    pub heads: Vec<Head>,
}

/// A head and its model.
#[derive(Debug, Clone)]
pub struct Head {
    /// What the manifest says of it.
    pub spec: HeadSpec,
    /// The ONNX file.
    pub model: Vec<u8>,
}

impl Bundle {
    /// Loads the part of the bundle in `folder` that a host needs, and checks the manifest, the latent-space id
    /// and the length and digest of every file it reads.
    ///
    /// # Errors
    /// [`BundleError`] naming the file or field that is wrong.
    pub fn load(folder: &Path, part: Part) -> Result<Self, BundleError> {
        let (path, text) = read_text(folder)?;
        read_vector(folder, &path, &text, part)
    }
}

/// The bundle whose manifest is `text`, read from `path`.
pub(crate) fn read_vector(
    folder: &Path,
    path: &Path,
    text: &[u8],
    part: Part,
) -> Result<Bundle, BundleError> {
    let manifest = parse(path, text)?;
    let space = read_space(folder, &manifest)?;
    let encoder = match part {
        Part::Encoder | Part::Whole => files::read(folder, &manifest.encoder.model)?,
        Part::Heads => Vec::new(),
    };
    let heads = match part {
        Part::Heads | Part::Whole => read_heads(folder, &manifest)?,
        Part::Encoder => Vec::new(),
    };
    if part == Part::Whole {
        files::read(folder, &manifest.model_card)?;
    }
    Ok(Bundle { manifest, space, encoder, heads })
}

/// The manifest's place and text.
pub(crate) fn read_text(folder: &Path) -> Result<(PathBuf, Vec<u8>), BundleError> {
    let path = folder.join(MANIFEST);
    if !path.is_file() {
        return Err(BundleError::NoManifest { path: folder.to_owned() });
    }
    let text = files::read_at_most(&path, MAX_MANIFEST_BYTES)?;
    if text.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(BundleError::TooLarge { path: MANIFEST.to_owned(), limit: MAX_MANIFEST_BYTES });
    }
    Ok((path, text))
}

fn parse(path: &Path, text: &[u8]) -> Result<Manifest, BundleError> {
    let manifest: Manifest =
        serde_json::from_slice(text).map_err(|source| BundleError::Json { path: path.to_owned(), source })?;
    manifest.check()?;
    Ok(manifest)
}

fn read_space(folder: &Path, manifest: &Manifest) -> Result<LatentSpace, BundleError> {
    let gains = &manifest.quantiser.gains;
    let computed =
        latent_space_id(&manifest.encoder.model.sha256, &manifest.tables.sha256, &manifest.preprocess, gains);
    let found = manifest.latent_space;
    if computed != found {
        return Err(BundleError::Identity { found, computed });
    }
    let tables = Tables::from_bytes(&files::read(folder, &manifest.tables)?)?;
    let shape = Shape::new(&manifest.encoder.output.item_dims().unwrap_or_default())?;
    Ok(LatentSpace::new(found, shape, Quantiser::new(gains.clone())?, tables)?)
}

fn read_heads(folder: &Path, manifest: &Manifest) -> Result<Vec<Head>, BundleError> {
    let read = |spec: &HeadSpec| Ok(Head { spec: spec.clone(), model: files::read(folder, &spec.model)? });
    manifest.heads.iter().map(read).collect()
}
