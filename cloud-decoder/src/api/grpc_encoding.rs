//! The encodings of gRPC messages: which one a request has, and which one its response gets.
//!
//! Clients built on gRPC's core library list gzip among what they accept in every call, whether or not they want to
//! spend time on it. Responses are therefore compressed only for calls that ask for it: by a compressed request, as
//! Triton's client sends it with `compression_algorithm`, or by the metadata `lopside-compress`.

use axum::http::{HeaderMap, HeaderValue};
use tonic::{Status, metadata::MetadataValue};

use super::compression::Encoding;
use crate::GrpcCompression;

pub(crate) const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// The metadata with the name of the encoding that the response should have; any other word asks for none.
const COMPRESS: &str = "lopside-compress";
/// What the server accepts, as it is told to a client that has sent something else.
const ACCEPTED: &str = "gzip,deflate,identity";

/// Returns the encoding of a request's compressed messages.
///
/// # Errors
/// `UNIMPLEMENTED` for an unknown encoding, with the known ones.
pub(crate) fn request_encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Status> {
    let name = headers.get(ENCODING).map_or(&b"identity"[..], HeaderValue::as_bytes);
    let encoding = Encoding::from_name(name);
    if encoding.is_some() || name.eq_ignore_ascii_case(b"identity") {
        return Ok(encoding);
    }
    let name = String::from_utf8_lossy(name);
    let reason =
        format!("messages with the encoding {name:?} are not supported: send gzip, deflate or identity");
    let mut status = Status::unimplemented(reason);
    status.metadata_mut().insert(ACCEPT_ENCODING, MetadataValue::from_static(ACCEPTED));
    Err(status)
}

/// Returns the encoding of the response to a request with these headers; `None` for no compression.
pub(crate) fn response_encoding(compression: GrpcCompression, headers: &HeaderMap) -> Option<Encoding> {
    let accepted = headers.get(ACCEPT_ENCODING).map_or(&[][..], HeaderValue::as_bytes);
    let mut accepted =
        accepted.split(|&byte| byte == b',').filter_map(|name| Encoding::from_name(name.trim_ascii()));
    match compression {
        GrpcCompression::Off => None,
        GrpcCompression::OnRequest => {
            let wanted = headers.get(COMPRESS).or_else(|| headers.get(ENCODING))?;
            let wanted = Encoding::from_name(wanted.as_bytes().trim_ascii())?;
            accepted.find(|encoding| *encoding == wanted)
        }
        GrpcCompression::Always => accepted.next(),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn header_map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn unknown_encodings_are_refused_with_the_known_ones() {
        for (name, expected) in
            [("gzip", Some(Encoding::Gzip)), ("deflate", Some(Encoding::Deflate)), ("identity", None)]
        {
            assert_eq!(request_encoding(&header_map(&[(ENCODING, name)])).unwrap(), expected);
        }
        assert_eq!(request_encoding(&HeaderMap::new()).unwrap(), None);
        let status = request_encoding(&header_map(&[(ENCODING, "zstd")])).unwrap_err();
        assert!(status.code() == Code::Unimplemented && status.message().contains("zstd"), "{status}");
        assert_eq!(status.metadata().get(ACCEPT_ENCODING).unwrap(), ACCEPTED);
    }

    #[test]
    fn a_response_is_compressed_for_those_who_ask_for_it() {
        use GrpcCompression::{Always, Off, OnRequest};
        let lists_all = (ACCEPT_ENCODING, "identity, deflate, gzip");
        let lists_gzip = (ACCEPT_ENCODING, "gzip");
        for (headers, on_request, always) in [
            (&[lists_all][..], None, Some(Encoding::Deflate)),
            (&[lists_all, (ENCODING, "gzip")], Some(Encoding::Gzip), Some(Encoding::Deflate)),
            (&[lists_all, (ENCODING, "deflate")], Some(Encoding::Deflate), Some(Encoding::Deflate)),
            (&[lists_all, (COMPRESS, "gzip")], Some(Encoding::Gzip), Some(Encoding::Deflate)),
            (&[lists_all, (ENCODING, "gzip"), (COMPRESS, "none")], None, Some(Encoding::Deflate)),
            (&[lists_gzip, (COMPRESS, "deflate")], None, Some(Encoding::Gzip)),
            (&[lists_gzip, (ENCODING, "identity")], None, Some(Encoding::Gzip)),
            (&[(COMPRESS, "gzip")], None, None),
            (&[], None, None),
        ] {
            let headers = header_map(headers);
            assert_eq!(response_encoding(OnRequest, &headers), on_request, "{headers:?}");
            assert_eq!(response_encoding(Always, &headers), always, "{headers:?}");
            assert_eq!(response_encoding(Off, &headers), None, "{headers:?}");
        }
    }
}
