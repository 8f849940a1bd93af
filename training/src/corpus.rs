//! One half of a definition's data, training or test: samples in their original units, labels and anomaly
//! flags.
//!
//! ```text
//! images   IDX files ─► Dataset ─ normal (training): that class ─► images, classes, known labels
//! series   train.csv, test.csv ─► windows of the input's length, in the units of the file and scaled
//! ```
//! No window of a series contains a gap, if the definition declares the time or how missing numbers are treated.
//! The scale of a series is that of its training half, whichever half is read.

use std::path::{Path, PathBuf};

use image::GrayImage;
use lopside_bundle::{TableSpec, TimeSeriesSpec};
use lopside_encoder::source::EncoderInput;

use crate::{
    DataError, ImageDataset, Split, TrainingError,
    data::{Labelled, OneClassView, Scaling, SeriesWindows, TimeSeries},
    definition::{self, Definition, Signal},
    error::invalid_data,
};

/// The folder of a data set, and the part of it that is used.
#[derive(Debug, Clone)]
pub(crate) struct DataFolder {
    /// The folder.
    pub(crate) path: PathBuf,
    /// Maximum number of images or rows of each half; `None` uses all of them.
    pub(crate) limit: Option<usize>,
}

/// Samples in their original units, with labels and anomaly flags.
pub(crate) struct Corpus {
    /// The samples.
    pub(crate) samples: CorpusSamples,
    /// The labels that training may use; `None` for a sample whose label is withheld.
    pub(crate) known_labels: Vec<Option<u8>>,
    /// The class of every sample; 0 for a time series.
    pub(crate) classes: Vec<u8>,
    /// Whether each sample is an anomaly.
    pub(crate) anomalies: Vec<bool>,
}

/// The samples of a corpus.
pub(crate) enum CorpusSamples {
    /// Square grey images.
    Images(ImageDataset),
    /// Windows of a time series.
    Series(SeriesHalf),
}

/// Windows of one half of a time series.
pub(crate) struct SeriesHalf {
    /// The description of the series for the bundle's manifest.
    pub(crate) spec: TimeSeriesSpec,
    /// The windows, scaled.
    pub(crate) windows: SeriesWindows,
    /// Whether each row is an anomaly.
    pub(crate) row_anomalies: Vec<bool>,
    /// The windows in the units of the file.
    unscaled: SeriesWindows,
}

impl Corpus {
    /// Reads one half of a definition's data from its folder.
    ///
    /// # Errors
    /// [`DataError::NotFound`] with instructions when files are missing; another [`TrainingError`] when a
    /// file is damaged or has the wrong number of channels.
    pub(crate) fn read(
        definition: &Definition,
        folder: &DataFolder,
        split: Split,
    ) -> Result<Self, TrainingError> {
        match &definition.input {
            Signal::Picture(_) => {
                let images = ImageDataset::read(&folder.path, split, folder.limit)?;
                Ok(Self::from_images(definition, images, split)?)
            }
            Signal::Series(series) => Self::from_series(definition, *series, folder, split),
        }
    }

    /// Returns one half of an image data set as the definition selects it: for training, only the normal
    /// class and only as many labels as the definition keeps.
    pub(crate) fn from_images(
        definition: &Definition,
        mut data: ImageDataset,
        split: Split,
    ) -> Result<Self, DataError> {
        let mut anomalies = vec![false; data.len()];
        if let Some(normal) = definition.data.normal {
            let view = OneClassView::new(&data, &data, normal);
            if split == Split::Train {
                data = data.select_images(&view.train);
                anomalies = vec![false; data.len()];
            } else {
                anomalies = view.anomalies;
            }
        }
        let mut labels: Vec<Option<u8>> = data.labels.iter().copied().map(Some).collect();
        if let (Some(count), Split::Train) = (definition.data.labels, split) {
            let labelled = Labelled::draw(&data.labels, count, definition.training.seed)?;
            labelled.unlabelled.into_iter().for_each(|index| labels[index] = None);
        }
        Ok(Self {
            known_labels: labels,
            classes: data.labels.clone(),
            anomalies,
            samples: CorpusSamples::Images(data),
        })
    }

