//! The devices that a client may speak for.
//!
//! The name of a device in a request is only a claim. It must agree with what the client has proved:
//!
//! - with the patterns `devices` of its API key, if the key has any;
//! - with its certificate, if that names a device. A certificate names devices by URIs `urn:lopside:device:NAME`
//!   among its subject alternative names or, if it does not have such a URI, by its DNS names.
//!
//! Every handler that reads the name of a device calls [`ClientIdentity::check_device`].

use std::sync::Arc;

use axum::http::Extensions;
use lopside_archive::device_name_fault;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::lease::KeyLease;
use crate::{
    ServeError,
    transport::{ConnectionPeer, FrontEvent, FrontStats},
};

/// The start of a URI that names a device.
const DEVICE_URI: &str = "urn:lopside:device:";
/// Maximum number of names of a certificate in an error message.
const MAX_LISTED_NAMES: usize = 5;

/// The proofs of identity of the client that sent a request, in the request's extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientIdentity {
    lease: Option<KeyLease>,
    peer: Option<Arc<ConnectionPeer>>,
    stats: Arc<FrontStats>,
}

impl ClientIdentity {
    pub(super) fn new(
        lease: Option<KeyLease>,
        peer: Option<Arc<ConnectionPeer>>,
        stats: Arc<FrontStats>,
    ) -> Self {
        Self { lease, peer, stats }
    }

    /// Returns the identity of the client that sent a request. If neither keys nor client certificates are configured,
    /// the client may speak for any device.
    pub(crate) fn of_request(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Checks that the client may speak for a device. A refusal is logged and counted.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] for an invalid name, [`ServeError::DeviceForbidden`] for a device that the key or
    /// the certificate does not permit.
    pub(crate) fn check_device(&self, device: &str) -> Result<(), ServeError> {
        if let Some(fault) = device_name_fault(device) {
            return Err(ServeError::InvalidRequest(fault));
        }
        let refusal = self.check_certificate(device).and_then(|()| self.check_key(device)).err();
        let Some(reason) = refusal else { return Ok(()) };
        self.stats.count(FrontEvent::DeviceForbidden);
        let key = self.lease.as_ref().map(KeyLease::key_name);
        let peer = self.peer.as_ref().map(|peer| peer.address().to_string());
        tracing::warn!(device, key, peer, reason, "refused the name of a device");
        Err(ServeError::DeviceForbidden(reason))
    }

    fn check_certificate(&self, device: &str) -> Result<(), String> {
        let certificate = self.peer.as_ref().and_then(|peer| peer.certificate());
        let Some(certificate) = certificate else { return Ok(()) };
        let names = certificate_devices(certificate).ok_or_else(|| {
            format!(
                "the names of the client certificate cannot be read, so it may not speak for the device \
                 {device:?}: issue another certificate"
            )
        })?;
        if names.is_empty() || names.iter().any(|name| name == device) {
            return Ok(());
        }
        let named = &names[..names.len().min(MAX_LISTED_NAMES)];
        Err(format!(
            "the client certificate names {named:?} and may not speak for the device {device:?}: use the \
             certificate of this device"
        ))
    }

    fn check_key(&self, device: &str) -> Result<(), String> {
        let Some(lease) = &self.lease else { return Ok(()) };
        let Some(patterns) = lease.devices().filter(|patterns| !patterns.matches(device)) else {
            return Ok(());
        };
        Err(format!(
            "the API key {:?} may not speak for the device {device:?}, only for {patterns}: use the key of this \
             device, or add the name to the key's devices in the key file",
            lease.key_name(),
        ))
    }
}

