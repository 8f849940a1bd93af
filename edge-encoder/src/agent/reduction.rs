//! The warning about a bundle that reduces images to a small part of their pixels.

/// Returns a warning that images of this size, as width and height, become images of another one.
pub(crate) fn reduction_warning(bundle: &str, [width, height]: [u32; 2], reduced: (u32, u32)) -> String {
    format!(
        "images of {width}×{height} pixels are reduced to {}×{} by the bundle {bundle:?}, which is probably not meant for them: \
         configure a bundle of an image codec, such as photo, with bundle = … in the config file",
        reduced.0, reduced.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_both_sizes_and_the_setting() {
        let warning = reduction_warning("fashion", [2560, 1600], (28, 28));
        for part in ["2560×1600", "28×28", "fashion", "bundle = "] {
            assert!(warning.contains(part), "{warning}");
        }
    }
}
