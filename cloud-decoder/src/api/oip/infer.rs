//! One inference, independent of the transport.

use lopside_decoder::ServedBundle;

use super::{
    OipService, fixed_latent, image_codec,
    inference_request::{InferRequest, InferResponse, InferenceSource},
};
use crate::{ServeError, api::cost::RequestCost};

impl OipService {
    /// Runs a model, and charges it to the key of the request.
    ///
    /// # Errors
    /// [`ServeError`]; for an invalid input, with its name.
    #[tracing::instrument(skip_all, fields(model = request.model))]
    pub(super) async fn infer(
        &self,
        request: InferRequest,
        cost: &RequestCost,
    ) -> Result<InferResponse, ServeError> {
        let InferRequest { model, version, inputs, outputs, options } = request;
        let source = InferenceSource::from_inputs(inputs)?;
        let model = self.find_model_for_space(&model, &version, source.latent_space()?)?;
        let outputs = match (model.served.as_ref(), source) {
            (ServedBundle::FixedLatent(service), source) => {
                let limits = self.decoder.limits();
                fixed_latent::infer(service, &model, source, outputs, (limits, options, cost)).await?
            }
            (ServedBundle::ImageCodec(service), source) => {
                // Boxed, because this future takes twice the memory of the other one, which has to be fast.
                let terms = (options, cost);
                Box::pin(image_codec::infer(&self.decoder, service, &model, source, &outputs, terms)).await?
            }
        };
        Ok(InferResponse { model: model.name, version: model.version, outputs })
    }
}