    fn from_series(
        definition: &Definition,
        input: definition::SeriesSignal,
        folder: &DataFolder,
        split: Split,
    ) -> Result<Self, TrainingError> {
        let table = definition.data.table.as_ref();
        let train = read_series(&folder.path, "train.csv", input.channels, table)?;
        let scaling = train.scaling();
        let series = match split {
            Split::Train => train,
            Split::Test => read_series(&folder.path, "test.csv", input.channels, table)?,
        };
        let rows: Vec<usize> = (0..series.len().min(folder.limit.unwrap_or(usize::MAX))).collect();
        let half =
            SeriesHalf::new(&series.select(&rows), input, definition.data.stride.unwrap_or(1), scaling)?;
        let anomalies = half.windows.flag_windows(&half.row_anomalies);
        let count = anomalies.len();
        Ok(Self {
            known_labels: vec![None; count],
            classes: vec![0; count],
            anomalies,
            samples: CorpusSamples::Series(half),
        })
    }

    /// Returns the number of samples.
    pub(crate) fn len(&self) -> usize {
        self.known_labels.len()
    }

    /// Returns the size of one sample without a codec, in bytes: one per pixel, four per number.
    pub(crate) fn raw_bytes(&self) -> usize {
        match &self.samples {
            CorpusSamples::Images(data) => data.image_len,
            CorpusSamples::Series(half) => 4 * half.windows.window_len(),
        }
    }

    /// Returns a sample as the edge receives it.
    pub(crate) fn edge_input(&self, index: usize) -> EncoderInput {
        match &self.samples {
            CorpusSamples::Images(data) => EncoderInput::Image(data.grey_image(index).into()),
            CorpusSamples::Series(half) => EncoderInput::Values(half.unscaled_window(index).to_vec()),
        }
    }
}

/// Reads a CSV file of a time series and checks that it has `channels` channels.
fn read_series(
    folder: &Path,
    name: &str,
    channels: usize,
    table: Option<&TableSpec>,
) -> Result<TimeSeries, TrainingError> {
    let path = folder.join(name);
    if !path.is_file() {
        return Err(DataError::NotFound { folder: folder.to_owned() }.into());
    }
    let series = TimeSeries::read_declared(&path, table)?;
    let found = series.channels.len();
    if found == channels {
        return Ok(series);
    }
    let reason = format!("it has {found} channels, but the model expects {channels}");
    Err(invalid_data(&path, reason))
}

impl SeriesHalf {
    /// Returns a window in the units of the file.
    pub(crate) fn unscaled_window(&self, index: usize) -> &[f32] {
        self.unscaled.window(index)
    }

    fn new(
        series: &TimeSeries,
        input: definition::SeriesSignal,
        stride: usize,
        scaling: Scaling,
    ) -> Result<Self, DataError> {
        let count = series.channels.len();
        let identity = Scaling { mean: vec![0.0; count], deviation: vec![1.0; count] };
        let windows = series.windows(input.length, stride, &scaling)?;
        let unscaled = series.windows(input.length, stride, &identity)?;
        let spec = TimeSeriesSpec {
            length: input.length as u32,
            stride: input.length as u32,
            channels: series.channels.clone(),
            mean: scaling.mean,
            deviation: scaling.deviation,
        };
        Ok(Self { spec, windows, row_anomalies: series.anomalies.clone(), unscaled })
    }
}

impl ImageDataset {
    /// Returns one image, which must be square.
    pub(crate) fn grey_image(&self, index: usize) -> GrayImage {
        let side = self.image_len.isqrt() as u32;
        GrayImage::from_raw(side, side, self.image_samples(index).to_vec()).unwrap_or_default()
    }

