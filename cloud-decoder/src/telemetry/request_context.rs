//! The id of a request, and the name of its key once that is known.
//!
//! A client may send its own id in the header, or gRPC metadata, `x-request-id`: 1 to 128 visible ASCII characters.
//! Otherwise the id is random. The response carries it, and so do the span of the request, the lines of the log about its
//! failure, the access log and the audit log.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::{
    extract::Request,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_BYTES: usize = 128;

tokio::task_local! {
    /// The request that the current task works for.
    static CURRENT: Arc<RequestContext>;
}

/// The id of a request, in the request's extensions, and the name of its key.
#[derive(Debug)]
pub(crate) struct RequestContext {
    id: HeaderValue,
    key: OnceLock<Arc<str>>,
}

/// The layer that gives every request an id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIdLayer;

/// A service whose requests have an id.
#[derive(Debug, Clone)]
pub(crate) struct IdentifyingService<S>(S);

impl RequestContext {
    /// Takes the id of the client if it is valid, or else a random one.
    fn from_headers(headers: &HeaderMap) -> Self {
        let mut sent = headers.get_all(REQUEST_ID).iter();
        let only = sent.next().filter(|_| sent.next().is_none());
        let id = only.filter(|id| is_valid_id(id)).cloned().unwrap_or_else(random_id);
        Self { id, key: OnceLock::new() }
    }

    /// Returns the context of a request; `None` if it did not pass the layer.
    pub(crate) fn of_request(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get()
    }

    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// Returns the name of the key with which the request was admitted.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.get().map(|name| &**name)
    }

    /// Stores the name of the key with which the request was admitted.
    pub(crate) fn set_key(&self, name: &Arc<str>) {
        // A request is admitted once.
        let _ = self.key.set(Arc::clone(name));
    }
}

/// Returns the id of the request that the current task works for, for a line of the log.
pub(crate) fn current_request_id() -> Option<String> {
    CURRENT.try_with(|context| context.id().to_owned()).ok()
}

/// Returns a future that works for the current request, also in a task of its own.
pub(crate) fn keep_request<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let context = CURRENT.try_with(Arc::clone).ok();
    async move {
        match context {
            Some(context) => CURRENT.scope(context, future).await,
            None => future.await,
        }
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = IdentifyingService<S>;

    fn layer(&self, inner: S) -> IdentifyingService<S> {
        IdentifyingService(inner)
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for IdentifyingService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Identifying<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let request_context = Arc::new(RequestContext::from_headers(request.headers()));
        request.extensions_mut().insert(Arc::clone(&request_context));
        let inner = CURRENT.sync_scope(Arc::clone(&request_context), || self.0.call(request));
        Identifying { inner, request_context }
    }
}

pin_project! {
    /// The response future of a request with an id.
    pub(crate) struct Identifying<F> {
        #[pin]
        inner: F,
        request_context: Arc<RequestContext>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Identifying<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = CURRENT.sync_scope(Arc::clone(this.request_context), || inner.poll(context));
        let mut response = ready!(polled)?;
        response.headers_mut().insert(REQUEST_ID, this.request_context.id.clone());
        Poll::Ready(Ok(response))
    }
}

fn is_valid_id(id: &HeaderValue) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Returns 32 random hexadecimal digits.
fn random_id() -> HeaderValue {
    let digits = format!("{:032x}", rand::random::<u128>());
    HeaderValue::try_from(digits).unwrap_or_else(|_| unreachable!("digits are valid in a header"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// Sends a request with these ids, and returns the ids that the handler, its task and the client see.
    async fn ids(sent: &[&str]) -> [String; 3] {
        let service = service_fn(|request: Request| async move {
            let context = Arc::clone(RequestContext::of_request(request.extensions()).unwrap());
            let in_task = tokio::spawn(keep_request(async { current_request_id() })).await.unwrap();
            assert_eq!(current_request_id(), in_task);
            let body = format!("{} {}", context.id(), in_task.unwrap());
            Ok::<_, Infallible>(Response::new(Body::from(body)))
        });
        let request = sent.iter().fold(Request::builder(), |request, id| request.header("x-request-id", *id));
        let request = request.body(Body::empty()).unwrap();
        let response = RequestIdLayer.layer(service).oneshot(request).await.unwrap();
        let received = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let (extension, task) = std::str::from_utf8(&body).unwrap().split_once(' ').unwrap();
        [extension.to_owned(), task.to_owned(), received]
    }

    #[tokio::test]
    async fn a_valid_id_of_the_client_is_kept_and_another_is_replaced() {
        assert_eq!(current_request_id(), None);
        let longest = "x".repeat(128);
        for id in ["a", "0af7651916cd43dd8448eb211c80319c", "~!", &longest] {
            assert_eq!(ids(&[id]).await, [id; 3]);
        }
        for sent in [&[][..], &[""], &["two words"], &["tab\t"], &[&"x".repeat(129)], &["a", "b"]] {
            let [extension, task, received] = ids(sent).await;
            assert_eq!((&extension, &task), (&received, &received), "{sent:?}");
            assert!(received.len() == 32 && received.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        assert_ne!(ids(&[]).await, ids(&[]).await);
    }

    #[test]
    fn the_first_key_of_a_request_is_kept() {
        let context = RequestContext::from_headers(&HeaderMap::new());
        assert_eq!(context.key(), None);
        context.set_key(&"line-3".into());
        context.set_key(&"line-4".into());
        assert_eq!(context.key(), Some("line-3"));
    }
}
