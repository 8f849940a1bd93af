//! The seed determines the initial weights.

use burn::tensor::Device;
use lopside_onnx::encode_model;
use sha2::{Digest as _, Sha256};
use training::{definition::Definition, net::Net};

use super::lock_generator;

fn whole_model_bytes(seed: u64) -> Vec<u8> {
    let device = Device::flex();
    device.seed(seed);
    let blueprint = Definition::find("fashion-dense").unwrap().check("fashion-dense").unwrap();
    encode_model(&Net::new(&blueprint, &device).whole_model().unwrap())
}

/// The digest pins the initial weights of the shipped bundle's training and the bytes of the export.
#[test]
fn a_seed_reproduces_its_known_weights() {
    let _generator = lock_generator();
    let digest: String =
        Sha256::digest(whole_model_bytes(1)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "313cdc4f46110cb899ebae9f5bf40a4c8387cdc65f20760dfc6dd45138082142");
    assert_ne!(whole_model_bytes(1), whole_model_bytes(2));
}
