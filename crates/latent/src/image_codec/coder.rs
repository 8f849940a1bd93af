//! The coder of one stripe of a layer, channel by channel, to a payload and back.
//!
//! Each channel is one plane of integers, visited by [`walk_plane`]. The coder writes the difference of each
//! integer from its prediction; for most channels the prediction is 0.

use crate::{
    LatentError,
    coder::{BitDecoder, BitEncoder, Coder},
};

use super::{
    ContextModel, Energy, Plane, PlaneVisitor,
    coding_visitor::CodingVisitor,
    rdoq::{RdoqCosts, RdoqVisitor, all_nearest_to_zero, nearest_integer},
    walk_plane,
};

/// The layers of a stripe that have been coded so far, as context for the next layer.
#[derive(Debug, Default)]
pub(crate) struct StripeContext {
    /// One plane per channel, and the binary logarithm of its stride.
    planes: Vec<(Plane, u32)>,
}

/// The part of a latent space that one coding step works on: a layer of a stripe, at one quality.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerStripe {
    /// The index of the layer.
    pub(crate) layer: usize,
    /// Number of channels of the layer.
    pub(crate) channels: usize,
    /// The binary logarithm of the layer's stride.
    pub(crate) stride_log2: u32,
    /// Number of rows of the stripe in this layer.
    pub(crate) rows: usize,
    /// Number of columns of the layer.
    pub(crate) columns: usize,
    /// The quality, 0 to 99.
    pub(crate) quality: usize,
}

impl LayerStripe {
    pub(crate) fn elements(&self) -> usize {
        self.channels * self.rows * self.columns
    }
}

impl StripeContext {
    /// Encodes the planes of the next layer to its payload.
    pub(crate) fn encode(
        &mut self,
        model: &ContextModel,
        stripe: LayerStripe,
        planes: &[&[i16]],
    ) -> Result<Vec<u8>, LatentError> {
        let (mut coder, first_channel) = (BitEncoder::new(), self.planes.len());
        self.walk_layer(
            &mut coder,
            model,
            stripe,
            |channel, coded| {
                let weights = predictor_weights(model, first_channel + channel);
                subtract_prediction(planes[channel], stripe.columns, weights, coded);
            },
            |_, _| Ok(()),
        )?;
        Ok(coder.finish())
    }

    /// Encodes the next layer to its payload, and chooses its integers while coding: `planes` are in
    /// sixteenths of a step. Its channels must not have predictors; channels that are missing at the end are
    /// zeros.
    pub(crate) fn encode_layer_rdoq(
        &mut self,
        model: &ContextModel,
        rdoq_costs: &RdoqCosts,
        stripe: LayerStripe,
        planes: &[&[i16]],
    ) -> Result<Vec<u8>, LatentError> {
        let (mut coder, mut after_zero) = (BitEncoder::new(), false);
        let mut coded = vec![0; stripe.rows * stripe.columns];
        for channel in 0..stripe.channels {
            let sixteenths = planes.get(channel).copied().unwrap_or_default();
            let channel = self.planes.len();
            let mut coding =
                CodingVisitor { coder: &mut coder, model, layer: stripe.layer, channel, after_zero };
            after_zero = all_nearest_to_zero(sixteenths);
            if after_zero {
                coding.visit_plane(&mut after_zero)?;
                self.planes.push((Plane::new(stripe.rows, stripe.columns), stripe.stride_log2));
                continue;
            }
            coded.iter_mut().zip(sixteenths).for_each(|(coded, &s)| *coded = nearest_integer(s));
            let columns = stripe.columns;
            let mut visitor =
                RdoqVisitor { coding, rdoq_costs, sixteenths, columns, next_row: 0, next_value: 0 };
            after_zero = self.walk_channel(model, stripe, &mut coded, &mut visitor)?;
        }
        Ok(coder.finish())
    }

    /// Decodes the planes of the next layer.
    pub(crate) fn decode(
        &mut self,
        model: &ContextModel,
        stripe: LayerStripe,
        payload: &[u8],
    ) -> Result<Vec<i16>, LatentError> {
        let (mut coder, first_channel) = (BitDecoder::new(payload)?, self.planes.len());
        let mut values = Vec::with_capacity(stripe.elements());
        self.walk_layer(
            &mut coder,
            model,
            stripe,
            |_, coded| coded.fill(0),
            |channel, coded| {
                add_prediction(
                    coded,
                    stripe.columns,
                    predictor_weights(model, first_channel + channel),
                    &mut values,
                )
            },
        )?;
        if coder.fully_read() { Ok(values) } else { Err(LatentError::Payload) }
    }

