use clap::ValueEnum;
use serde::Deserialize;

/// When responses of gRPC calls are compressed, if they are large enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcCompression {
    /// Never
    Off,
    /// If the request is compressed, or asks for it by the metadata lopside-compress
    #[default]
    OnRequest,
    /// Whenever the client accepts it
    Always,
}
