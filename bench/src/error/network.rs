use std::io;

/// An error of the connections between a bench and a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// A socket could not be opened or connected.
    #[error("a socket could not be opened: {source}")]
    Socket {
        /// The reason.
        source: io::Error,
    },
    /// The address of a server is invalid.
    #[error("{address} is not a valid address: {reason}")]
    InvalidAddress {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// A request could not be sent, or its response could not be read.
    #[error("a request failed: {reason}")]
    Request {
        /// The reason.
        reason: String,
    },
    /// The server closed a stream of messages too early.
    #[error("the server closed the stream before it had acknowledged all messages")]
    StreamClosed,
    /// A response was read, but its content is not as expected.
    #[error("{reason}")]
    UnexpectedResponse {
        /// The difference.
        reason: String,
    },
}
