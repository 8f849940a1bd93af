//! Compiles the `.proto` files without protoc.

#[path = "build/layouts.rs"]
mod layouts;

use std::{env, error::Error, fs, path::PathBuf};

use protox::prost_reflect::DescriptorPool;

/// Fields that may be large: slices of what arrived, instead of copies.
const BYTES: [&str; 4] = [
    ".lopside.v1.DecodeRequest.frames",
    ".lopside.v1.Frames.frames",
    ".inference.ModelInferRequest.raw_input_contents",
    ".inference.ModelInferResponse.raw_output_contents",
];

/// Messages that REST answers with as well.
const STATISTICS: [&str; 5] = [
    ".inference.ModelStatistics",
    ".inference.InferStatistics",
    ".inference.InferBatchStatistics",
    ".inference.StatisticDuration",
    ".inference.MemoryUsage",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = [
        "lopside/v1/bundles.proto",
        "lopside/v1/decoder.proto",
        "lopside/v1/ingest.proto",
        "inference/grpc_service.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), prost_bytes(&descriptors))?;
    let pool = DescriptorPool::from_file_descriptor_set(descriptors.clone())?;
    fs::write(out.join("layouts.rs"), layouts::describe_layouts(&pool, &BYTES)?)?;
    let builder = tonic_prost_build::configure().codec_path("crate::codec::BoundedCodec");
    let builder = BYTES.iter().fold(builder, tonic_prost_build::Builder::bytes);
    STATISTICS
        .iter()
        .fold(builder, |builder, message| builder.type_attribute(message, "#[derive(serde::Serialize)]"))
        .compile_fds(descriptors)?;
    Ok(())
}

fn prost_bytes(descriptors: &impl prost::Message) -> Vec<u8> {
    descriptors.encode_to_vec()
}
