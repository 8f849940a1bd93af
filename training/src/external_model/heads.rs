//! The heads of an external model: one per output of its decoder, all with the same model file.

use std::collections::HashSet;

use lopside_bundle::{FixedLatentDraftHead, HeadKind, ImageSpec, InputSpec, ModelCost};
use lopside_onnx::proto::{GraphProto, ModelProto};

use super::tensor::NamedTensor;
use crate::ExternalModelError;

/// Requested interpretation of outputs, applied to those that match.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestedHeads {
    /// Treat outputs as images in the value range of the input.
    pub(super) reconstruct: bool,
    /// Treat outputs as logits of these classes.
    pub(super) labels: Option<Vec<String>>,
}

/// Replaces a softmax output by its logits, as classification heads require: the cloud applies the same
/// softmax. Returns the new name, or `None` if nothing was replaced.
pub(super) fn to_logits(model: &mut ModelProto, output: &str) -> Option<String> {
    let graph = model.graph.as_mut()?;
    let logits = softmax_input(graph, output)?;
    let tensors = graph.input.iter().chain(&graph.output);
    if tensors.into_iter().any(|tensor| tensor.name() == logits) {
        return None;
    }
    graph.output.iter_mut().find(|candidate| candidate.name() == output)?.name = Some(logits.clone());
    Some(logits)
}

/// Returns the logits of a softmax output, also behind identities.
fn softmax_input(graph: &GraphProto, output: &str) -> Option<String> {
    let mut name = output;
    // The loop bound also ends the walk in an invalid graph with a cycle.
    for _ in 0..=graph.node.len() {
        let node = graph.node.iter().find(|node| node.output.first().is_some_and(|tensor| tensor == name))?;
        name = node.input.first()?;
        match node.op_type() {
            "Softmax" => return Some(name.to_owned()),
            "Identity" => {}
            _ => return None,
        }
    }
    None
}

/// Builds one head per output. Their models are filled in later.
pub(super) fn build_heads(
    outputs: &[NamedTensor],
    latents: &[NamedTensor],
    input: &InputSpec,
    requested: &RequestedHeads,
    cost: ModelCost,
) -> Result<Vec<FixedLatentDraftHead>, ExternalModelError> {
    let mut names = HashSet::new();
    let heads: Vec<FixedLatentDraftHead> = outputs
        .iter()
        .map(|output| {
            let kind = head_kind(output, input, requested);
            let base_name = match kind {
                HeadKind::Reconstruct(_) => "reconstruct",
                HeadKind::Classify { .. } => "classify",
                _ => &output.name,
            };
            FixedLatentDraftHead {
                name: unique_name(&mut names, &plain_name(base_name, "output")),
                version: 1,
                kind,
                model: Vec::new(),
                inputs: latents.iter().map(|latent| latent.name.clone()).collect(),
                output: output.tensor_spec(),
                cost,
            }
        })
        .collect();
    if requested.reconstruct && !heads.iter().any(|head| matches!(head.kind, HeadKind::Reconstruct(_))) {
        let expected = "an image with the channels of an input image";
        return Err(no_output_error("--reconstruct", expected, outputs));
    }
    if let Some(labels) = &requested.labels
        && !heads.iter().any(|head| matches!(head.kind, HeadKind::Classify { .. }))
    {
        let expected = format!("[n, {}], one number per label", labels.len());
        return Err(no_output_error("--labels", &expected, outputs));
    }
    Ok(heads)
}

/// Returns the error of an option that does not match any output.
fn no_output_error(option: &'static str, expected: &str, outputs: &[NamedTensor]) -> ExternalModelError {
    let shapes: Vec<String> =
        outputs.iter().map(|output| format!("`{}` [n, {}]", output.name, output.text())).collect();
    ExternalModelError::NoMatchingOutput { option, wanted: expected.to_owned(), outputs: shapes.join(", ") }
}

