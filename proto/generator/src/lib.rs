//! The code of the `.proto` files is committed: the generator and the fifty crates that it needs would otherwise be compiled
//! before everything else in every first build. The build script of this crate generates the code, and its test compares
//! it with the committed code, which `LOPSIDE_RENEW_GOLDEN=1 cargo test -p lopside-generator` replaces.

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    /// The generated files, and the folders where they are committed.
    const FILES: [(&str, &str); 5] = [
        ("lopside.v1.rs", "../generated"),
        ("inference.rs", "../generated"),
        ("layouts.rs", "../generated"),
        ("descriptors.bin", "../generated"),
        ("onnx.rs", "../../crates/onnx/generated"),
    ];

    #[test]
    fn the_committed_code_is_what_the_generator_makes_of_the_proto_files() {
        let renew = env::var_os("LOPSIDE_RENEW_GOLDEN").is_some();
        for (name, folder) in FILES {
            let generated = fs::read(Path::new(env!("OUT_DIR")).join(name)).unwrap();
            let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
            if renew {
                fs::write(&committed, generated).unwrap();
            } else {
                let is_same = fs::read(&committed).is_ok_and(|bytes| bytes == generated);
                assert!(
                    is_same,
                    "{} is not what its .proto file says: see the crate's documentation",
                    committed.display()
                );
            }
        }
    }
}
