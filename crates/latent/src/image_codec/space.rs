//! The latent space of an image codec, as both hosts use it.

use crate::{
    IdOnWire, LatentError, LatentSpaceId, Limits,
    framing::{FRAME_NAME, check_limit, take_payload},
    varint,
};

use super::{
    ContextModel, ImageCodecFrame, ImageCodecHeader, ImageCodecQuantiser, Layout,
    coder::{LayerStripe, StripeContext},
    rdoq::{Coefficients, RdoqCosts},
};

/// The padded image may have this many times the pixels that the limit allows for the image itself.
const MAX_PADDING_FACTOR: u64 = 2;

/// The latent space of an image codec, as defined by an encoder and its quantiser: layers, quantiser and
/// contexts.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageCodecSpace {
    id: LatentSpaceId,
    layout: Layout,
    quantiser: ImageCodecQuantiser,
    contexts: ContextModel,
    rdoq_costs: RdoqCosts,
}

/// The integers of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCodecLatent {
    /// The header of the frame.
    pub header: ImageCodecHeader,
    /// The layers in the frame, coarsest first, each `[channels, rows, columns]`.
    pub layers: Vec<Vec<i16>>,
}

impl ImageCodecSpace {
    /// Creates a latent space.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if layout, quantiser and contexts differ in the number of layers or
    /// channels.
    pub fn new(
        id: LatentSpaceId,
        layout: Layout,
        quantiser: ImageCodecQuantiser,
        contexts: ContextModel,
    ) -> Result<Self, LatentError> {
        let channels: Vec<usize> = layout.layers().iter().map(|layer| layer.channels as usize).collect();
        let gains: Vec<usize> = quantiser.gains().iter().map(Vec::len).collect();
        let checks = [
            ("context model's list of layers", contexts.layer_count(), channels.len()),
            ("quantiser's list of layers", gains.len(), channels.len()),
            ("context model's list of channels", contexts.channels().len(), channels.iter().sum()),
            ("list of gains", gains.iter().sum(), channels.iter().sum()),
        ];
        for (what, found, expected) in checks {
            if found != expected {
                return Err(LatentError::CountMismatch { what, found, expected });
            }
        }
        if gains != channels {
            return Err(LatentError::CountMismatch {
                what: "list of gains",
                found: gains[0],
                expected: channels[0],
            });
        }
        let rdoq_costs = RdoqCosts::new(&contexts);
        Ok(Self { id, layout, quantiser, contexts, rdoq_costs })
    }

    /// Returns the id of the latent space.
    #[must_use]
    pub fn id(&self) -> LatentSpaceId {
        self.id
    }

    /// Returns the layout of the layers.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the quantiser.
    #[must_use]
    pub fn quantiser(&self) -> &ImageCodecQuantiser {
        &self.quantiser
    }

    /// Returns the context model.
    #[must_use]
    pub fn contexts(&self) -> &ContextModel {
        &self.contexts
    }

    /// Quantises a layer to the best coefficients for a frame: sixteenths of a step if the coder can choose
    /// the integers itself, otherwise integers. `maps` are its first `channels` maps, `[channels, …]`;
    /// `quality` is 0 to 99.
    ///
    /// # Errors
    /// Returns the same errors as [`ImageCodecQuantiser::quantise`].
    pub fn quantise_coefficients(
        &self,
        layer: usize,
        channels: usize,
        quality: usize,
        maps: &[f32],
    ) -> Result<Coefficients, LatentError> {
        let in_sixteenths = !self.has_predictors(layer);
        Ok(self.to_coefficients(
            layer,
            self.quantiser.quantise_first(layer, channels, quality, maps, in_sixteenths)?,
        ))
    }

    /// Converts values that were taken from [coefficients](Self::quantise_coefficients) of this layer, and reassembled
    /// from parts, back to coefficients.
    #[must_use]
    pub fn to_coefficients(&self, layer: usize, values: Vec<i16>) -> Coefficients {
        if self.has_predictors(layer) {
            Coefficients::Integers(values)
        } else {
            Coefficients::Sixteenths(values)
        }
    }

    /// Encodes the quantised maps of an image to a frame: its first layers, coarsest first, each `[channels,
    /// rows, columns]` with the [layout's dimensions](Layout::dims).
    ///
    /// # Errors
    /// Returns the same errors as [`encode`](Self::encode).
    pub fn encode_integers(
        &self,
        header: ImageCodecHeader,
        layers: &[Vec<i16>],
        id: IdOnWire,
    ) -> Result<Vec<u8>, LatentError> {
        let layers: Vec<Coefficients> = layers.iter().cloned().map(Coefficients::Integers).collect();
        self.encode(header, &layers, id)
    }

