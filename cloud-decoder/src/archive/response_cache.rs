//! In-memory cache of head outputs for archived frames, bounded in bytes.
//!
//! Archived frames never change, so a response is identified by the frame's id, the head with its version and digest, and
//! the requested format. The digest changes when a head is replaced without a new version. Concurrent requests for the
//! same response wait for one computation.

use std::{fmt, future::Future, time::Instant};

use axum::{body::Bytes, http::HeaderValue};
use lopside_decoder::{DecodeError, OutputFormat};
use quick_cache::{Weighter, sync::Cache};

use crate::ServeError;

/// Upper bound on the bytes of all cached responses.
const CAPACITY_BYTES: u64 = 64 << 20;
/// Approximate bytes of an entry in addition to its body.
const ENTRY_OVERHEAD_BYTES: u64 = 256;
/// Expected number of entries, for the first allocation. A cache of this size is not split into shards, so that
/// one response may use the whole capacity.
const EXPECTED_ENTRIES: usize = 32;

/// Number of digits of a head's digest in an entity tag.
const ETAG_DIGEST_DIGITS: usize = 16;

/// The cache key of a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResponseKey {
    /// The id of the frame.
    pub(crate) frame_id: i64,
    pub(crate) bundle: String,
    pub(crate) head: String,
    /// The version of the head that produces the response, also if the request does not name one.
    pub(crate) version: u32,
    /// The digest of the head's model and of its entry in the manifest, in hexadecimal.
    pub(crate) digest: String,
    pub(crate) format: OutputFormat,
}

/// The body of a response.
#[derive(Debug, Clone)]
pub(crate) struct CachedResponse {
    pub(crate) content_type: HeaderValue,
    pub(crate) body: Bytes,
}

/// The cached responses.
pub(crate) struct ResponseCache(Cache<ResponseKey, CachedResponse, ResponseWeigher>);

#[derive(Debug, Clone)]
struct ResponseWeigher;

impl ResponseKey {
    /// Returns the quoted entity tag of the response. Names of bundles and heads do not contain characters that
    /// need escaping.
    pub(crate) fn etag(&self) -> String {
        let Self { frame_id: frame, bundle, head, version, digest, format } = self;
        let digest = digest.get(..ETAG_DIGEST_DIGITS).unwrap_or(digest);
        let format = match format {
            OutputFormat::Natural => "natural",
            OutputFormat::Tensor => "tensor",
            OutputFormat::Png => "png",
            OutputFormat::ClassScores => "class-scores",
            OutputFormat::Anomaly => "anomaly",
        };
        format!("\"{frame}.{bundle}.{head}.{version}.{digest}.{format}\"")
    }
}

impl ResponseCache {
    /// Returns the cached response of this key, or computes it with `compute`. If `compute` fails, the next waiting
    /// request computes the response.
    ///
    /// # Errors
    /// The error of `compute`, and [`DecodeError::DeadlineExceeded`].
    pub(crate) async fn get_or_compute(
        &self,
        key: &ResponseKey,
        deadline: Instant,
        compute: impl Future<Output = Result<CachedResponse, ServeError>>,
    ) -> Result<CachedResponse, ServeError> {
        let response = self.0.get_or_insert_async(key, compute);
        tokio::time::timeout_at(deadline.into(), response).await.map_err(|_| DecodeError::DeadlineExceeded)?
    }
}

impl Default for ResponseCache {
    fn default() -> Self {
        Self(Cache::with_weighter(EXPECTED_ENTRIES, CAPACITY_BYTES, ResponseWeigher))
    }
}

impl fmt::Debug for ResponseCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseCache").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

impl Weighter<ResponseKey, CachedResponse> for ResponseWeigher {
    fn weight(&self, _: &ResponseKey, response: &CachedResponse) -> u64 {
        response.body.len() as u64 + ENTRY_OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
        time::Duration,
    };

    use tokio::sync::Semaphore;

    use super::*;

    fn key(frame: i64) -> ResponseKey {
        ResponseKey {
            frame_id: frame,
            bundle: "b".into(),
            head: "h".into(),
            version: 1,
            digest: "0123456789abcdef".repeat(4),
            format: OutputFormat::Natural,
        }
    }

    fn response(bytes: usize) -> CachedResponse {
        CachedResponse { content_type: HeaderValue::from_static("image/png"), body: vec![7; bytes].into() }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn a_replaced_head_has_another_tag_and_another_key() {
        let (before, mut after) = (key(7), key(7));
        assert_eq!(before.etag(), "\"7.b.h.1.0123456789abcdef.natural\"");
        after.digest.replace_range(..1, "f");
        assert!(before != after && before.etag() != after.etag());
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_computation() {
        let (cache, computed, gate) =
            (Arc::new(ResponseCache::default()), Arc::default(), Arc::new(Semaphore::new(0)));
        let request = || {
            let (cache, computed, gate) =
                (Arc::clone(&cache), Arc::<AtomicUsize>::clone(&computed), Arc::clone(&gate));
            tokio::spawn(async move {
                let compute = async {
                    gate.acquire().await.unwrap().forget();
                    computed.fetch_add(1, Relaxed);
                    Ok(response(3))
                };
                cache.get_or_compute(&key(1), soon(), compute).await.unwrap().body
            })
        };
        let requests: Vec<_> = (0..4).map(|_| request()).collect();
        gate.add_permits(1);
        for request in requests {
            assert_eq!(&request.await.unwrap()[..], [7; 3]);
        }
        assert_eq!(computed.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failure_is_not_cached_and_the_next_request_computes() {
        let cache = ResponseCache::default();
        let failed = cache.get_or_compute(&key(1), soon(), async { Err(ServeError::Stopping) }).await;
        assert_eq!(failed.unwrap_err(), ServeError::Stopping);
        assert!(cache.get_or_compute(&key(1), soon(), async { Ok(response(1)) }).await.is_ok());
        let timed_out = cache.get_or_compute(&key(2), Instant::now(), std::future::pending()).await;
        assert_eq!(timed_out.unwrap_err(), DecodeError::DeadlineExceeded.into());
    }

    #[tokio::test]
    async fn the_capacity_is_limited_in_bytes() {
        let cache = ResponseCache::default();
        for frame in 0..100 {
            cache.get_or_compute(&key(frame), soon(), async { Ok(response(1 << 20)) }).await.unwrap();
        }
        assert!(cache.0.weight() <= CAPACITY_BYTES && cache.0.len() < 64, "{cache:?}");
        let large = cache
            .get_or_compute(&key(100), soon(), async { Ok(response(1 + CAPACITY_BYTES as usize)) })
            .await;
        assert_eq!(large.unwrap().body.len(), 1 + CAPACITY_BYTES as usize);
        assert!(cache.0.weight() <= CAPACITY_BYTES);
    }
}
