//! gzip and deflate for bodies and messages, in both directions. Long work is done off the thread of the connection,
//! on which other requests wait.

use std::{
    io::{self, Cursor, Read, Write as _},
    sync::Arc,
};

use axum::body::Bytes;
use flate2::{
    Compression, Decompress, FlushDecompress, Status,
    bufread::GzDecoder,
    write::{GzEncoder, ZlibEncoder},
};
use lopside_decoder::offload::run_blocking;

use crate::{
    ServeError,
    transport::{BodyPermit, BodyRefusal},
};

/// Number of bytes below which compression saves less than it costs.
pub(crate) const MIN_COMPRESSED_BYTES: usize = 1 << 10;
/// Number of uncompressed bytes that are processed in place, which takes a fifth of a millisecond.
const MAX_IN_PLACE_BYTES: usize = 16 << 10;
/// Number of bytes for which memory is reserved at once.
const STEP_BYTES: usize = 16 << 10;

/// An encoding of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// The format of zlib, which HTTP and gRPC call deflate.
    Deflate,
}

/// The reason why data cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InflateError {
    #[error("the data cannot be decompressed: {0}")]
    Invalid(io::Error),
    #[error("the decompressed data have more than {0} bytes, the limit of a request")]
    TooLarge(usize),
    #[error(transparent)]
    Refused(#[from] BodyRefusal),
    /// The work has failed.
    #[error(transparent)]
    Failed(ServeError),
}

/// Data in the format of zlib. In contrast to the library's reader, an end that is missing is an error.
struct ZlibReader {
    data: Bytes,
    state: Decompress,
    is_over: bool,
}

/// Data that are being decompressed.
struct Inflation {
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    max_bytes: usize,
    permit: Option<Arc<BodyPermit>>,
}

