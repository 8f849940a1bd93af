//! Generates the ONNX messages from `onnx.proto`, without an installed `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=onnx.proto");
    let files = protox::compile(["onnx.proto"], ["."])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
