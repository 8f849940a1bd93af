use std::net::IpAddr;

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::peers::peer_of;

/// The other end of a connection, in the extensions of each of its requests.
#[derive(Debug)]
pub(crate) struct ConnectionPeer {
    address: IpAddr,
    certificate: Option<CertificateDer<'static>>,
}

impl ConnectionPeer {
    /// Creates the peer with this address, and with the certificate that it has proved to own, if any.
    pub(crate) fn new(address: IpAddr, certificate: Option<CertificateDer<'static>>) -> Self {
        Self { address: peer_of(address), certificate }
    }

    /// Returns the IPv4 address, or the network of the first 64 bits of an IPv6 address.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the client's certificate in DER, which the configured authorities have verified.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }
}