impl Encoding {
    /// Returns the encoding with this name, in any case.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let known = [("gzip", Self::Gzip), ("x-gzip", Self::Gzip), ("deflate", Self::Deflate)];
        let found = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        found.map(|(_, encoding)| encoding)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// Decompresses data to at most `max_bytes`, for which memory is reserved with the permit.
///
/// # Errors
/// [`InflateError`]
pub(crate) async fn inflate(
    encoding: Encoding,
    data: Bytes,
    max_bytes: usize,
    permit: Option<Arc<BodyPermit>>,
) -> Result<Bytes, InflateError> {
    let reader: Box<dyn Read + Send> = match encoding {
        Encoding::Gzip => Box::new(GzDecoder::new(Cursor::new(data))),
        Encoding::Deflate => Box::new(ZlibReader::new(data)),
    };
    let mut inflation = Inflation { reader, bytes: Vec::new(), max_bytes, permit };
    if inflation.advance(MAX_IN_PLACE_BYTES)? {
        return Ok(inflation.bytes.into());
    }
    let finished = run_blocking(move || inflation.advance(usize::MAX).map(|_| inflation.bytes.into())).await;
    finished.map_err(|error| InflateError::Failed(error.into()))?
}

impl Inflation {
    /// Continues until the end, or until there are `pause_at` bytes. Returns whether it is the end.
    fn advance(&mut self, pause_at: usize) -> Result<bool, InflateError> {
        while self.bytes.len() < pause_at {
            self.make_room()?;
            let step = self.reader.by_ref().take(STEP_BYTES as u64).read_to_end(&mut self.bytes);
            let step = step.map_err(InflateError::Invalid)?;
            if self.bytes.len() > self.max_bytes {
                return Err(InflateError::TooLarge(self.max_bytes));
            }
            if step < STEP_BYTES {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Allocates space for the next step: half as much again as there is, but not beyond the limit. The memory is reserved
    /// before.
    fn make_room(&mut self) -> Result<(), BodyRefusal> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity - len >= 2 * STEP_BYTES {
            return Ok(());
        }
        let limit = self.max_bytes.saturating_add(2 * STEP_BYTES).saturating_sub(len);
        let room = (len / 2).max(4 * STEP_BYTES).min(limit);
        if let Some(permit) = &self.permit {
            permit.reserve((len + room).saturating_sub(capacity))?;
        }
        self.bytes.reserve_exact(room);
        Ok(())
    }
}

impl ZlibReader {
    fn new(data: Bytes) -> Self {
        Self { data, state: Decompress::new(true), is_over: false }
    }
}

impl Read for ZlibReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_over && !buffer.is_empty() {
            let (in_before, out_before) = (self.state.total_in(), self.state.total_out());
            let input = &self.data[in_before as usize..];
            let status = self.state.decompress(input, buffer, FlushDecompress::None)?;
            self.is_over = status == Status::StreamEnd;
            let read = (self.state.total_out() - out_before) as usize;
            if read > 0 {
                return Ok(read);
            }
            if !self.is_over && self.state.total_in() == in_before {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(0)
    }
}

/// Compresses data. Returns `None` if they are too small, or do not become smaller.
///
/// # Errors
/// [`ServeError::Decode`] if the work fails.
pub(crate) async fn compress(encoding: Encoding, data: Bytes) -> Result<Option<Bytes>, ServeError> {
    if data.len() < MIN_COMPRESSED_BYTES {
        return Ok(None);
    }
    let len = data.len();
    let compressed = if len <= MAX_IN_PLACE_BYTES {
        deflate(encoding, &data)
    } else {
        run_blocking(move || deflate(encoding, &data)).await?
    };
    let compressed = compressed.map_err(|error| ServeError::Internal(error.to_string()))?;
    Ok(Some(compressed).filter(|compressed| compressed.len() < len).map(Bytes::from))
}

fn deflate(encoding: Encoding, data: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(data)?;
            encoder.finish()
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(data)?;
            encoder.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODINGS: [Encoding; 2] = [Encoding::Gzip, Encoding::Deflate];

    fn compressed(encoding: Encoding, data: &[u8]) -> Bytes {
        deflate(encoding, data).unwrap().into()
    }

    #[tokio::test]
    async fn data_of_every_size_survive() {
        for encoding in ENCODINGS {
            for len in [0, 1, STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES, 1 << 20] {
                let data: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
                let inflated = inflate(encoding, compressed(encoding, &data), 1 << 20, None).await.unwrap();
                assert_eq!(inflated, data, "{encoding:?} {len}");
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_is_refused_at_the_limit() {
        for encoding in ENCODINGS {
            let bomb = compressed(encoding, &vec![0; 10 << 20]);
            assert!(bomb.len() < 100_000);
            for max_bytes in [0, 100, 1 << 20] {
                let error = inflate(encoding, bomb.clone(), max_bytes, None).await.unwrap_err();
                assert!(matches!(error, InflateError::TooLarge(max) if max == max_bytes), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn damaged_data_are_refused() {
        for encoding in ENCODINGS {
            let data = compressed(encoding, &vec![7; 100_000]);
            let cut_off = data.slice(..data.len() - 5);
            for damaged in [cut_off, Bytes::from_static(b"not compressed"), Bytes::new()] {
                let error = inflate(encoding, damaged, 1 << 20, None).await.unwrap_err();
                assert!(matches!(error, InflateError::Invalid(_)), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn only_data_that_become_smaller_are_compressed() {
        for encoding in ENCODINGS {
            for len in [MIN_COMPRESSED_BYTES, 1 << 20] {
                let data = Bytes::from(vec![7; len]);
                let smaller = compress(encoding, data.clone()).await.unwrap().unwrap();
                assert!(smaller.len() < len / 10);
                assert_eq!(inflate(encoding, smaller, len, None).await.unwrap(), data);
            }
            assert_eq!(compress(encoding, vec![7; MIN_COMPRESSED_BYTES - 1].into()).await, Ok(None));
            let noise: Vec<u8> = (0..5000).map(|_| rand::random::<u8>()).collect();
            assert_eq!(compress(encoding, noise.into()).await, Ok(None));
        }
    }
}
