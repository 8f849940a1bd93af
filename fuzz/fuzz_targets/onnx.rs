//! Arbitrary bytes as an ONNX model: everything that a bundle's check, the cost, the cuts and the conversion do with a
//! model that is not trusted. A model that a bundle may contain has no values in other files.

#![no_main]

use lopside_bundle::fuzzing::is_self_contained_model;
use lopside_fuzz::fuzz_target;
use lopside_onnx::{
    convert_to_fp16, decode_model, encode_model, find_cuts, load_external_data, model_cost, model_inputs,
    split_model,
};

/// Maximum number of cuts that are tried per model.
const MAX_CUTS: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let is_self_contained = is_self_contained_model(bytes);
    let Ok(model) = decode_model(bytes) else { return };
    assert_eq!(decode_model(&encode_model(&model)).ok().as_ref(), Some(&model), "the model is not preserved");
    if is_self_contained {
        let mut loaded = model.clone();
        let count = load_external_data(&mut loaded, &mut |_, _, _| Err("nothing may be read".into()));
        assert_eq!(count.ok(), Some(0), "a model with external values is accepted");
    }
    let symbols = [("n", 1), ("height", 32)];
    let _ = model_inputs(&model, &symbols);
    let _ = model_cost(&model, &symbols);
    let _ = convert_to_fp16(&model);
    for cut in find_cuts(&model, &symbols).unwrap_or_default().iter().take(MAX_CUTS) {
        let _ = split_model(&model, &cut.tensor);
    }
});
