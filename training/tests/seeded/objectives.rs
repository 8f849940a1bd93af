//! Short trainings of every preset for images, on synthetic images: each loss is finite and falls.

use burn::tensor::Device;
use training::{DefinitionError, EpochMetrics, ImageDataset, TrainingError, definition::Definition, train};

use super::lock_generator;

/// Returns images of bars with four widths at several positions; the label is the width.
fn data() -> ImageDataset {
    let image = |index: usize| {
        let (width, start) = (3 + index % 4, 2 + index / 4 % 16);
        (0..784).map(move |pixel| if (start..start + width).contains(&(pixel % 28)) { 230 } else { 20 })
    };
    ImageDataset {
        samples: (0..80).flat_map(image).collect(),
        labels: (0..80).map(|index| index % 4).collect(),
        image_len: 784,
    }
}

fn trained(name: &str, change: impl FnOnce(&mut Definition)) -> Result<Vec<EpochMetrics>, TrainingError> {
    let mut definition = Definition::find(name)?;
    definition.training.epochs = 4;
    definition.training.batch = 16;
    change(&mut definition);
    let run = tempfile::tempdir().unwrap();
    train(&definition.check(name)?, &data(), run.path(), false, &Device::flex())
}

fn assert_loss_falls(name: &str, change: impl FnOnce(&mut Definition)) {
    let epochs = trained(name, change).unwrap();
    let (first, last) = (epochs[0], epochs[3]);
    assert!(last.train_loss < first.train_loss, "{name}: {first:?} {last:?}");
    assert!(
        epochs.iter().all(|epoch| epoch.encoder_gradient > 0.0 && epoch.decoder_gradient > 0.0),
        "{name}"
    );
}

#[test]
fn every_training_loss_falls() {
    let _generator = lock_generator();
    for name in ["fashion-dense", "fashion-conv", "fashion-sr", "fashion-skip", "fashion-vae"] {
        assert_loss_falls(name, |_| {});
    }
    assert_loss_falls("fashion-multitask", |definition| {
        definition.data.labels = Some(40);
        definition.objective.classification = 1.0;
    });
    for kind in ["nt-xent", "supervised"] {
        assert_loss_falls("fashion-multitask", |definition| {
            let contrastive = format!(r#"{{ "kind": "{kind}", "weight": 0.5, "flip": true }}"#);
            definition.objective.contrastive = Some(serde_json::from_str(&contrastive).unwrap());
        });
    }
}

#[test]
fn a_series_model_refuses_images() {
    let _generator = lock_generator();
    let error = trained("series-gru", |_| {}).unwrap_err();
    assert!(
        matches!(error, TrainingError::Definition(DefinitionError::UnsupportedDataSet { .. })),
        "{error}"
    );
}
