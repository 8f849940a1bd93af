use std::path::Path;

use lopside_latent::{LatentSpaceId, Quantiser, Tables};

use crate::{
    BundleError, Cost, Digest, EncoderSpec, HeadKind, HeadSpec, Manifest, Preprocess, QuantiserSpec,
    SCHEMA_VERSION, TensorSpec,
    files::{file_ref, put},
    latent_space_id, manifest_file,
};

/// All that makes a bundle, in memory.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The bundle's name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// How a picture becomes the encoder's input.
    pub preprocess: Preprocess,
    /// `encoder.onnx`.
    pub encoder: Vec<u8>,
    /// The picture tensor.
    pub input: TensorSpec,
    /// The latent tensor.
    pub latent: TensorSpec,
    /// What the encoder costs.
    pub encoder_cost: Cost,
    /// The quantiser.
    pub quantiser: Quantiser,
    /// The entropy tables.
    pub tables: Tables,
    /// The heads.
    pub heads: Vec<DraftHead>,
}

/// A head of a [`Draft`].
#[derive(Debug, Clone)]
pub struct DraftHead {
    /// The head's name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What its output means.
    pub kind: HeadKind,
    /// The ONNX file.
    pub model: Vec<u8>,
    /// The output tensor.
    pub output: TensorSpec,
    /// What it costs.
    pub cost: Cost,
}

impl Draft {
    /// The name of the latent space that this draft defines.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        let tables = Digest::of(&self.tables.to_bytes());
        latent_space_id(&Digest::of(&self.encoder), &tables, &self.preprocess, self.quantiser.gains())
    }

    /// Writes the bundle into `folder`, which is made when it is missing; files of the same names are replaced.
    /// `model_card` becomes `README.md`.
    ///
    /// # Errors
    /// [`BundleError::Io`], or what [`Manifest::check`] finds.
    pub fn write(&self, folder: &Path, model_card: &str) -> Result<Manifest, BundleError> {
        let manifest = self.manifest(model_card);
        manifest.check()?;
        put(folder, &manifest.encoder.model.path, &self.encoder)?;
        put(folder, &manifest.tables.path, &self.tables.to_bytes())?;
        for (head, spec) in self.heads.iter().zip(&manifest.heads) {
            put(folder, &spec.model.path, &head.model)?;
        }
        put(folder, &manifest.model_card.path, model_card.as_bytes())?;
        // Last, so that a folder with a manifest is a whole bundle.
        manifest_file::write(folder, &manifest)?;
        Ok(manifest)
    }

    fn manifest(&self, model_card: &str) -> Manifest {
        Manifest {
            schema: SCHEMA_VERSION,
            name: self.name.clone(),
            description: self.description.clone(),
            latent_space: self.latent_space(),
            preprocess: self.preprocess,
            encoder: EncoderSpec {
                model: file_ref("encoder.onnx".into(), &self.encoder),
                input: self.input.clone(),
                output: self.latent.clone(),
                cost: self.encoder_cost,
            },
            quantiser: QuantiserSpec { gains: self.quantiser.gains().to_vec() },
            tables: file_ref("tables.bin".into(), &self.tables.to_bytes()),
            heads: self.heads.iter().map(|head| self.head_spec(head)).collect(),
            model_card: file_ref("README.md".into(), model_card.as_bytes()),
        }
    }

    fn head_spec(&self, head: &DraftHead) -> HeadSpec {
        HeadSpec {
            name: head.name.clone(),
            version: head.version,
            kind: head.kind.clone(),
            model: file_ref(format!("heads/{}-{}.onnx", head.name, head.version), &head.model),
            input: self.latent.clone(),
            output: head.output.clone(),
            cost: head.cost,
        }
    }
}
