//! Data as a model sees it: rows of the input and of what the decoder should make of it.

use image::{DynamicImage, GrayImage};
use lopside_bundle::{Channels, PictureSpec};
use lopside_input::picture_of;

use crate::{
    Dataset, TrainingError,
    definition::{self, Blueprint, Picture, Signal},
    objective::Batch,
};

/// The pictures of a data set, as input and as target.
pub(crate) struct Samples {
    input: Rows,
    target: Rows,
    labels: Vec<Option<u8>>,
}

/// Pictures of one signal.
struct Rows {
    /// Samples, a byte each: pictures one after the other, plane after plane.
    bytes: Vec<u8>,
    picture: Picture,
}

impl Samples {
    /// What the blueprint's model sees of a data set, made as the edge makes it. Of the classes it sees the first
    /// `labels` of the definition's data, or all.
    ///
    /// # Errors
    /// [`TrainingError::NoDataSet`] for a model of other data.
    pub(crate) fn new(data: &Dataset, blueprint: &Blueprint) -> Result<Self, TrainingError> {
        let definition = &blueprint.definition;
        let (Signal::Picture(input), Signal::Picture(target)) = (definition.input, *definition.output())
        else {
            return Err(TrainingError::NoDataSet { set: definition.data.set.clone() });
        };
        let known = definition.data.options.get("labels").and_then(serde_json::Value::as_u64);
        let known = known.map_or(usize::MAX, |known| known as usize);
        let labels = data.labels.iter().enumerate().map(|(index, &label)| (index < known).then_some(label));
        Ok(Self { input: Rows::new(data, input), target: Rows::new(data, target), labels: labels.collect() })
    }

    /// The samples of these indices.
    pub(crate) fn batch(&self, indices: &[usize]) -> Batch {
        Batch {
            input: self.input.of(indices),
            target: self.target.of(indices),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
        }
    }
}

impl Rows {
    fn new(data: &Dataset, picture: Picture) -> Self {
        let spec = spec(&picture);
        let side = data.picture_len.isqrt() as u32;
        let planes = |index: usize| {
            let original = GrayImage::from_raw(side, side, data.picture(index).to_vec()).unwrap_or_default();
            let seen = picture_of(&DynamicImage::from(original), &spec).into_bytes();
            let channels = picture.channels.count();
            (0..channels)
                .flat_map(move |channel| seen.clone().into_iter().skip(channel).step_by(channels))
                .collect::<Vec<u8>>()
        };
        Self { bytes: (0..data.len()).flat_map(planes).collect(), picture }
    }

    fn of(&self, indices: &[usize]) -> Vec<f32> {
        let Picture { width, height, channels, low, high } = self.picture;
        let len = width * height * channels.count();
        let rows = indices.iter().flat_map(|&index| &self.bytes[index * len..(index + 1) * len]);
        rows.map(|&sample| low + (high - low) * (f32::from(sample) / 255.0)).collect()
    }
}

/// How the edge makes pictures of this kind.
pub(crate) fn spec(picture: &Picture) -> PictureSpec {
    let Picture { width, height, channels, low, high } = *picture;
    let channels = match channels {
        definition::Channels::Grey => Channels::Grey,
        definition::Channels::Rgb => Channels::Rgb,
    };
    PictureSpec::uniform(width as u32, height as u32, channels, low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    fn data() -> Dataset {
        let samples = (0..3 * 784).map(|at| (at % 28 / 2 * 18 + at / 784) as u8).collect();
        Dataset { samples, labels: vec![4, 5, 6], picture_len: 784 }
    }

    fn samples(text: &str) -> Samples {
        Samples::new(&data(), &Definition::parse(text, "x").unwrap().check("x").unwrap()).unwrap()
    }

    #[test]
    fn a_picture_of_the_same_size_is_not_touched() {
        let batch = samples(include_str!("../presets/fashion-dense.toml")).batch(&[2, 0]);
        assert_eq!(batch.input, data().batch(&[2, 0]));
        assert_eq!(batch.target, batch.input);
        assert_eq!(batch.labels, [Some(6), Some(4)]);
    }

    #[test]
    fn super_resolution_sees_a_smaller_picture() {
        let batch = samples(include_str!("../presets/fashion-sr.toml")).batch(&[0]);
        assert_eq!((batch.input.len(), batch.target.len()), (196, 784));
        assert!((batch.input[7] - 7.0 * 18.0 / 255.0).abs() < 0.02, "{}", batch.input[7]);
    }

    #[test]
    fn labels_are_known_of_so_many_samples() {
        let text = include_str!("../presets/fashion-multitask.toml");
        let text = text.replace("set = \"fashion-mnist\"", "set = \"fashion-mnist\"\nlabels = 2");
        assert_eq!(samples(&text).batch(&[0, 1, 2]).labels, [Some(4), Some(5), None]);
    }
}
