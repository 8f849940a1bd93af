use crate::definition::PRESETS;

/// An error of a model's definition.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The model is neither a preset nor a file.
    #[error(
        "unknown model `{model}`: pass the name of a preset ({}) or the path of a .toml file",
        preset_names()
    )]
    UnknownModel {
        /// The name or path that was requested.
        model: String,
    },
    /// A definition is not valid TOML, or a required key is missing.
    #[error("{file}: {source}")]
    InvalidToml {
        /// The file or preset.
        file: String,
        /// The position and the reason.
        source: Box<toml::de::Error>,
    },
    /// A definition violates a rule.
    #[error("{file}: {place}: {what}: {fix}")]
    RuleViolation {
        /// The file or preset.
        file: String,
        /// The key or layer, such as `encoder.layers[2]`.
        place: String,
        /// The problem.
        what: String,
        /// The correction.
        fix: String,
    },
    /// A model of this kind cannot read the data set.
    #[error(
        "this model cannot read data set `{set}`: use a definition with a `picture` input for images, or with a \
         `series` input for time series"
    )]
    UnsupportedDataSet {
        /// The name of the data set.
        set: String,
    },
}

fn preset_names() -> String {
    PRESETS.map(|(name, _)| name).join(", ")
}
