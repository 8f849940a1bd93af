//! Charges the computation of a request to its API key, before anything is decoded.
//!
//! The cost is what the request declares: the headers of its frames give the pixels or the number of items, and the
//! bundle gives the multiply-accumulates of each head. A frame of a few hundred bytes may declare the largest image.

use std::{convert::Infallible, time::Instant};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, request::Parts},
};
use lopside_decoder::{DecodeError, DecodeRequest, Decoder};

use crate::{
    ServeError,
    auth::{CostBudget, CostRefusal},
};

/// The budget of a request's key; `None` if the server has no keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestCost(Option<CostBudget>);

impl RequestCost {
    /// Returns the budget that the authentication layer has added to a request.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Self {
        Self(extensions.get::<CostBudget>().cloned())
    }

    /// Charges a decode request.
    ///
    /// # Errors
    /// [`ServeError::CostLimited`], [`ServeError::CostTooHigh`], or the error of an invalid request.
    pub(crate) fn charge_request<F: AsRef<[u8]>>(
        &self,
        decoder: &Decoder,
        request: &DecodeRequest<'_, F>,
    ) -> Result<(), ServeError> {
        self.charge(|| decoder.declared_macs(request))
    }

    /// Charges the multiply-accumulates that `declared_macs` returns, which is not called without a limit.
    ///
    /// # Errors
    /// [`ServeError::CostLimited`], [`ServeError::CostTooHigh`], or the error of `declared_macs`.
    pub(crate) fn charge(
        &self,
        declared_macs: impl FnOnce() -> Result<u64, DecodeError>,
    ) -> Result<(), ServeError> {
        let Some(budget) = self.0.as_ref().filter(|budget| budget.is_limited()) else { return Ok(()) };
        budget.charge(declared_macs()?, Instant::now()).map_err(ServeError::from)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestCost {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_extensions(&parts.extensions))
    }
}

impl From<CostRefusal> for ServeError {
    fn from(refusal: CostRefusal) -> Self {
        match refusal {
            CostRefusal::Wait(wait) => Self::CostLimited { wait },
            CostRefusal::NeverAdmissible { gmacs, gmacs_per_minute } => {
                Self::CostTooHigh { gmacs, gmacs_per_minute }
            }
        }
    }
}
