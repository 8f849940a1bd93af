use std::path::Path;

use lopside_latent::{LatentSpaceId, image_codec::ContextModel};

use crate::{
    BundleError, Digest, FileRef,
    files::write_file,
    manifest_file::{self, ManifestFile},
};

use super::{
    FastEncoderSpec, IMAGE_CODEC_SCHEMA, ImageCodecCost, ImageCodecEncoderSpec, ImageCodecHeadSpec,
    ImageCodecInput, ImageCodecLayerSpec, ImageCodecManifest, ImageCodecQuantiserSpec, image_codec_space_id,
};

/// The complete contents of an image codec's bundle, in memory.
#[derive(Debug, Clone)]
pub struct ImageCodecDraft {
    /// The name of the bundle.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The preprocessing that turns an image into the encoder's input.
    pub input: ImageCodecInput,
    /// The contents of `encoder.onnx`.
    pub encoder: Vec<u8>,
    /// The name of the image tensor.
    pub input_tensor: String,
    /// The name of the tensor up to which strips of an image are independent.
    pub bands: String,
    /// The fast encoder; `None` for a bundle without one.
    pub fast: Option<FastEncoderDraft>,
    /// The cost of the encoder.
    pub encoder_cost: ImageCodecCost,
    /// The layers, coarsest first.
    pub layers: Vec<ImageCodecLayerSpec>,
    /// The quantiser.
    pub quantiser: ImageCodecQuantiserSpec,
    /// The context model.
    pub contexts: ContextModel,
    /// The heads.
    pub heads: Vec<ImageCodecDraftHead>,
}

/// The fast encoder of a [`ImageCodecDraft`].
#[derive(Debug, Clone)]
pub struct FastEncoderDraft {
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
    /// The name of the image tensor.
    pub input: String,
    /// The name of the tensor of the first bands.
    pub bands: String,
    /// The cost of the fast encoder.
    pub cost: ImageCodecCost,
}

/// A head of a [`ImageCodecDraft`].
#[derive(Debug, Clone)]
pub struct ImageCodecDraftHead {
    /// The name of the head.
    pub name: String,
    /// The version of the head.
    pub version: u32,
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
    /// The name of the quality tensor.
    pub quality: String,
    /// The name of the image tensor.
    pub output: String,
    /// Magnification of the output relative to the input, in each direction.
    pub scale: u32,
    /// The cost of the head.
    pub cost: ImageCodecCost,
}

impl ImageCodecDraft {
    /// Returns the id of the latent space that this draft defines.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        let contexts = Digest::of(&self.contexts.to_bytes());
        image_codec_space_id(
            &Digest::of(&self.encoder),
            &contexts,
            &self.input,
            &self.layers,
            &self.quantiser,
        )
    }

    /// Writes the bundle into `folder`, which is created if it is missing; files of the same names are
    /// replaced. `model_card` becomes `README.md`.
    ///
    /// # Errors
    /// Returns [`BundleError::Io`], or an error of [`ImageCodecManifest::check`].
    pub fn write(&self, folder: &Path, model_card: &str) -> Result<ImageCodecManifest, BundleError> {
        let manifest = self.manifest(model_card);
        manifest.check()?;
        write_file(folder, &manifest.encoder.model.path, &self.encoder)?;
        if let (Some(fast), Some(spec)) = (&self.fast, &manifest.encoder.fast) {
            write_file(folder, &spec.model.path, &fast.model)?;
        }
        write_file(folder, &manifest.contexts.path, &self.contexts.to_bytes())?;
        for (head, spec) in self.heads.iter().zip(&manifest.heads) {
            write_file(folder, &spec.model.path, &head.model)?;
        }
        write_file(folder, &manifest.model_card.path, model_card.as_bytes())?;
        // The manifest is written last, so that a folder with a manifest is a complete bundle.
        manifest_file::write_manifest(folder, &manifest)?;
        Ok(manifest)
    }

    fn manifest(&self, model_card: &str) -> ImageCodecManifest {
        ImageCodecManifest {
            schema: IMAGE_CODEC_SCHEMA,
            name: self.name.clone(),
            description: self.description.clone(),
            latent_space: self.latent_space(),
            input: self.input,
            encoder: ImageCodecEncoderSpec {
                model: FileRef::of("encoder.onnx".into(), &self.encoder),
                input: self.input_tensor.clone(),
                bands: self.bands.clone(),
                fast: self.fast.as_ref().map(|fast| Box::new(fast.spec())),
                cost: self.encoder_cost,
            },
            layers: self.layers.clone(),
            quantiser: self.quantiser.clone(),
            contexts: FileRef::of("contexts.bin".into(), &self.contexts.to_bytes()),
            heads: self.heads.iter().map(ImageCodecDraftHead::spec).collect(),
            model_card: FileRef::of("README.md".into(), model_card.as_bytes()),
            golden: Vec::new(),
        }
    }
}

/// Adds a head to the bundle in `folder`: before its earlier versions, or last if its name is new, so that
/// the default head keeps its name. The latent space and the other heads do not change.
///
/// # Errors
/// Returns [`BundleError`] if the bundle is incomplete or of another kind, the head does not fit, or a file
/// cannot be written.
pub fn add_head(folder: &Path, head: &ImageCodecDraftHead) -> Result<ImageCodecManifest, BundleError> {
    let mut manifest = read_manifest(folder)?;
    let (spec, count) = (head.spec(), manifest.heads.len());
    let path = spec.model.path.clone();
    let index = manifest.heads.iter().position(|other| other.name == head.name).unwrap_or(count);
    manifest.heads.insert(index, spec);
    manifest.check()?;
    write_file(folder, &path, &head.model)?;
    manifest_file::write_manifest(folder, &manifest)?;
    Ok(manifest)
}

/// Replaces the model card of the bundle in `folder`.
///
/// # Errors
/// Returns [`BundleError`] if the folder does not contain an image codec's bundle, or a file cannot be
/// written.
pub fn put_model_card(folder: &Path, model_card: &str) -> Result<ImageCodecManifest, BundleError> {
    let mut manifest = read_manifest(folder)?;
    manifest.model_card = FileRef::of(manifest.model_card.path, model_card.as_bytes());
    manifest.check()?;
    write_file(folder, &manifest.model_card.path, model_card.as_bytes())?;
    manifest_file::write_manifest(folder, &manifest)?;
    Ok(manifest)
}

fn read_manifest(folder: &Path) -> Result<ImageCodecManifest, BundleError> {
    let manifest: ImageCodecManifest = ManifestFile::read(folder)?.parse()?;
    manifest.check()?;
    Ok(manifest)
}

impl FastEncoderDraft {
    fn spec(&self) -> FastEncoderSpec {
        FastEncoderSpec {
            model: FileRef::of("encoder-fast.onnx".into(), &self.model),
            input: self.input.clone(),
            bands: self.bands.clone(),
            cost: self.cost,
        }
    }
}

impl ImageCodecDraftHead {
    fn spec(&self) -> ImageCodecHeadSpec {
        ImageCodecHeadSpec {
            name: self.name.clone(),
            version: self.version,
            model: FileRef::of(format!("heads/{}-{}.onnx", self.name, self.version), &self.model),
            quality: self.quality.clone(),
            output: self.output.clone(),
            scale: self.scale,
            cost: self.cost,
        }
    }
}