/// Returns the names of the devices that a certificate names, `None` if it cannot be parsed.
fn certificate_devices(der: &[u8]) -> Option<Vec<String>> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let Some(names) = certificate.subject_alternative_name().ok()? else { return Some(Vec::new()) };
    let (mut by_uri, mut by_dns) = (Vec::new(), Vec::new());
    for name in &names.value.general_names {
        match name {
            GeneralName::URI(uri) => by_uri.extend(uri.strip_prefix(DEVICE_URI).map(str::to_owned)),
            GeneralName::DNSName(name) => by_dns.push((*name).to_owned()),
            // One that cannot be read could be the name of a device.
            GeneralName::Invalid(..) => return None,
            _ => {}
        }
    }
    Some(if by_uri.is_empty() { by_dns } else { by_uri })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rcgen::{CertificateParams, KeyPair, SanType};
    use tokio::sync::watch;
    use tokio_rustls::rustls::pki_types::CertificateDer;

    use super::*;
    use crate::auth::{Scope, file::parse_keys, generate_key, usage::CurrentTime};

    /// Returns a certificate with these names, separated by spaces.
    fn certificate(dns: &str, uris: &str) -> CertificateDer<'static> {
        let dns: Vec<String> = dns.split_whitespace().map(str::to_owned).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        let uris = uris.split_whitespace().map(|uri| SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn identity(certificate: Option<CertificateDer<'static>>, devices: Option<&str>) -> ClientIdentity {
        let generated = generate_key("line-3", &[Scope::Ingest]).unwrap();
        let stats: Arc<FrontStats> = Arc::default();
        let lease = devices.map(|devices| {
            let keys = Arc::new(parse_keys(&format!("{}{devices}", generated.toml)).unwrap());
            let key = keys.admit(Some(generated.key.as_bytes()), Scope::Ingest, CurrentTime::read()).unwrap();
            let receiver = watch::Sender::new(Arc::clone(&keys)).subscribe();
            KeyLease::new(key, Scope::Ingest, receiver, Arc::clone(&stats))
        });
        let peer = ConnectionPeer::new(Ipv4Addr::LOCALHOST.into(), certificate);
        ClientIdentity::new(lease, Some(Arc::new(peer)), stats)
    }

    #[test]
    fn the_name_of_a_device_must_agree_with_the_certificate() {
        let uri = "urn:lopside:device:gate-7";
        for (dns, uris, device, expected) in [
            ("", "", "gate-8", true),
            ("127.0.0.1", "", "gate-8", true),
            ("gate-7", "", "gate-7", true),
            ("gate-7", "", "gate-8", false),
            ("gate-7", "", "gate-70", false),
            ("gate-7 gate-8", "", "gate-8", true),
            ("*.example", "", "gate.example", false),
            ("", uri, "gate-7", true),
            ("", uri, "gate-8", false),
            ("gate-8", uri, "gate-7", true),
            ("gate-8", uri, "gate-8", false),
            ("gate-8", "https://gate-7", "gate-8", true),
            ("", "https://gate-7", "gate-8", true),
        ] {
            let identity = identity(Some(certificate(dns, uris)), None);
            let result = identity.check_device(device);
            assert_eq!(result.is_ok(), expected, "{dns} {uris} {device}: {result:?}");
            assert_eq!(
                identity.stats.snapshot().count_of(FrontEvent::DeviceForbidden),
                u64::from(!expected),
                "refusals are counted"
            );
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_speaks_for_no_device() {
        let mut broken = certificate("gate-7", "").to_vec();
        broken.truncate(broken.len() / 2);
        let error = identity(Some(broken.into()), None).check_device("gate-7").unwrap_err().to_string();
        assert!(error.contains("cannot be read") && error.contains("\"gate-7\""), "{error}");
    }

    #[test]
    fn the_name_of_a_device_must_match_the_key() {
        let limited = identity(None, Some("devices = ['gate-*', 'line-3']"));
        assert!(limited.check_device("gate-7").is_ok() && limited.check_device("line-3").is_ok());
        let error = limited.check_device("line-4").unwrap_err();
        assert!(matches!(error, ServeError::DeviceForbidden(_)), "{error:?}");
        let error = error.to_string();
        for named in ["\"line-3\"", "\"line-4\"", "\"gate-*\""] {
            assert!(error.contains(named), "{error}");
        }
        assert!(identity(None, Some("")).check_device("line-4").is_ok(), "a key without devices is for any");
        assert!(ClientIdentity::default().check_device("line-4").is_ok());
    }

    #[test]
    fn key_and_certificate_must_both_permit_the_device() {
        let identity = identity(Some(certificate("gate-7 line-3", "")), Some("devices = ['gate-*']"));
        assert!(identity.check_device("gate-7").is_ok());
        for device in ["line-3", "gate-8"] {
            assert!(identity.check_device(device).is_err(), "{device}");
        }
    }

    #[test]
    fn an_invalid_name_is_refused_before_it_is_compared() {
        for name in ["", "two words", &"x".repeat(1 << 20)] {
            let error = identity(None, Some("devices = ['*']")).check_device(name).unwrap_err();
            assert!(matches!(&error, ServeError::InvalidRequest(_)) && error.to_string().len() < 200);
        }
    }
}
