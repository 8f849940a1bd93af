use std::path::Path;

use lopside_latent::{LatentSpace, LatentSpaceId, Tables};

use crate::{
    BundleError, Cost, Digest, EncoderSpec, HeadKind, HeadSpec, InputSpec, LatentSpec, Manifest,
    SCHEMA_VERSION, TensorSpec,
    files::{file_ref, put},
    latent_space_id,
    load::layers,
    manifest_file,
};

/// The complete contents of a bundle, in memory.
#[derive(Debug, Clone)]
pub struct Draft {
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
    pub encoder_cost: Cost,
    /// The layers of the latent.
    pub latent: Vec<LatentSpec>,
    /// The entropy tables.
    pub tables: Tables,
    /// The heads.
    pub heads: Vec<DraftHead>,
}

/// A head of a [`Draft`].
#[derive(Debug, Clone)]
pub struct DraftHead {
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
    pub cost: Cost,
}

impl Draft {
    /// Returns the id of the latent space that this draft defines.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        let tables = Digest::of(&self.tables.to_bytes());
        latent_space_id(&Digest::of(&self.encoder), &tables, &self.input, &self.input_tensor, &self.latent)
    }

    /// Returns the latent space that this draft defines.
    ///
    /// # Errors
    /// Returns [`BundleError::Latent`] if layers, gains and tables do not fit together.
    pub fn space(&self) -> Result<LatentSpace, BundleError> {
        Ok(LatentSpace::new(self.latent_space(), layers(&self.latent)?, self.tables.clone())?)
    }

    /// Writes the bundle into `folder`, which is created if it is missing; files of the same names are
    /// replaced. `model_card` becomes `README.md`.
    ///
    /// # Errors
    /// Returns [`BundleError::Io`], or an error of [`Manifest::check`].
    pub fn write(&self, folder: &Path, model_card: &str) -> Result<Manifest, BundleError> {
        let manifest = self.manifest(model_card);
        manifest.check()?;
        put(folder, &manifest.encoder.model.path, &self.encoder)?;
        put(folder, &manifest.tables.path, &self.tables.to_bytes())?;
        for (head, spec) in self.heads.iter().zip(&manifest.heads) {
            put(folder, &spec.model.path, &head.model)?;
        }
        put(folder, &manifest.model_card.path, model_card.as_bytes())?;
        // The manifest is written last, so that a folder with a manifest is a complete bundle.
        manifest_file::write(folder, &manifest)?;
        Ok(manifest)
    }

    fn manifest(&self, model_card: &str) -> Manifest {
        Manifest {
            schema: SCHEMA_VERSION,
            name: self.name.clone(),
            description: self.description.clone(),
            latent_space: self.latent_space(),
            input: self.input.clone(),
            encoder: EncoderSpec {
                model: file_ref("encoder.onnx".into(), &self.encoder),
                input: self.input_tensor.clone(),
                cost: self.encoder_cost,
            },
            latent: self.latent.clone(),
            tables: file_ref("tables.bin".into(), &self.tables.to_bytes()),
            heads: self.heads.iter().map(DraftHead::spec).collect(),
            model_card: file_ref("README.md".into(), model_card.as_bytes()),
            golden: Vec::new(),
        }
    }
}

impl DraftHead {
    fn spec(&self) -> HeadSpec {
        HeadSpec {
            name: self.name.clone(),
            version: self.version,
            kind: self.kind.clone(),
            model: file_ref(format!("heads/{}-{}.onnx", self.name, self.version), &self.model),
            inputs: self.inputs.clone(),
            output: self.output.clone(),
            cost: self.cost,
        }
    }
}
