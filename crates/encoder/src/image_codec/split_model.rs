use std::sync::Arc;

use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecManifest};
use lopside_latent::image_codec::Layout;
use tract_onnx::prelude::{InferenceModel, OutletId};

use super::plan_cache::PlanCache;
use crate::{
    EncodeError, ModelPlan,
    model_plan::{ModelOutputs, model_error, parse_model},
};

/// The encoder's graph, cut in two at the bands.
#[derive(Debug)]
pub(super) struct SplitModel {
    /// The part between the image and the bands.
    first: InferenceModel,
    /// The part between the bands and the layers, without the finest layer if that consists of bands.
    second: InferenceModel,
    first_plans: PlanCache,
    second_plans: PlanCache,
    /// Number of channels that the first half yields.
    pub(super) band_count: usize,
    /// Number of these channels, from the first on, that the second half needs.
    pub(super) low_bands: usize,
    /// Factor by which the first half's input is smaller than the image, in each direction.
    pub(super) shrink: usize,
}

/// Factor by which a fast encoder's input is smaller than the image.
const FAST_SHRINK: usize = 2;

impl SplitModel {
    /// Cuts the encoder of a bundle and tries both halves on a small image.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if tract cannot run it or it does not match the manifest.
    pub(super) fn new(bundle: &ImageCodecBundle) -> Result<Self, EncodeError> {
        let manifest = &bundle.manifest;
        let model = parse_model(&bundle.encoder)?;
        let input = manifest.encoder.input.as_str();
        let bands = find_outlet(&model, &manifest.encoder.bands)?;
        let layers: Vec<OutletId> = manifest
            .layers
            .iter()
            .map(|layer| find_outlet(&model, &layer.tensor))
            .collect::<Result<_, _>>()?;
        let first = cut_model(&model, find_node(&model, input)?, &[bands])?;
        let trial = BandTrial::new(manifest, bundle.space.layout(), &first, 1)?;
        let (second, low) = trial.second_half(&model, bands, &layers)?;
        Ok(Self {
            first,
            second,
            first_plans: PlanCache::default(),
            second_plans: PlanCache::default(),
            band_count: trial.band_count,
            low_bands: low,
            shrink: 1,
        })
    }

    /// Replaces the first half by the bundle's fast encoder.
    ///
    /// # Errors
    /// [`EncodeError::NoFastEncoder`] if the bundle does not have one, [`EncodeError::Model`] as
    /// [`SplitModel::new`], or if the fast encoder does not yield the first bands.
    pub(super) fn new_fast(bundle: &ImageCodecBundle) -> Result<Self, EncodeError> {
        let manifest = &bundle.manifest;
        let (Some(spec), Some(model)) = (&manifest.encoder.fast, &bundle.fast_encoder) else {
            return Err(EncodeError::NoFastEncoder { bundle: manifest.name.clone() });
        };
        let full = Self::new(bundle)?;
        let model = parse_model(model)?;
        let first = cut_model(&model, find_node(&model, &spec.input)?, &[find_outlet(&model, &spec.bands)?])?;
        let bands = BandTrial::new(manifest, bundle.space.layout(), &first, FAST_SHRINK)?.band_count;
        let allowed_bands = full.low_bands.max(1)..=full.band_count;
        if !full.finest_is_bands() || !allowed_bands.contains(&bands) {
            return Err(EncodeError::Model(format!(
                "its fast encoder produces {bands} bands instead of {allowed_bands:?}"
            )));
        }
        Ok(Self { first, band_count: bands, shrink: FAST_SHRINK, ..full })
    }

    /// Returns whether the finest layer consists of the bands that the second half does not need.
    pub(super) fn finest_is_bands(&self) -> bool {
        self.low_bands < self.band_count
    }

    /// Returns the plan that computes the bands of an input `[1, 3, rows, columns]`.
    pub(super) fn first_plan(&self, [rows, columns]: [usize; 2]) -> Result<Arc<ModelPlan>, EncodeError> {
        self.first_plans.get_or_compile([rows, columns], || {
            ModelPlan::from_model(self.first.clone(), vec![1, 3, rows, columns])
        })
    }

    /// Computes the layers of low bands `[low, rows, columns]`, coarsest first.
    pub(super) fn layers(
        &self,
        low: Vec<f32>,
        [rows, columns]: [usize; 2],
    ) -> Result<Vec<Vec<f32>>, EncodeError> {
        if self.low_bands == 0 {
            return Ok(Vec::new());
        }
        let outputs = self.second_plan([rows, columns])?.run_filled(|input| {
            input.copy_from_slice(&low);
            drop(low);
        })?;
        output_maps(&outputs)
    }

