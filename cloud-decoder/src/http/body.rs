//! The body of a decode request: a frame, or a form with a frame and its reference input.

use axum::{
    body::Bytes,
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

use crate::{SentInput, error_http::Refusal, extract::WholeBody};

const FORM: &[u8] = b"multipart/form-data";

/// The parsed body of a decode request.
pub(super) struct Body {
    pub(super) frame: Bytes,
    /// The form field `input`: an image file, or 32-bit little-endian floats of the type
    /// `application/octet-stream`.
    pub(super) input: Option<SentInput>,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_form(request.headers()) {
            let WholeBody(frame) = WholeBody::from_request(request, state).await?;
            return Ok(Self { frame, input: None });
        }
        let form = Multipart::from_request(request, state).await;
        form_body(form.map_err(|error| Refusal::Http(error.status(), error.body_text()))?).await
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    kind.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

async fn form_body(mut form: Multipart) -> Result<Body, Refusal> {
    let (mut frame, mut input) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| refused(&error))? {
        let twice = match field.name() {
            Some("frame") => {
                frame.replace(field.bytes().await.map_err(|error| refused(&error))?).map(|_| "frame")
            }
            Some("input") => input.replace(input_of(field).await?).map(|_| "input"),
            other => {
                let other = other.unwrap_or_default();
                return Err(bad(format!(
                    "the form has an unknown field {other:?}: send the fields frame and input"
                )));
            }
        };
        if let Some(name) = twice {
            return Err(bad(format!("the form has the field {name:?} twice")));
        }
    }
    let frame = frame.ok_or_else(|| bad("the form has no field \"frame\"".into()))?;
    Ok(Body { frame, input })
}

async fn input_of(field: Field<'_>) -> Result<SentInput, Refusal> {
    let numbers = field.content_type() == Some("application/octet-stream");
    let bytes = field.bytes().await.map_err(|error| refused(&error))?;
    if numbers { numbers_of(&bytes) } else { Ok(SentInput::Picture(bytes.into())) }
}

fn numbers_of(bytes: &[u8]) -> Result<SentInput, Refusal> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(
            bad("the input is not a list of 32-bit floats: its length is not a multiple of 4".into()),
        );
    }
    Ok(SentInput::Numbers(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
}

fn bad(reason: String) -> Refusal {
    Refusal::Http(StatusCode::BAD_REQUEST, reason)
}

fn refused(error: &MultipartError) -> Refusal {
    Refusal::Http(error.status(), error.body_text())
}