    /// Walks through the channels of a layer. `prepare` fills the values to be coded, `finish` receives the
    /// coded ones.
    fn walk_layer(
        &mut self,
        coder: &mut impl Coder,
        model: &ContextModel,
        stripe: LayerStripe,
        mut prepare: impl FnMut(usize, &mut [i32]),
        mut finish: impl FnMut(usize, &[i32]) -> Result<(), LatentError>,
    ) -> Result<(), LatentError> {
        let mut coded = vec![0; stripe.rows * stripe.columns];
        let mut after_zero = false;
        for channel in 0..stripe.channels {
            prepare(channel, &mut coded);
            let plane_index = self.planes.len();
            let mut visitor =
                CodingVisitor { coder, model, layer: stripe.layer, channel: plane_index, after_zero };
            after_zero = self.walk_channel(model, stripe, &mut coded, &mut visitor)?;
            finish(channel, &coded)?;
        }
        Ok(())
    }

    /// Walks through the next channel, and returns whether it is zero.
    fn walk_channel(
        &mut self,
        model: &ContextModel,
        stripe: LayerStripe,
        coded: &mut [i32],
        visitor: &mut impl PlaneVisitor,
    ) -> Result<bool, LatentError> {
        let mut plane = Plane::new(stripe.rows, stripe.columns);
        let zero =
            walk_plane(|| self.channel_energy(model, stripe, self.planes.len()), &mut plane, coded, visitor)?;
        self.planes.push((plane, stripe.stride_log2));
        Ok(zero)
    }

    /// Returns the expected magnitudes of a channel.
    fn channel_energy<'a>(
        &'a self,
        model: &'a ContextModel,
        stripe: LayerStripe,
        channel: usize,
    ) -> Energy<'a> {
        let context = &model.channels()[channel];
        let references = context.references.iter().map(|reference| {
            let (plane, stride_log2) = &self.planes[reference.channel as usize];
            (plane, stride_log2 - stripe.stride_log2)
        });
        Energy::new(context, stripe.quality, stripe.columns, references)
    }
}

fn predictor_weights(model: &ContextModel, channel: usize) -> [i32; 4] {
    model.channels()[channel].predictor.map(i32::from)
}

/// Subtracts the prediction from a plane of integers in raster order, and writes the values to be coded.
/// `weights` are the channel's [predictor](super::ChannelContext::predictor).
pub fn subtract_prediction(plane: &[i16], columns: usize, weights: [i32; 4], coded: &mut [i32]) {
    for (index, (coded, &value)) in coded.iter_mut().zip(plane).enumerate() {
        *coded = i32::from(value) - predict_value(plane, columns, index, weights);
    }
}

/// Appends `coded` plus its prediction to `values`.
fn add_prediction(
    coded: &[i32],
    columns: usize,
    weights: [i32; 4],
    values: &mut Vec<i16>,
) -> Result<(), LatentError> {
    let start = values.len();
    for (index, &difference) in coded.iter().enumerate() {
        let value = difference.checked_add(predict_value(&values[start..], columns, index, weights));
        values.push(value.and_then(|v| i16::try_from(v).ok()).ok_or(LatentError::Payload)?);
    }
    Ok(())
}

/// Returns the prediction of the integer at `index` from those before it: the weighted sum of left, above,
/// above-left and above-right, rounded to the nearest. A neighbour outside the plane is replaced by the
/// nearest known integer inside; before the first integer, by 0.
fn predict_value(plane: &[i16], columns: usize, index: usize, weights: [i32; 4]) -> i32 {
    if weights == [0; 4] {
        return 0;
    }
    let (row, column) = (index / columns, index % columns);
    let neighbours = match (row, column) {
        (0, 0) => [0; 4],
        (0, _) => [plane[index - 1]; 4],
        (_, column) => {
            let above = plane[index - columns];
            let left = if column == 0 { above } else { plane[index - 1] };
            let above_left = if column == 0 { above } else { plane[index - columns - 1] };
            let above_right = if column + 1 == columns { above } else { plane[index - columns + 1] };
            [left, above, above_left, above_right]
        }
    };
    let sum: i64 = neighbours.iter().zip(weights).map(|(&v, w)| i64::from(v) * i64::from(w)).sum();
    ((sum + 128) >> 8) as i32
}