fn head_kind(output: &NamedTensor, input: &InputSpec, requested: &RequestedHeads) -> HeadKind {
    if let (Some(labels), [classes]) = (&requested.labels, &output.dims[..])
        && labels.len() == *classes as usize
    {
        return HeadKind::Classify { labels: labels.clone() };
    }
    if let (true, InputSpec::Picture(image), [channels, height, width]) =
        (requested.reconstruct, input, &output.dims[..])
        && *channels == image.channels.count()
    {
        return HeadKind::Reconstruct(ImageSpec { width: *width, height: *height, ..image.clone() });
    }
    HeadKind::Tensor {}
}

/// Converts a name to 1 to 60 of the characters `a–z 0–9 -`, or returns `fallback` if nothing is left.
pub(super) fn plain_name(name: &str, fallback: &str) -> String {
    let mut plain = String::new();
    for character in name.chars().map(|character| character.to_ascii_lowercase()) {
        match character {
            'a'..='z' | '0'..='9' => plain.push(character),
            _ if plain.is_empty() || plain.ends_with('-') => {}
            _ => plain.push('-'),
        }
    }
    plain.truncate(60);
    let plain = plain.trim_end_matches('-');
    if plain.is_empty() { fallback.to_owned() } else { plain.to_owned() }
}

/// Returns the name, with a number appended if it is already in use.
fn unique_name(names: &mut HashSet<String>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let unique = std::iter::once(name.to_owned()).chain(numbered).find(|name| !names.contains(name));
    let unique = unique.unwrap_or_default();
    names.insert(unique.clone());
    unique
}

#[cfg(test)]
mod tests {
    use lopside_bundle::Channels;
    use lopside_onnx::GraphBuilder;

    use super::*;

    fn named(name: &str, dims: &[u32]) -> NamedTensor {
        NamedTensor { name: name.into(), dims: dims.to_vec() }
    }

    #[test]
    fn outputs_become_matching_heads() {
        let outputs = [named("Again/Out:0", &[3, 4, 8]), named("again.out.0", &[2]), named("logits", &[3])];
        let image = InputSpec::Picture(ImageSpec::with_uniform_range(4, 2, Channels::Rgb, -1.0, 1.0));
        let heads_for = |requested: &RequestedHeads| {
            build_heads(&outputs, &[], &image, requested, ModelCost { parameters: 1, macs: 1 })
        };
        let names =
            |heads: &[FixedLatentDraftHead]| heads.iter().map(|head| head.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            names(&heads_for(&RequestedHeads::default()).unwrap()),
            ["again-out-0", "again-out-0-2", "logits"]
        );
        let labels = Some(["a", "b", "c"].map(String::from).to_vec());
        let built = heads_for(&RequestedHeads { reconstruct: true, labels }).unwrap();
        assert_eq!(names(&built), ["reconstruct", "again-out-0", "classify"]);
        let HeadKind::Reconstruct(spec) = &built[0].kind else { panic!() };
        assert_eq!((spec.width, spec.height, spec.low[0]), (8, 4, -1.0));
        let error = heads_for(&RequestedHeads { reconstruct: false, labels: Some(vec!["a".into()]) })
            .unwrap_err()
            .to_string();
        assert!(error.contains("`logits` [n, 3]"), "{error}");
    }

    #[test]
    fn a_softmax_is_replaced_by_its_logits() {
        let mut graph = GraphBuilder::new("classifier");
        let x = graph.add_input("x", &["n".into(), 3.into()]);
        let y = graph.relu(&x, "y");
        let p = graph.softmax(&y, "p");
        let named = graph.add_node("Identity", &[&p], "named", &[]);
        graph.add_output(&named, &["n".into(), 3.into()]);
        let mut model = graph.build();
        assert_eq!(to_logits(&mut model, "named").as_deref(), Some("y"));
        assert_eq!(model.graph.as_ref().unwrap().output[0].name(), "y");
        assert_eq!(to_logits(&mut model, "y"), None);
    }
}
