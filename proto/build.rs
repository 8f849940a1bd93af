//! Compiles the `.proto` files without protoc.

use std::{env, error::Error, fs, path::PathBuf};

/// Fields that may be large: slices of what arrived, instead of copies.
const BYTES: [&str; 3] = [
    ".lopside.v1.DecodeRequest.frames",
    ".inference.ModelInferRequest.raw_input_contents",
    ".inference.ModelInferResponse.raw_output_contents",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = ["lopside/v1/decoder.proto", "inference/grpc_service.proto"];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), prost_bytes(&descriptors))?;
    BYTES
        .iter()
        .fold(tonic_prost_build::configure(), tonic_prost_build::Builder::bytes)
        .compile_fds(descriptors)?;
    Ok(())
}

fn prost_bytes(descriptors: &impl prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
