//! The seed determines the initial weights.

use burn::tensor::Device;
use lopside_onnx::encode_model;
use sha2::{Digest as _, Sha256};
use training::{definition::Definition, net::Net};

use super::own_generator;

fn whole(seed: u64) -> Vec<u8> {
    let device = Device::flex();
    device.seed(seed);
    let blueprint = Definition::find("fashion-dense").unwrap().check("fashion-dense").unwrap();
    encode_model(&Net::new(&blueprint, &device).whole_model().unwrap())
}

/// The digest pins the initial weights of the shipped bundle's training and the bytes of the export.
#[test]
fn a_seed_gives_the_weights_it_always_gave() {
    let _generator = own_generator();
    let digest: String = Sha256::digest(whole(1)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "313cdc4f46110cb899ebae9f5bf40a4c8387cdc65f20760dfc6dd45138082142");
    assert_ne!(whole(1), whole(2));
}
