//! Converts heads to 16-bit floats for GPUs: adds a new version of a head, if its outputs match those of the
//! previous version.
//!
//! Both versions run on the same latents in ONNX Runtime, on the CPU: integers drawn uniformly from −3 to 3
//! and dequantised like frames.

use std::{collections::HashMap, path::Path};

use cloud_decoder::Runtime;
use lopside_bundle::{
    Part, add_version,
    picture::{AnyBundle, PictureHeadSpec},
};
use lopside_latent::{
    LatentSpace,
    picture::{DecodedPicture, PictureHeader, PictureSpace, Quality},
};
use lopside_onnx::{decode, encode, fp16, inputs};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    TrainingError, agree,
    cli::Fp16Args,
    engines::{self, OrtModel, Values},
};

/// Maximum difference, relative to the largest magnitude or to 1 if that is larger: ten times the loss of one
/// operation at 11 bits of precision.
const TOLERANCE: f32 = 5e-3;
/// Number of fixed-shape latents to compare.
const ITEMS: usize = 16;
/// Sides of the test image, in pixels.
const SIDE: u32 = 128;
/// Quality of the test image.
const QUALITY: Quality = Quality::new(50).unwrap();

/// The parts of a head that the conversion uses.
struct Head {
    name: String,
    version: u32,
    model: Vec<u8>,
    /// Test inputs by the names of the model's inputs.
    inputs: HashMap<String, Values>,
}

/// Runs `training fp16`.
pub(crate) fn run(args: &Fp16Args) -> Result<(), TrainingError> {
    let runtime = engines::runtime(&args.runtime.onnxruntime)?;
    let heads = newest(heads(&args.bundle)?);
    let wanted = |head: &&Head| args.head.as_ref().is_none_or(|wanted| *wanted == head.name);
    let wanted: Vec<&Head> = heads.iter().filter(wanted).collect();
    if wanted.is_empty() {
        let known = heads.iter().map(|head| head.name.clone()).collect();
        return Err(TrainingError::NoHead { head: args.head.clone().unwrap_or_default(), known });
    }
    // All conversions are verified before the first one is written.
    let made = wanted.iter().map(|head| converted(head, &runtime)).collect::<Result<Vec<_>, _>>()?;
    for (head, (model, difference)) in wanted.iter().zip(made) {
        let version = add_version(&args.bundle, &head.name, &model)?;
        eprintln!(
            "head {:?} version {version}: {} bytes ({} in version {}), largest difference {difference:.1e}",
            head.name,
            model.len(),
            head.model.len(),
            head.version
        );
    }
    Ok(())
}

/// Returns the model in 16-bit floats and its largest difference.
fn converted(head: &Head, runtime: &Runtime) -> Result<(Vec<u8>, f32), TrainingError> {
    let model = decode(&head.model)?;
    let input = |input: lopside_onnx::Input| {
        head.inputs.get(&input.name).cloned().ok_or_else(|| TrainingError::Model {
            model: format!("head {:?}", head.name),
            reason: format!("its model has an input {:?}, which the bundle does not name", input.name),
        })
    };
    let inputs = inputs(&model, &[])?.into_iter().map(input).collect::<Result<Vec<_>, _>>()?;
    let small = encode(&fp16(&model)?);
    let before = OrtModel::new(runtime, "the head", &head.model)?.run_each(&inputs)?;
    let after = OrtModel::new(runtime, "the head in 16-bit floats", &small)?.run_each(&inputs)?;
    let what = format!("head {:?} in 32-bit and in 16-bit floats", head.name);
    let difference = agree::within(TOLERANCE, &what, &before, &after)?;
    Ok((small, difference))
}

/// Loads all heads of a bundle of either kind, with test inputs.
fn heads(folder: &Path) -> Result<Vec<Head>, TrainingError> {
    let mut rng = StdRng::seed_from_u64(0);
    Ok(match AnyBundle::load(folder, Part::Heads)? {
        AnyBundle::Vector(bundle) => {
            let names: Vec<&str> =
                bundle.manifest.latent.iter().map(|layer| layer.tensor.name.as_str()).collect();
            let layers = layers(&bundle.space, &names, &mut rng)?;
            let head = |head: lopside_bundle::Head| Head {
                name: head.spec.name,
                version: head.spec.version,
                model: head.model,
                inputs: layers.clone(),
            };
            bundle.heads.into_iter().map(head).collect()
        }
        AnyBundle::Picture(bundle) => {
            let names: Vec<&str> = bundle.manifest.layers.iter().map(|layer| layer.tensor.as_str()).collect();
            let maps = maps(&bundle.space, &names, &mut rng)?;
            let head = |head: lopside_bundle::picture::PictureHead| {
                let inputs = with_quality(&maps, &head.spec);
                Head { name: head.spec.name, version: head.spec.version, model: head.model, inputs }
            };
            bundle.heads.into_iter().map(head).collect()
        }
    })
}

/// Keeps the newest version of each head.
fn newest(heads: Vec<Head>) -> Vec<Head> {
    let mut newest: Vec<Head> = Vec::new();
    for head in heads {
        match newest.iter_mut().find(|other| other.name == head.name) {
            Some(other) if other.version < head.version => *other = head,
            Some(_) => {}
            None => newest.push(head),
        }
    }
    newest
}

/// Draws fixed-shape latents, by layer name.
fn layers(
    space: &LatentSpace,
    names: &[&str],
    rng: &mut StdRng,
) -> Result<HashMap<String, Values>, TrainingError> {
    let mut layers: Vec<Values> = space
        .layers()
        .iter()
        .map(|layer| Values { dims: dims(layer.shape.dims()), values: Vec::new() })
        .collect();
    for _ in 0..ITEMS {
        let integers: Vec<i32> = (0..space.len()).map(|_| rng.random_range(-3..=3)).collect();
        let row = space.dequantise(&integers)?;
        for (number, layer) in layers.iter_mut().enumerate() {
            layer.values.extend(&row[space.prefix(number)..space.prefix(number + 1)]);
        }
    }
    Ok(names.iter().map(|&name| name.to_owned()).zip(layers).collect())
}

fn dims(item: &[u32]) -> Vec<usize> {
    std::iter::once(ITEMS).chain(item.iter().map(|&dim| dim as usize)).collect()
}

/// Draws the feature maps of an image, by layer name.
fn maps(
    space: &PictureSpace,
    names: &[&str],
    rng: &mut StdRng,
) -> Result<HashMap<String, Values>, TrainingError> {
    let header = PictureHeader { width: SIDE, height: SIDE, grey: false, quality: QUALITY };
    let layout = space.layout();
    let integers =
        |layer| (0..layout.elements(layer, SIDE, SIDE)).map(|_| rng.random_range(-3..=3)).collect();
    let layers = (0..names.len()).map(integers).collect();
    let maps = space.dequantise(&DecodedPicture { header, layers })?;
    let named = maps.into_iter().zip(names).enumerate().map(|(layer, (values, &name))| {
        let [rows, columns] = layout.dims(layer, SIDE, SIDE);
        let channels = layout.layers()[layer].channels as usize;
        (name.to_owned(), Values { dims: vec![1, channels, rows, columns], values })
    });
    Ok(named.collect())
}

fn with_quality(maps: &HashMap<String, Values>, head: &PictureHeadSpec) -> HashMap<String, Values> {
    let quality = Values { dims: vec![1, 1], values: vec![f32::from(QUALITY.get())] };
    maps.clone().into_iter().chain([(head.quality.clone(), quality)]).collect()
}