    /// Encodes the coefficients of an image to a frame: its first layers, coarsest first, each `[channels,
    /// rows, columns]` with the [layout's dimensions](Layout::dims).
    ///
    /// # Errors
    /// Returns [`LatentError::BadHeader`] if the sides are invalid, [`LatentError::CountMismatch`] if the number of
    /// coefficients of a layer does not match the image, if there are zero or too many layers, or if a layer
    /// of sixteenths has predictors.
    pub fn encode(
        &self,
        header: ImageCodecHeader,
        layers: &[Coefficients],
        id: IdOnWire,
    ) -> Result<Vec<u8>, LatentError> {
        let lengths = layers.iter().enumerate().map(|(layer, coefficients)| {
            let plane = self.layout.dims(layer, header.width, header.height).iter().product::<usize>();
            match coefficients {
                // Channels that are missing at the end are zeros.
                Coefficients::Sixteenths(values) if values.len().is_multiple_of(plane.max(1)) => {
                    values.len().max(self.layout.elements(layer, header.width, header.height))
                }
                other => other.values().len(),
            }
        });
        self.check_layers(header, lengths)?;
        let mut payloads: Vec<Vec<Vec<u8>>> = vec![Vec::new(); layers.len()];
        for number in 0..self.stripe_count(header) {
            let mut context = StripeContext::default();
            for (layer, coefficients) in layers.iter().enumerate() {
                let (stripe, first_row) = self.layer_stripe(header, layer, number);
                let values = self.stripe_planes(header, layer, coefficients.values(), first_row, stripe.rows);
                payloads[layer].push(match coefficients {
                    Coefficients::Sixteenths(_) if !self.has_predictors(layer) => {
                        context.encode_layer_rdoq(&self.contexts, &self.rdoq_costs, stripe, &values)?
                    }
                    Coefficients::Sixteenths(_) => {
                        let what = "list of predictors of a layer in sixteenths";
                        return Err(LatentError::CountMismatch { what, found: layer, expected: 0 });
                    }
                    Coefficients::Integers(_) => context.encode(&self.contexts, stripe, &values)?,
                });
            }
        }
        let joined: Vec<Vec<u8>> = payloads.iter().map(|stripes| join_stripes(stripes)).collect();
        let payloads = joined.iter().map(Vec::as_slice).collect();
        Ok(ImageCodecFrame { latent_space: self.id, header, payloads }.to_bytes(id))
    }

    /// Decodes the integers of a frame of this latent space.
    ///
    /// # Errors
    /// Returns any of the frame's [errors](ImageCodecFrame::parse), [`LatentError::LatentSpaceMismatch`],
    /// [`LatentError::BadHeader`] for more layers than the latent space has, [`LatentError::Limit`] if the
    /// padded sides make more than twice the pixels allowed, or [`LatentError::Payload`].
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<ImageCodecLatent, LatentError> {
        let frame = ImageCodecFrame::parse(bytes, limits, Some(self.id))?;
        if frame.latent_space != self.id {
            return Err(LatentError::LatentSpaceMismatch { found: frame.latent_space, expected: self.id });
        }
        let (header, layer_count, max_layers) =
            (frame.header, frame.payloads.len(), self.layout.layers().len());
        if layer_count > max_layers {
            return Err(LatentError::BadHeader { field: "number of layers", found: layer_count as u64 });
        }
        let padded = self.layout.padded_pixels(header.width, header.height);
        check_limit(
            "size of the padded image in pixels",
            padded.into(),
            limits.max_pixels.saturating_mul(MAX_PADDING_FACTOR),
        )?;
        let stripes = self.stripe_count(header);
        let payloads = frame
            .payloads
            .iter()
            .map(|payload| split_stripes(payload, stripes))
            .collect::<Result<Vec<_>, _>>()?;
        let mut layers: Vec<Vec<i16>> = (0..layer_count)
            .map(|layer| vec![0; self.layout.elements(layer, header.width, header.height)])
            .collect();
        for number in 0..stripes {
            let mut context = StripeContext::default();
            for (layer, (values, streams)) in layers.iter_mut().zip(&payloads).enumerate() {
                let (stripe, first_row) = self.layer_stripe(header, layer, number);
                let decoded = context.decode(&self.contexts, stripe, streams[number])?;
                self.paste_stripe(header, layer, values, first_row, &decoded);
            }
        }
        Ok(ImageCodecLatent { header, layers })
    }

