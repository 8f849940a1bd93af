use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;

use super::{Scope, device_patterns::DevicePatterns, file::is_key_name, scope_name};
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

/// Generates a key of 256 random bits with these scopes, for any device.
///
/// # Errors
/// [`StartError::InvalidKeyName`] for an invalid name, [`StartError::RandomSource`] if the system does not provide
/// random bytes.
pub fn generate_key(name: &str, allow: &[Scope]) -> Result<GeneratedKey, StartError> {
    generate_device_key(name, allow, &[])
}

/// Generates a key as [`generate_key`] does, which may only speak for devices whose names match one of these patterns.
/// Without patterns it is for any device.
///
/// # Errors
/// As [`generate_key`], and [`StartError::InvalidSetting`] for an invalid pattern, or for patterns without the scope
/// `ingest`, which they would not limit.
pub fn generate_device_key(
    name: &str,
    allow: &[Scope],
    devices: &[String],
) -> Result<GeneratedKey, StartError> {
    if !is_key_name(name) {
        return Err(StartError::InvalidKeyName(name.to_owned()));
    }
    let devices = if devices.is_empty() { String::new() } else { devices_line(allow, devices)? };
    let mut bytes = [0; RANDOM_BYTES];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| StartError::RandomSource)?;
    let key = format!("{KEY_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let sha256: String = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
    let scopes: Vec<String> = allow.iter().map(|&scope| format!("\"{}\"", scope_name(scope))).collect();
    let toml = format!(
        "[[key]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nallow = [{}]\n{devices}",
        scopes.join(", ")
    );
    Ok(GeneratedKey { name: name.to_owned(), key, sha256, toml })
}

/// Returns the line of the key file that limits a key to devices.
fn devices_line(allow: &[Scope], devices: &[String]) -> Result<String, StartError> {
    if !allow.contains(&Scope::Ingest) {
        let reason = "it limits what a key with the scope \"ingest\" may upload: add --allow ingest";
        return Err(pattern_error(reason.to_owned()));
    }
    DevicePatterns::parse(devices.to_vec()).map_err(pattern_error)?;
    // Patterns consist of visible ASCII, which TOML and Rust escape in the same way.
    let quoted: Vec<String> = devices.iter().map(|pattern| format!("{pattern:?}")).collect();
    Ok(format!("devices = [{}]\n", quoted.join(", ")))
}

fn pattern_error(reason: String) -> StartError {
    StartError::InvalidSetting { name: "--device", reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::file::parse_keys;

    #[test]
    fn patterns_of_devices_survive_the_key_file() {
        let patterns = ["gate-*", "a\"b\\c'd#"].map(str::to_owned);
        let generated = generate_device_key("gates", &[Scope::Ingest], &patterns).unwrap();
        assert!(generated.toml.contains("\ndevices = [\"gate-*\", "), "{}", generated.toml);
        let keys = parse_keys(&generated.toml).unwrap();
        let now = crate::auth::usage::CurrentTime::read();
        let key = keys.admit(Some(generated.key.as_bytes()), Scope::Ingest, now).unwrap();
        let expected = DevicePatterns::parse(patterns.to_vec()).unwrap();
        assert_eq!(key.devices.as_deref(), Some(&expected));
    }

    #[test]
    fn patterns_without_effect_and_invalid_patterns_are_refused() {
        let refusal = |scope, pattern: &str| {
            generate_device_key("gates", &[scope], &[pattern.to_owned()]).unwrap_err().to_string()
        };
        assert!(refusal(Scope::Infer, "gate-*").contains("--allow ingest"));
        let error = refusal(Scope::Ingest, "two words");
        assert!(error.contains("--device") && error.contains("two words"), "{error}");
    }

    #[test]
    fn keys_differ_and_names_fit_into_the_file() {
        let [first, second] = [(), ()].map(|()| generate_key("a.b-c_1", &[Scope::Infer]).unwrap());
        assert_ne!(first.key, second.key);
        assert_eq!(first.key.len(), KEY_PREFIX.len() + 43);
        assert!(generate_key("a\"", &[Scope::Infer]).unwrap_err().to_string().contains("a\\\""));
    }
}
