//! From weights to one ONNX model, and the names in it.

use burn::{nn::Linear, tensor::Tensor};
use lopside_bundle::LATENT_SPACE_KEY;
use lopside_onnx::{Dim, GraphBuilder, proto::ModelProto, set_metadata};

use crate::{TrainingError, model::Autoencoder, model::Mlp, preset::Preset};

/// The picture tensor, `[n, samples]`, 0 to 1.
pub(crate) const INPUT: &str = "image";
/// The latent tensor, `[n, values]`.
pub(crate) const LATENT: &str = "latent";
/// The reconstruction tensor, `[n, samples]`, 0 to 1.
pub(crate) const OUTPUT: &str = "reconstruction";
const PRESET_KEY: &str = "lopside.preset";
const LATENT_KEY: &str = "lopside.latent";

/// The whole model: [`INPUT`] → [`LATENT`] → [`OUTPUT`], the batch symbolic. Its latent space is not known before
/// the tables are counted; [`stamp`] names it then.
pub(crate) fn export(model: &Autoencoder, preset: Preset) -> Result<ModelProto, TrainingError> {
    let encoder = preset.encoder_widths();
    let decoder = preset.decoder_widths();
    let mut graph = GraphBuilder::new(preset.name());
    let input = graph.input(INPUT, &batch_of(encoder[0]));
    let latent = mlp(&mut graph, &model.encoder, &input, "encoder", LATENT)?;
    graph.value_info(&latent, &batch_of(decoder[0]));
    let logits = mlp(&mut graph, &model.decoder, &latent, "decoder", "logits")?;
    graph.sigmoid(&logits, OUTPUT);
    graph.output(OUTPUT, &batch_of(decoder[decoder.len() - 1]));
    let mut onnx = graph.build();
    set_metadata(&mut onnx, PRESET_KEY, preset.name());
    set_metadata(&mut onnx, LATENT_KEY, LATENT);
    Ok(onnx)
}

/// Names the latent space in a model's metadata.
pub(crate) fn stamp(onnx: &mut ModelProto, latent_space: &str) {
    set_metadata(onnx, LATENT_SPACE_KEY, latent_space);
}

fn batch_of(values: usize) -> [Dim; 2] {
    [Dim::from("n"), Dim::Fixed(values as i64)]
}

/// Dense layers with ReLU between them; `last` names the output of the last.
fn mlp(
    graph: &mut GraphBuilder,
    mlp: &Mlp,
    input: &str,
    prefix: &str,
    last: &str,
) -> Result<String, TrainingError> {
    let count = mlp.layers.len();
    let mut x = input.to_owned();
    for (i, layer) in mlp.layers.iter().enumerate() {
        let name = |part: &str| format!("{prefix}.{i}.{part}");
        let is_last = i + 1 == count;
        let (weight, bias) = parameters(graph, layer, &name("weight"), &name("bias"))?;
        let output = if is_last { last.to_owned() } else { name("linear") };
        x = graph.gemm(&x, &weight, &bias, &output);
        if !is_last {
            x = graph.relu(&x, &name("relu"));
        }
    }
    Ok(x)
}

fn parameters(
    graph: &mut GraphBuilder,
    layer: &Linear,
    weight: &str,
    bias: &str,
) -> Result<(String, String), TrainingError> {
    let [inputs, outputs] = layer.weight.val().dims();
    let values = numbers(layer.weight.val(), weight)?;
    let weight = graph.initializer(weight, &[inputs as i64, outputs as i64], &values)?;
    let values = match &layer.bias {
        Some(values) => numbers(values.val(), bias)?,
        None => vec![0.0; outputs],
    };
    Ok((weight, graph.initializer(bias, &[outputs as i64], &values)?))
}

fn numbers<const D: usize>(tensor: Tensor<D>, name: &str) -> Result<Vec<f32>, TrainingError> {
    tensor.into_data().try_to_vec::<f32>().map_err(|error| TrainingError::Model {
        model: format!("weights of {name}"),
        reason: format!("{error:?}"),
    })
}