    /// Returns the images at `indices` with their labels.
    fn select_images(&self, indices: &[usize]) -> Self {
        Self {
            samples: indices.iter().flat_map(|&index| self.image_samples(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            image_len: self.image_len,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lopside_bundle::ColumnRef;

    use super::*;

    fn data() -> ImageDataset {
        let labels: Vec<u8> = (0..40).map(|index| index % 4).collect();
        ImageDataset {
            samples: labels.iter().flat_map(|&label| [label; 784]).collect(),
            labels,
            image_len: 784,
        }
    }

    fn definition(text: &str, from: &str, to: &str) -> Definition {
        assert!(text.contains(from));
        Definition::parse(&text.replacen(from, to, 1), "x").unwrap()
    }

    #[test]
    fn training_reads_one_class_and_testing_all() {
        let text = include_str!("../presets/fashion-dense.toml");
        let definition = definition(text, "set = \"fashion-mnist\"", "set = \"fashion-mnist\"\nnormal = 3");
        let train = Corpus::from_images(&definition, data(), Split::Train).unwrap();
        assert_eq!((train.len(), &train.classes[..2], train.anomalies[0]), (10, &[3, 3][..], false));
        let test = Corpus::from_images(&definition, data(), Split::Test).unwrap();
        assert_eq!((test.len(), &test.anomalies[..4]), (40, &[true, true, true, false][..]));
    }

    #[test]
    fn only_some_labels_are_known_to_training() {
        let text = include_str!("../presets/fashion-multitask.toml");
        let definition = definition(text, "set = \"fashion-mnist\"", "set = \"fashion-mnist\"\nlabels = 8");
        let known_count = |split| {
            let corpus = Corpus::from_images(&definition, data(), split).unwrap();
            corpus.known_labels.iter().flatten().count()
        };
        assert_eq!((known_count(Split::Train), known_count(Split::Test)), (8, 40));
    }

    #[test]
    fn a_series_is_scaled_by_its_training_half() {
        let files = tempfile::tempdir().unwrap();
        let rows =
            |from: u32, to: u32| (from..to).map(|i| format!("{},{}\n", i % 2, i / 150)).collect::<String>();
        fs::write(files.path().join("train.csv"), "volts,anomaly\n".to_owned() + &rows(0, 200)).unwrap();
        fs::write(files.path().join("test.csv"), "volts,anomaly\n".to_owned() + &rows(0, 160)).unwrap();
        let definition = Definition::find("series-gru").unwrap();
        let folder = |path: &Path| DataFolder { path: path.to_owned(), limit: None };
        let test = Corpus::read(&definition, &folder(files.path()), Split::Test).unwrap();
        assert_eq!((test.len(), test.anomalies.iter().filter(|&&anomaly| anomaly).count()), (33, 10));
        let CorpusSamples::Series(half) = &test.samples else { panic!() };
        assert_eq!((half.spec.mean[0], half.spec.deviation[0]), (0.5, 0.5));
        assert_eq!(half.windows.window(1)[..2], [1.0, -1.0]);
        let EncoderInput::Values(raw) = test.edge_input(1) else { panic!() };
        assert_eq!(raw[..2], [1.0, 0.0]);
        let missing = Corpus::read(&definition, &folder(Path::new("/nowhere")), Split::Test);
        assert!(matches!(missing, Err(TrainingError::Data(DataError::NotFound { .. }))));
    }

    #[test]
    fn no_window_of_a_series_contains_a_declared_gap() {
        let files = tempfile::tempdir().unwrap();
        // A minute is missing after row 150: no window contains the rows on both sides of it.
        let row = |i: u32| format!("{},{}\n", if i < 150 { i } else { i + 60 }, i % 2);
        let text = "t,volts\n".to_owned() + &(0..300).map(row).collect::<String>();
        for name in ["train.csv", "test.csv"] {
            fs::write(files.path().join(name), &text).unwrap();
        }
        let mut definition = Definition::find("series-gru").unwrap();
        let folder = DataFolder { path: files.path().to_owned(), limit: Some(290) };
        definition.data.table = Some(TableSpec {
            time: Some(vec![ColumnRef::Name("t".into())]),
            max_gap_seconds: Some(1.0),
            ..TableSpec::default()
        });
        let train = Corpus::read(&definition, &folder, Split::Train).unwrap();
        let CorpusSamples::Series(half) = &train.samples else { panic!() };
        let length = half.windows.length;
        assert_eq!(half.windows.len(), (150 - length + 1) + (140 - length + 1));
        assert!(half.windows.starts.iter().all(|start| *start >= 150 || start + length <= 150));
    }
}
