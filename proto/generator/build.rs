//! Generates the code of the `.proto` files, without an installed `protoc`, into the folder of this crate's build: see
//! `src/lib.rs`.

mod layouts;

use std::{env, error::Error, fs, path::Path, path::PathBuf};

use prost::Message as _;
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
    let out = PathBuf::from(env::var("OUT_DIR")?);
    generate_protocols(Path::new("../proto"), &out)?;
    generate_onnx(Path::new("../../crates/onnx"))
}

/// Generates the messages, clients and servers of both protocols, the layouts of their messages, and their descriptors.
fn generate_protocols(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = [
        "lopside/v1/bundles.proto",
        "lopside/v1/decoder.proto",
        "lopside/v1/ingest.proto",
        "inference/grpc_service.proto",
    ];
    let descriptors = protox::compile(files, [folder])?;
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
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

/// Generates the messages of ONNX.
fn generate_onnx(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.join("onnx.proto").display());
    prost_build::Config::new().compile_fds(protox::compile(["onnx.proto"], [folder])?)?;
    Ok(())
}