    /// Returns the plan that computes the layers of an input `[1, low, rows, columns]`.
    fn second_plan(&self, [rows, columns]: [usize; 2]) -> Result<Arc<ModelPlan>, EncodeError> {
        self.second_plans.get_or_compile([rows, columns], || {
            ModelPlan::from_model(self.second.clone(), vec![1, self.low_bands, rows, columns])
        })
    }
}

/// The bands of a small image, for finding out how the second half uses them.
struct BandTrial {
    band_count: usize,
    rows: usize,
    finest_channels: usize,
    values: Vec<f32>,
}

impl BandTrial {
    /// Side of the image, in blocks of the coarsest layer.
    const BLOCKS: usize = 2;

    /// Checks that the first half, whose input is `shrink` times smaller than the image, yields bands with
    /// the stride of the finest layer, and creates test values for them.
    fn new(
        manifest: &ImageCodecManifest,
        layout: &Layout,
        first: &InferenceModel,
        shrink: usize,
    ) -> Result<Self, EncodeError> {
        let reach = manifest.input.reach as usize;
        let side = Self::BLOCKS * layout.alignment() as usize;
        let (finest, stride) =
            layout.layers().last().map_or((0, 1), |l| (l.channels as usize, l.stride as usize));
        let input_side = (side + 2 * reach) / shrink;
        let outputs =
            ModelPlan::from_model(first.clone(), vec![1, 3, input_side, input_side])?.run_filled(|_| ())?;
        let dims = outputs.dims(0);
        let rows = side / stride;
        match *dims {
            [1, bands, found_rows, found_columns] if [found_rows, found_columns] == [rows; 2] => {
                // Distinct values, so that a copy can be recognised.
                let values = (0..bands * rows * rows).map(|i| i as f32 / 1024.0).collect();
                Ok(Self { band_count: bands, rows, finest_channels: finest, values })
            }
            _ => Err(EncodeError::Model(format!(
                "its bands have shape {dims:?} for an input of [1, 3, {input_side}, {input_side}], instead of [1, \
                 channels, {rows}, {rows}] like its finest layer: correct reach or stride in bundle.json"
            ))),
        }
    }

    /// Returns the second half and the number of bands that it needs. If the finest layer is a copy of the
    /// last bands and the other layers do not depend on these, they bypass the second half.
    fn second_half(
        &self,
        model: &InferenceModel,
        bands: OutletId,
        layers: &[OutletId],
    ) -> Result<(InferenceModel, usize), EncodeError> {
        let full = cut_model(model, bands, layers)?;
        let expected = output_maps(&self.run_second(&full, self.band_count)?)?;
        let low_bands = self.band_count.saturating_sub(self.finest_channels);
        let low_values = low_bands * self.rows * self.rows;
        if expected.last().is_some_and(|finest| *finest == self.values[low_values..]) {
            let coarser = &layers[..layers.len() - 1];
            if coarser.is_empty() {
                return Ok((full, low_bands));
            }
            let second = cut_model(model, bands, coarser)?;
            // A half that needs the missing bands does not compile, or yields other values.
            let found = self.run_second(&second, low_bands).and_then(|outputs| output_maps(&outputs));
            if found.is_ok_and(|found| found == expected[..coarser.len()]) {
                return Ok((second, low_bands));
            }
        }
        Ok((full, self.band_count))
    }

    fn run_second(&self, model: &InferenceModel, bands: usize) -> Result<ModelOutputs, EncodeError> {
        let plan = ModelPlan::from_model(model.clone(), vec![1, bands, self.rows, self.rows])?;
        plan.run_filled(|input| input.copy_from_slice(&self.values[..input.len()]))
    }
}

fn output_maps(outputs: &ModelOutputs) -> Result<Vec<Vec<f32>>, EncodeError> {
    (0..outputs.len()).map(|number| Ok(outputs.values(number)?.to_vec())).collect()
}

/// Returns the part of a model between one tensor and others.
fn cut_model(
    model: &InferenceModel,
    input: OutletId,
    outputs: &[OutletId],
) -> Result<InferenceModel, EncodeError> {
    model
        .clone()
        .with_input_outlets(&[input])
        .and_then(|model| model.with_output_outlets(outputs))
        .and_then(InferenceModel::into_compact)
        .map_err(|error| model_error(&error))
}

fn find_outlet(model: &InferenceModel, tensor: &str) -> Result<OutletId, EncodeError> {
    model.find_outlet_label(tensor).map_or_else(|| find_node(model, tensor), Ok)
}

fn find_node(model: &InferenceModel, tensor: &str) -> Result<OutletId, EncodeError> {
    let found = model.node_id_by_name(tensor);
    found.map(OutletId::from).map_err(|_| EncodeError::Model(format!("it does not have a tensor {tensor:?}")))
}
