/// An error of the connection to a cloud-decoder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The address is invalid.
    #[error(
        "{endpoint:?} is not the address of a cloud-decoder: {reason}; use an address such as http://decoder.example:8080 or https://decoder.example"
    )]
    InvalidEndpoint {
        /// The address as given.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// The API key contains characters that cannot be sent.
    #[error(
        "the API key (--api-key, LOPSIDE_API_KEY) contains characters that are not allowed: check that it is copied correctly"
    )]
    InvalidApiKey,
    /// Certificates were configured for a connection without TLS.
    #[error(
        "{endpoint:?} does not use TLS, so --ca and --client-cert have no effect: use an https:// address, or omit them"
    )]
    TlsRequired {
        /// The address.
        endpoint: String,
    },
    /// An environment variable names a proxy that cannot be used.
    #[error(
        "the proxy of the variable {variable} cannot be used: {reason}; correct the variable, list the host of the \
         cloud-decoder in NO_PROXY, or set proxy = \"none\" in the config file"
    )]
    InvalidProxy {
        /// The name of the variable.
        variable: String,
        /// The reason, without the password.
        reason: String,
    },
    /// The proxy on the way to the cloud-decoder does not let the connection through.
    #[error("cannot reach {endpoint}: {reason}")]
    Proxy {
        /// The address of the cloud-decoder.
        endpoint: String,
        /// The proxy, the cause and the fix.
        reason: String,
    },
    /// The cloud-decoder cannot be reached.
    #[error("cannot reach {endpoint}: {reason}; is cloud-decoder running there?")]
    Connect {
        /// The address.
        endpoint: String,
        /// The cause, as a message of the network or TLS layer.
        reason: String,
    },
    /// The cloud-decoder refused a request.
    #[error("the cloud-decoder answered {code}: {message}")]
    Remote {
        /// The name of the gRPC status code.
        code: String,
        /// The message of the cloud-decoder.
        message: String,
    },
}
