/// An error of the comparison of model servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServingError {
    /// The requested peer does not exist.
    #[error("{name}: unknown peer; `cargo xtask bench serving --help` lists the peers")]
    UnknownPeer {
        /// The requested name.
        name: String,
    },
    /// A dependency of the servers or of their clients could not be installed.
    #[error("{dependency} could not be installed: {reason}")]
    Install {
        /// The dependency.
        dependency: String,
        /// The reason.
        reason: String,
    },
    /// A server could not be started, or did not become ready.
    #[error("{name}: {reason}")]
    Start {
        /// The server.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A server responds, but not with the Open Inference Protocol.
    #[error("the server does not implement the Open Inference Protocol over gRPC")]
    UnsupportedProtocol,
    /// A server responds, but its model is not ready.
    #[error("the model is not ready: the server responds with {response}")]
    NotReady {
        /// The status or the content of the response.
        response: String,
    },
    /// The output of a server is wrong.
    #[error("{name}: its output differs from that of ONNX Runtime in this process")]
    WrongOutput {
        /// The server.
        name: String,
    },
    /// ONNX Runtime itself could not be measured.
    #[error("ONNX Runtime: {0}; start the bench with `cargo xtask bench`, which sets ORT_DYLIB_PATH")]
    OnnxRuntime(String),
    /// An external load generator failed.
    #[error("{tool}: {reason}")]
    LoadGenerator {
        /// The load generator.
        tool: &'static str,
        /// The reason.
        reason: String,
    },
    /// A task or a thread of the load generator in this process panicked.
    #[error("the load generator failed: {reason}")]
    LoadTask {
        /// The task or the reason.
        reason: String,
    },
}
