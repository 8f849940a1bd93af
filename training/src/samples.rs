//! Samples in the form that models see: rows of inputs and targets.

use image::DynamicImage;
use lopside_bundle::{Channels, ImageSpec};
use lopside_input::to_model_image;

use crate::{
    DefinitionError, ImageDataset,
    corpus::{Corpus, CorpusSamples},
    definition::{self, Blueprint, ImageSignal, Signal},
    objective::TrainingBatch,
};

/// Inputs, targets and labels of a data set.
pub(crate) struct Samples {
    input: SampleRows,
    /// Target outputs; `None` uses the inputs.
    target: Option<SampleRows>,
    labels: Vec<Option<u8>>,
}

/// Samples of one signal.
enum SampleRows {
    /// Images with one byte per sample, one after the other and plane after plane.
    Images { bytes: Vec<u8>, signal: ImageSignal },
    /// Scaled windows of a time series, `each` values per window.
    Windows { values: Vec<f32>, window_len: usize },
}

impl Samples {
    /// Converts a corpus to the blueprint's input and output, with the edge encoder's preprocessing.
    ///
    /// # Errors
    /// [`DefinitionError::UnsupportedDataSet`] for data that the model cannot read.
    pub(crate) fn new(corpus: &Corpus, blueprint: &Blueprint) -> Result<Self, DefinitionError> {
        let definition = &blueprint.definition;
        let set = &definition.data.set;
        let target = definition
            .output
            .as_ref()
            .map(|signal| SampleRows::from_corpus(corpus, signal, set))
            .transpose()?;
        let input = SampleRows::from_corpus(corpus, &definition.input, set)?;
        Ok(Self { input, target, labels: corpus.known_labels.clone() })
    }

    /// Returns the number of samples.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Returns the labelled samples among the first `count`, or nothing if at least half of them are
    /// labelled.
    pub(crate) fn rare_labels(&self, count: usize) -> Vec<usize> {
        let known: Vec<usize> = (0..count).filter(|&index| self.labels[index].is_some()).collect();
        if 2 * known.len() < count { known } else { Vec::new() }
    }

    /// Returns the samples at these indices.
    pub(crate) fn batch(&self, indices: &[usize]) -> TrainingBatch {
        let input = self.input.select_rows(indices);
        TrainingBatch {
            target: self.target.as_ref().map_or_else(|| input.clone(), |target| target.select_rows(indices)),
            input,
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
        }
    }
}

impl SampleRows {
    /// Converts the samples of the data set `set` to a signal.
    fn from_corpus(corpus: &Corpus, signal: &Signal, set: &str) -> Result<Self, DefinitionError> {
        match (&corpus.samples, signal) {
            (CorpusSamples::Images(data), Signal::Picture(image)) => Ok(Self::from_images(data, *image)),
            (CorpusSamples::Series(half), Signal::Series(_)) => Ok(Self::Windows {
                values: half.windows.values.clone(),
                window_len: half.windows.window_len(),
            }),
            _ => Err(DefinitionError::UnsupportedDataSet { set: set.to_owned() }),
        }
    }

    fn from_images(data: &ImageDataset, signal: ImageSignal) -> Self {
        let spec = image_spec(&signal);
        let channels = signal.channels.count();
        let bytes = (0..data.len()).flat_map(|index| {
            let pixels = to_model_image(&DynamicImage::from(data.grey_image(index)), &spec).into_bytes();
            (0..channels)
                .flat_map(move |channel| pixels.clone().into_iter().skip(channel).step_by(channels))
                .collect::<Vec<u8>>()
        });
        Self::Images { bytes: bytes.collect(), signal }
    }

    fn select_rows(&self, indices: &[usize]) -> Vec<f32> {
        match self {
            Self::Images { bytes, signal: ImageSignal { width, height, channels, low, high } } => {
                let len = width * height * channels.count();
                let rows = indices.iter().flat_map(|&index| &bytes[index * len..(index + 1) * len]);
                rows.map(|&sample| low + (high - low) * (f32::from(sample) / 255.0)).collect()
            }
            Self::Windows { values, window_len } => indices
                .iter()
                .flat_map(|&index| &values[index * window_len..(index + 1) * window_len])
                .copied()
                .collect(),
        }
    }
}

/// Returns the edge encoder's specification of such images.
pub(crate) fn image_spec(signal: &ImageSignal) -> ImageSpec {
    let ImageSignal { width, height, channels, low, high } = *signal;
    let channels = match channels {
        definition::Channels::Grey => Channels::Grey,
        definition::Channels::Rgb => Channels::Rgb,
    };
    ImageSpec::with_uniform_range(width as u32, height as u32, channels, low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Split, definition::Definition};

    fn data() -> ImageDataset {
        let samples = (0..3 * 784).map(|index| (index % 28 / 2 * 18 + index / 784) as u8).collect();
        ImageDataset { samples, labels: vec![4, 5, 6], image_len: 784 }
    }

    fn samples(text: &str) -> Samples {
        let definition = Definition::parse(text, "x").unwrap();
        let corpus = Corpus::from_images(&definition, data(), Split::Train).unwrap();
        Samples::new(&corpus, &definition.check("x").unwrap()).unwrap()
    }

    #[test]
    fn an_image_of_the_same_size_is_unchanged() {
        let batch = samples(include_str!("../presets/fashion-dense.toml")).batch(&[2, 0]);
        assert_eq!(batch.input, data().float_samples(&[2, 0]));
        assert_eq!(batch.target, batch.input);
        assert_eq!(batch.labels, [Some(6), Some(4)]);
    }

    #[test]
    fn super_resolution_reads_a_smaller_image() {
        let batch = samples(include_str!("../presets/fashion-sr.toml")).batch(&[0]);
        assert_eq!((batch.input.len(), batch.target.len()), (196, 784));
        assert!((batch.input[7] - 7.0 * 18.0 / 255.0).abs() < 0.02, "{}", batch.input[7]);
    }
}
