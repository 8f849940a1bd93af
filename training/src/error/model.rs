/// An error of a model that is exported, run or compared with another one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A model cannot be loaded or run.
    #[error("{model}: {reason}")]
    Failed {
        /// The name of the model.
        model: String,
        /// The reason.
        reason: String,
    },
    /// A model has another number of inputs than the latent has layers.
    #[error("{model}: it has {inputs} inputs, but the latent has {layers} layers")]
    InputCount {
        /// The name of the model.
        model: String,
        /// Number of inputs of the model.
        inputs: usize,
        /// Number of layers of the latent.
        layers: usize,
    },
    /// A score head does not return exactly a reconstruction and the scores.
    #[error("{head}: it does not have two outputs")]
    OutputCount {
        /// The name of the head.
        head: String,
    },
    /// The weights of a layer cannot be read from the device.
    #[error("weights of {name}: {reason}")]
    UnreadableWeights {
        /// The name of the weights in the graph.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A tensor is missing among the results of ONNX Runtime, or its values cannot be compared.
    #[error("tensor `{tensor}`: {reason}")]
    UnreadableTensor {
        /// The name of the tensor.
        tensor: String,
        /// The reason.
        reason: String,
    },
    /// The results of a whole model are not finite, so that nothing can be compared with them.
    #[error("{what}: the whole model returns values that are not finite for random inputs")]
    NotFinite {
        /// The pair that was to be compared.
        what: String,
    },
    /// A model's outputs differ from those of the model that it replaces.
    #[error(
        "{what}: the results differ by {difference:e}, more than the limit of {limit:e}; nothing was kept"
    )]
    Disagreement {
        /// The pair that was compared.
        what: String,
        /// The difference found, relative to the largest magnitude or 1.
        difference: f32,
        /// The largest difference allowed.
        limit: f32,
    },
}
