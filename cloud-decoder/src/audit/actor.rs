use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use x509_parser::parse_x509_certificate;

use crate::{telemetry::request_context::RequestContext, transport::ConnectionPeer};

/// The cause of a change: the client that requested it, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor {
    /// `key:NAME`, `anonymous` for a server without keys, or `file`.
    pub(super) name: String,
    /// The subject of the client's certificate.
    pub(super) certificate: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) request_id: Option<String>,
}

impl Actor {
    /// Returns the client that sent a request.
    pub(crate) fn of_request(extensions: &Extensions) -> Self {
        let request = RequestContext::of_request(extensions);
        let peer = extensions.get::<Arc<ConnectionPeer>>();
        // The name of a key cannot contain a colon.
        let key = request.and_then(|request| request.key()).map(|key| format!("key:{key}"));
        Self {
            name: key.unwrap_or_else(|| "anonymous".to_owned()),
            certificate: peer.and_then(|peer| peer.certificate()).and_then(subject_of),
            peer: peer.map(|peer| peer.address().to_string()),
            request_id: request.map(|request| request.id().to_owned()),
        }
    }

    /// Returns the cause of a change of a file.
    pub(crate) fn file() -> Self {
        Self { name: "file".to_owned(), certificate: None, peer: None, request_id: None }
    }
}

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of_request(&parts.extensions))
    }
}

/// Returns the subject of a certificate in DER.
fn subject_of(der: &[u8]) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    Some(certificate.subject().to_string())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_client_is_named_by_its_certificate_and_its_address() {
        assert_eq!(Actor::of_request(&Extensions::new()).name, "anonymous");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "line 3");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let peer = ConnectionPeer::new(Ipv4Addr::LOCALHOST.into(), Some(certificate.der().clone()));
        let mut extensions = Extensions::new();
        extensions.insert(Arc::new(peer));
        let actor = Actor::of_request(&extensions);
        assert_eq!(actor.peer.as_deref(), Some("127.0.0.1"));
        let subject = actor.certificate.unwrap();
        assert!(subject.contains("CN=line 3"), "{subject}");
    }
}
