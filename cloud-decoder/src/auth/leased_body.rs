//! The bodies of a request and of its response, which end together with the request's key.
//!
//! Both directions of every request with a key are wrapped in the authentication layer, so that no handler can
//! forget to end a stream. After the end of the lease, nothing that arrives reaches the handler, and nothing that
//! the handler produces reaches the client.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
    http::HeaderMap,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;

use super::{Denial, lease::KeyLease};

/// The way in which a body ends if its lease ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    /// An error, which closes the connection or resets the stream: a part must not look like the whole.
    Error,
    /// An error that handlers of gRPC report as its status.
    GrpcError,
    /// A status in the trailers, as at the end of every response of gRPC.
    GrpcTrailers,
}

/// A body that ends when the lease of its request ends.
pub(super) struct LeasedBody {
    /// The body; `None` once it was cut off.
    body: Option<Body>,
    lease: KeyLease,
    cut_off: CutOff,
    /// The wait for the end of the lease, created when the body first has to wait.
    revoked: Option<BoxFuture<'static, ()>>,
}

impl LeasedBody {
    /// Wraps a body, unless it is known to be at its end.
    pub(super) fn wrap(body: Body, lease: &KeyLease, cut_off: CutOff) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Self { body: Some(body), lease: lease.clone(), cut_off, revoked: None })
    }

    /// Drops the body, and returns its last frame or its error.
    fn end(&mut self) -> Result<Frame<Bytes>, BoxError> {
        self.body = None;
        self.revoked = None;
        self.lease.record_end();
        let message = Denial::Revoked.to_string();
        match self.cut_off {
            CutOff::Error => Err(message.into()),
            CutOff::GrpcError => Err(Status::unauthenticated(message).into()),
            CutOff::GrpcTrailers => {
                let mut trailers = HeaderMap::new();
                Status::unauthenticated(message).add_header(&mut trailers)?;
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

impl http_body::Body for LeasedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.lease.has_ended() {
            return Poll::Ready(Some(this.end()));
        }
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let revoked = this.revoked.get_or_insert_with(|| {
            let lease = this.lease.clone();
            async move { lease.revoked().await }.boxed()
        });
        ready!(revoked.as_mut().poll(context));
        Poll::Ready(Some(this.end()))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
