use std::path::Path;

use lopside_latent::{FixedLatentSpace, LatentSpaceId, Tables};

use crate::{
    BundleError, Digest, FIXED_LATENT_SCHEMA, FileRef, FixedLatentEncoderSpec, FixedLatentHeadSpec,
    FixedLatentLayerSpec, FixedLatentManifest, HeadKind, InputSpec, ModelCost, TensorSpec, files::write_file,
    fixed_latent_space_id, load::latent_layers, manifest_file,
};

/// The complete contents of a bundle, in memory.
#[derive(Debug, Clone)]
pub struct FixedLatentDraft {
    /// The name of the bundle.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The preprocessing that turns an input into the encoder's tensor.
    pub input: InputSpec,
    /// The contents of `encoder.onnx`.
    pub encoder: Vec<u8>,
    /// The input tensor of the encoder.
    pub input_tensor: TensorSpec,
    /// The cost of the encoder.
    pub encoder_cost: ModelCost,
    /// The layers of the latent.
    pub latent: Vec<FixedLatentLayerSpec>,
    /// The entropy tables.
    pub tables: Tables,
    /// The heads.
    pub heads: Vec<FixedLatentDraftHead>,
}

/// A head of a [`FixedLatentDraft`].
#[derive(Debug, Clone)]
pub struct FixedLatentDraftHead {
    /// The name of the head.
    pub name: String,
    /// The version of the head.
    pub version: u32,
    /// The meaning of the output.
    pub kind: HeadKind,
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
    /// The names of the layers that the head reads, in the order of the latent.
    pub inputs: Vec<String>,
    /// The output tensor.
    pub output: TensorSpec,
    /// The cost of the head.
    pub cost: ModelCost,
}

impl FixedLatentDraft {
    /// Returns the id of the latent space that this draft defines.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        let tables = Digest::of(&self.tables.to_bytes());
        fixed_latent_space_id(
            &Digest::of(&self.encoder),
            &tables,
            &self.input,
            &self.input_tensor,
            &self.latent,
        )
    }

    /// Returns the latent space that this draft defines.
    ///
    /// # Errors
    /// Returns [`BundleError::Latent`] if layers, gains and tables do not fit together.
    pub fn build_space(&self) -> Result<FixedLatentSpace, BundleError> {
        Ok(FixedLatentSpace::new(self.latent_space(), latent_layers(&self.latent)?, self.tables.clone())?)
    }

    /// Writes the bundle into `folder`, which is created if it is missing; files of the same names are
    /// replaced. `model_card` becomes `README.md`.
    ///
    /// # Errors
    /// Returns [`BundleError::Io`], or an error of [`FixedLatentManifest::check`].
    pub fn write(&self, folder: &Path, model_card: &str) -> Result<FixedLatentManifest, BundleError> {
        let manifest = self.manifest(model_card);
        manifest.check()?;
        write_file(folder, &manifest.encoder.model.path, &self.encoder)?;
        write_file(folder, &manifest.tables.path, &self.tables.to_bytes())?;
        for (head, spec) in self.heads.iter().zip(&manifest.heads) {
            write_file(folder, &spec.model.path, &head.model)?;
        }
        write_file(folder, &manifest.model_card.path, model_card.as_bytes())?;
        // The manifest is written last, so that a folder with a manifest is a complete bundle.
        manifest_file::write_manifest(folder, &manifest)?;
        Ok(manifest)
    }

    fn manifest(&self, model_card: &str) -> FixedLatentManifest {
        FixedLatentManifest {
            schema: FIXED_LATENT_SCHEMA,
            name: self.name.clone(),
            description: self.description.clone(),
            latent_space: self.latent_space(),
            input: self.input.clone(),
            table: None,
            encoder: FixedLatentEncoderSpec {
                model: FileRef::of("encoder.onnx".into(), &self.encoder),
                input: self.input_tensor.clone(),
                cost: self.encoder_cost,
            },
            latent: self.latent.clone(),
            tables: FileRef::of("tables.bin".into(), &self.tables.to_bytes()),
            heads: self.heads.iter().map(FixedLatentDraftHead::spec).collect(),
            model_card: FileRef::of("README.md".into(), model_card.as_bytes()),
            golden: Vec::new(),
        }
    }
}

impl FixedLatentDraftHead {
    fn spec(&self) -> FixedLatentHeadSpec {
        FixedLatentHeadSpec {
            name: self.name.clone(),
            version: self.version,
            kind: self.kind.clone(),
            model: FileRef::of(format!("heads/{}-{}.onnx", self.name, self.version), &self.model),
            inputs: self.inputs.clone(),
            output: self.output.clone(),
            cost: self.cost,
        }
    }
}
