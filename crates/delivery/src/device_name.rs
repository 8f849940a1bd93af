/// Maximum length of a device name in bytes.
pub const MAX_DEVICE_NAME_BYTES: usize = 128;

/// Returns whether a device name is valid: it has 1 to [`MAX_DEVICE_NAME_BYTES`] visible ASCII characters.
#[must_use]
pub fn is_valid_device_name(name: &str) -> bool {
    (1..=MAX_DEVICE_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_ascii_of_limited_length_is_accepted() {
        for name in ["gate-7", "!", &"x".repeat(128)] {
            assert!(is_valid_device_name(name), "{name}");
        }
        for name in ["", "two words", "Gerät", "tab\t", &"x".repeat(129)] {
            assert!(!is_valid_device_name(name), "{name}");
        }
    }
}
