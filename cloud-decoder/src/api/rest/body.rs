//! The body of a decode request: a frame, or a form with a frame and its reference input.

use axum::{
    body::Bytes,
    extract::{
        FromRequest, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use lopside_decoder::ReferenceInput;

use crate::{
    ServeError,
    api::{error_http::ApiError, extract::BodyBytes},
    transport::BodyRefusal,
};

const MULTIPART: &[u8] = b"multipart/form-data";

/// The parsed body of a decode request.
pub(super) struct DecodeBody {
    pub(super) frame: Bytes,
    /// The form field `input`: an image file, or 32-bit little-endian floats of the type
    /// `application/octet-stream`.
    pub(super) reference_input: Option<ReferenceInput>,
}

impl<S: Send + Sync> FromRequest<S> for DecodeBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_multipart(request.headers()) {
            let BodyBytes(frame) = BodyBytes::from_request(request, state).await?;
            return Ok(Self { frame, reference_input: None });
        }
        let form = Multipart::from_request(request, state).await;
        parse_form(form.map_err(|error| ApiError::Http(error.status(), error.body_text()))?).await
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    kind.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

async fn parse_form(mut form: Multipart) -> Result<DecodeBody, ApiError> {
    let (mut frame, mut input) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| form_error(&error))? {
        let duplicate = match field.name() {
            Some("frame") => {
                frame.replace(field.bytes().await.map_err(|error| form_error(&error))?).map(|_| "frame")
            }
            Some("input") => input.replace(read_input(field).await?).map(|_| "input"),
            other => {
                let other = other.unwrap_or_default();
                return Err(bad_request(format!(
                    "the form has an unknown field {other:?}: send the fields frame and input"
                )));
            }
        };
        if let Some(name) = duplicate {
            return Err(bad_request(format!("the form has the field {name:?} twice")));
        }
    }
    let frame = frame.ok_or_else(|| bad_request("the form has no field \"frame\"".into()))?;
    Ok(DecodeBody { frame, reference_input: input })
}

async fn read_input(field: Field<'_>) -> Result<ReferenceInput, ApiError> {
    let numbers = field.content_type() == Some("application/octet-stream");
    let bytes = field.bytes().await.map_err(|error| form_error(&error))?;
    if numbers { parse_floats(&bytes) } else { Ok(ReferenceInput::Image(bytes.into())) }
}

fn parse_floats(bytes: &[u8]) -> Result<ReferenceInput, ApiError> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(bad_request(
            "the input is not a list of 32-bit floats: its length is not a multiple of 4".into(),
        ));
    }
    Ok(ReferenceInput::Values(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()))
}

fn bad_request(reason: String) -> ApiError {
    ApiError::Http(StatusCode::BAD_REQUEST, reason)
}

fn form_error(error: &MultipartError) -> ApiError {
    match BodyRefusal::find_in(error) {
        Some(refusal) => ServeError::from(refusal).into(),
        None => ApiError::Http(error.status(), error.body_text()),
    }
}
