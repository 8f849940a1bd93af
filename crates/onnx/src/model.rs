use prost::Message;

use crate::{
    OnnxError,
    proto::{ModelProto, StringStringEntryProto},
};

/// Decodes the bytes of an `.onnx` file.
///
/// # Errors
/// [`OnnxError::Decode`] for bytes that are not an ONNX protobuf, including messages nested more than 100
/// deep; [`OnnxError::NoGraph`] for a model without a graph.
pub fn decode_model(bytes: &[u8]) -> Result<ModelProto, OnnxError> {
    let model = ModelProto::decode(bytes).map_err(|reason| OnnxError::Decode { reason })?;
    if model.graph.is_some() { Ok(model) } else { Err(OnnxError::NoGraph) }
}

/// Encodes a model as the bytes of an `.onnx` file. Equal models have equal bytes.
#[must_use]
pub fn encode_model(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Returns the value of a key of the model's metadata; the first value if the key occurs several times.
#[must_use]
pub fn metadata_value<'a>(model: &'a ModelProto, key: &str) -> Option<&'a str> {
    model.metadata_props.iter().find(|entry| entry.key() == key).map(StringStringEntryProto::value)
}

/// Sets a key of the model's metadata: replaces the value that [`metadata_value`] returns, or appends a new key.
pub fn set_metadata(model: &mut ModelProto, key: &str, value: &str) {
    let entry = StringStringEntryProto { key: Some(key.to_owned()), value: Some(value.to_owned()) };
    match model.metadata_props.iter_mut().find(|entry| entry.key() == key) {
        Some(existing) => *existing = entry,
        None => model.metadata_props.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model_cost, split_model, testing};
    use proptest::prelude::*;

    #[test]
    fn a_model_survives_encoding() {
        let model = testing::mlp();
        let bytes = encode_model(&model);
        assert_eq!(decode_model(&bytes).unwrap(), model);
        assert_eq!(encode_model(&decode_model(&bytes).unwrap()), bytes);
        assert_eq!(encode_model(&testing::mlp()), bytes);
    }

    #[test]
    fn bytes_of_no_model_are_refused() {
        assert_eq!(decode_model(b""), Err(OnnxError::NoGraph));
        assert_eq!(decode_model(&encode_model(&ModelProto::default())), Err(OnnxError::NoGraph));
        assert!(matches!(decode_model(b"GIF89a"), Err(OnnxError::Decode { .. })));
        let bytes = encode_model(&testing::mlp());
        assert!(matches!(decode_model(&bytes[..bytes.len() / 2]), Err(OnnxError::Decode { .. })));
    }

    #[test]
    fn nesting_is_bounded() {
        // Built from the innermost message outwards, in a cycle: an attribute's graph, a node's attribute, a
        // graph's node.
        let mut graph = Vec::new();
        for depth in 0..399 {
            let tag = [0x32, 0x2a, 0x0a][depth % 3];
            graph = [vec![tag], length(graph.len()), graph].concat();
        }
        let model = [vec![0x3a], length(graph.len()), graph].concat();
        let error = decode_model(&model).unwrap_err().to_string();
        assert!(error.contains("recursion limit"), "{error}");
    }

    fn length(mut value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while value > 0x7f {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    #[test]
    fn metadata_is_replaced_or_appended() {
        let mut model = ModelProto::default();
        assert_eq!(metadata_value(&model, "a"), None);
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            set_metadata(&mut model, key, value);
        }
        assert_eq!((metadata_value(&model, "a"), metadata_value(&model, "b")), (Some("3"), Some("2")));
        assert_eq!(model.metadata_props.len(), 2);
    }

    proptest! {
        #[test]
        fn no_damage_panics(position in 0_usize..10_000, byte in any::<u8>(), is_truncated in any::<bool>()) {
            let mut bytes = encode_model(&testing::small_mlp());
            let position = position % bytes.len();
            bytes[position] = byte;
            if is_truncated {
                bytes.truncate(position);
            }
            if let Ok(model) = decode_model(&bytes) {
                let _ = split_model(&model, "latent");
                let _ = model_cost(&model, &[("batch", 1)]);
            }
        }
    }
}