    /// Returns the maps that an image's integers represent, one entry per layer of the space; missing layers
    /// are zeros.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if a layer does not fit the image.
    pub fn dequantise(&self, latent: &ImageCodecLatent) -> Result<Vec<Vec<f32>>, LatentError> {
        let header = latent.header;
        self.check_layers(header, latent.layers.iter().map(Vec::len))?;
        (0..self.layout.layers().len())
            .map(|layer| match latent.layers.get(layer) {
                Some(integers) => self.quantiser.dequantise(layer, header.quality.index(), integers),
                None => Ok(vec![0.0; self.layout.elements(layer, header.width, header.height)]),
            })
            .collect()
    }

    /// Returns whether any channel of a layer is coded as the difference from a prediction.
    fn has_predictors(&self, layer: usize) -> bool {
        let first_channel = self.layout.layers()[..layer].iter().map(|layer| layer.channels as usize).sum();
        let channels = self.contexts.channels()[first_channel..].iter();
        channels
            .take(self.layout.layers()[layer].channels as usize)
            .any(|channel| channel.predictor != [0; 4])
    }

    /// Checks the header and the number of layers; `lengths` are the numbers of values per layer.
    fn check_layers(
        &self,
        header: ImageCodecHeader,
        lengths: impl ExactSizeIterator<Item = usize>,
    ) -> Result<(), LatentError> {
        header.check_sides()?;
        let (found, expected) = (lengths.len(), self.layout.layers().len());
        if found == 0 || found > expected {
            return Err(LatentError::CountMismatch { what: "list of layers", found, expected });
        }
        for (layer, found) in lengths.enumerate() {
            let expected = self.layout.elements(layer, header.width, header.height);
            if found != expected {
                return Err(LatentError::CountMismatch { what: "layer", found, expected });
            }
        }
        Ok(())
    }

    fn stripe_count(&self, header: ImageCodecHeader) -> usize {
        self.layout.stripe_count(header.height)
    }

    /// Returns the place of a stripe in a layer, and its first row.
    fn layer_stripe(&self, header: ImageCodecHeader, layer: usize, number: usize) -> (LayerStripe, usize) {
        let shape = self.layout.layers()[layer];
        let [_, columns] = self.layout.dims(layer, header.width, header.height);
        let rows = self.layout.stripe_rows(layer, header.height, number);
        let stripe = LayerStripe {
            layer,
            channels: shape.channels as usize,
            stride_log2: shape.stride.ilog2(),
            rows: rows.len(),
            columns,
            quality: header.quality.index(),
        };
        (stripe, rows.start)
    }

    /// Returns the rows of a stripe from every channel.
    fn stripe_planes<'a>(
        &self,
        header: ImageCodecHeader,
        layer: usize,
        values: &'a [i16],
        first: usize,
        rows: usize,
    ) -> Vec<&'a [i16]> {
        let [height, columns] = self.layout.dims(layer, header.width, header.height);
        let planes = values.chunks_exact(height * columns);
        planes.map(|plane| &plane[first * columns..(first + rows) * columns]).collect()
    }

    /// Copies the rows of a stripe to their position in every channel.
    fn paste_stripe(
        &self,
        header: ImageCodecHeader,
        layer: usize,
        values: &mut [i16],
        first: usize,
        stripe: &[i16],
    ) {
        let [height, columns] = self.layout.dims(layer, header.width, header.height);
        let rows = stripe.len() / (self.layout.layers()[layer].channels as usize);
        for (plane, rows) in values.chunks_exact_mut(height * columns).zip(stripe.chunks_exact(rows)) {
            plane[first * columns..][..rows.len()].copy_from_slice(rows);
        }
    }
}

/// Joins the payloads of a layer's stripes.
fn join_stripes(stripes: &[Vec<u8>]) -> Vec<u8> {
    if let [only] = stripes {
        return only.clone();
    }
    let mut out = Vec::new();
    for stripe in stripes {
        varint::write(&mut out, stripe.len() as u32);
        out.extend(stripe);
    }
    out
}

/// Splits the payload of a layer into those of its stripes.
fn split_stripes(payload: &[u8], stripes: usize) -> Result<Vec<&[u8]>, LatentError> {
    if stripes == 1 {
        return Ok(vec![payload]);
    }
    let mut rest = payload;
    let streams = (0..stripes)
        .map(|_| {
            let len = varint::read(&mut rest, FRAME_NAME, "stripe length")?;
            take_payload(&mut rest, len)
        })
        .collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok(streams) } else { Err(LatentError::Payload) }
}
