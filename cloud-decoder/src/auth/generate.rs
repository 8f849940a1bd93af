use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;

use super::{Scope, file::is_key_name, scope_name};
use crate::StartError;

/// Prefix of all keys, which makes a leaked key recognisable.
const KEY_PREFIX: &str = "lps_";
const RANDOM_BYTES: usize = 32;

/// A newly generated key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedKey {
    /// The name of the key.
    pub name: String,
    /// The secret that the client sends. The server does not store it.
    pub key: String,
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// The entry for the key file.
    pub toml: String,
}

/// Generates a key of 256 random bits with these scopes.
///
/// # Errors
/// [`StartError::InvalidKeyName`] for an invalid name, [`StartError::RandomSource`] if the system does not provide
/// random bytes.
pub fn generate_key(name: &str, allow: &[Scope]) -> Result<GeneratedKey, StartError> {
    if !is_key_name(name) {
        return Err(StartError::InvalidKeyName(name.to_owned()));
    }
    let mut bytes = [0; RANDOM_BYTES];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| StartError::RandomSource)?;
    let key = format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let sha256: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let scopes: Vec<String> = allow.iter().map(|&scope| format!("\"{}\"", scope_name(scope))).collect();
    let toml =
        format!("[[key]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nallow = [{}]\n", scopes.join(", "));
    Ok(GeneratedKey { name: name.to_owned(), key, sha256, toml })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_names_fit_into_the_file() {
        let [first, second] = [(), ()].map(|()| generate_key("a.b-c_1", &[Scope::Infer]).unwrap());
        assert_ne!(first.key, second.key);
        assert_eq!(first.key.len(), KEY_PREFIX.len() + 43);
        assert!(generate_key("a\"", &[Scope::Infer]).unwrap_err().to_string().contains("a\\\""));
    }
}
