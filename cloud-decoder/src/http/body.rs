//! The body of a decode request: a frame, or a form of a frame and the input that it was made of.

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};

use crate::{SentInput, error_http::Refusal};

/// What a client sent.
pub(super) struct Body {
    pub(super) frame: Bytes,
    /// The form's `input`: a picture file, or 32-bit little-endian floats of the type `application/octet-stream`.
    pub(super) input: Option<SentInput>,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes());
        if !content_type.is_some_and(|value| value.starts_with(b"multipart/form-data")) {
            let frame = Bytes::from_request(request, state).await;
            let frame = frame.map_err(|error| Refusal::Http(error.status(), error.body_text()))?;
            return Ok(Self { frame, input: None });
        }
        let form = Multipart::from_request(request, state).await;
        form_body(form.map_err(|error| Refusal::Http(error.status(), error.body_text()))?).await
    }
}

async fn form_body(mut form: Multipart) -> Result<Body, Refusal> {
    let (mut frame, mut input) = (None, None);
    while let Some(field) = form.next_field().await.map_err(refused)? {
        match field.name() {
            Some("frame") => frame = Some(field.bytes().await.map_err(refused)?),
            Some("input") => {
                let numbers = field.content_type() == Some("application/octet-stream");
                let bytes = field.bytes().await.map_err(refused)?;
                input = Some(if numbers { numbers_of(&bytes)? } else { SentInput::Picture(bytes.into()) });
            }
            other => return Err(bad(format!("the form has a field {other:?}: it takes frame and input"))),
        }
    }
    let frame = frame.ok_or_else(|| bad("the form has no field \"frame\"".into()))?;
    Ok(Body { frame, input })
}

fn numbers_of(bytes: &[u8]) -> Result<SentInput, Refusal> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(bad("the input is no list of 32-bit floats: its length is no multiple of 4".into()));
    }
    Ok(SentInput::Numbers(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
}

fn bad(reason: String) -> Refusal {
    Refusal::Http(StatusCode::BAD_REQUEST, reason)
}

fn refused(error: MultipartError) -> Refusal {
    Refusal::Http(error.status(), error.body_text())
}
