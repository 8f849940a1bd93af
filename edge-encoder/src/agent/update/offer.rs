//! The offer of a channel, parsed: names, paths and lengths from outside, checked before use.
//!
//! | | maximum |
//! |---|---|
//! | files | 32 |
//! | bytes per file | 256 MiB |
//! | total bytes | 512 MiB |
//! | bytes of `bundle.json` | 16 MiB |
//! | bytes of a path | 255 |
//!
//! The first file is `bundle.json`. Paths are plain relative names without duplicates, and none of them is a
//! folder of another.

use std::collections::HashSet;

use lopside_bundle::{AnyManifest, Digest, FileRef, is_plain_path};
use lopside_encoder::EncodeError;
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::{BundleFile, GetChannelResponse};

use super::state::Release;
use crate::{EdgeError, UpdateError};

pub(super) const MANIFEST_NAME: &str = "bundle.json";
const MAX_FILES: usize = 32;
const MAX_FILE_BYTES: u64 = 256 << 20;
const MAX_TOTAL_BYTES: u64 = 512 << 20;
const MAX_MANIFEST_BYTES: u64 = 16 << 20;
const MAX_PATH_BYTES: usize = 255;
const MAX_NAME_BYTES: usize = 64;

/// A bundle that may be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) release: Release,
    /// The files, `bundle.json` first.
    pub(super) files: Vec<OfferedFile>,
}

/// A file of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfferedFile {
    pub(super) path: String,
    pub(super) size_bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// Returns the offered latent space, before the rest of the response is checked.
pub(super) fn offered_space(response: &GetChannelResponse) -> Result<LatentSpaceId, EdgeError> {
    let bytes = <[u8; 8]>::try_from(&response.latent_space[..]);
    bytes
        .map(LatentSpaceId::new)
        .map_err(|_| invalid_offer("its latent-space identifier does not have 8 bytes"))
}

impl Offer {
    /// Parses the cloud's response.
    ///
    /// # Errors
    /// [`UpdateError::InvalidOffer`], which names the invalid part.
    pub(super) fn parse(response: GetChannelResponse) -> Result<Self, EdgeError> {
        let latent_space = offered_space(&response)?;
        if response.files.len() > MAX_FILES {
            return Err(invalid_offer(format!(
                "it has {} files, but at most {MAX_FILES} are allowed",
                response.files.len()
            )));
        }
        let files: Vec<OfferedFile> =
            response.files.into_iter().map(OfferedFile::parse).collect::<Result<_, _>>()?;
        let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
        if bytes > MAX_TOTAL_BYTES {
            return Err(invalid_offer(format!(
                "it has {bytes} bytes, but at most {MAX_TOTAL_BYTES} are allowed"
            )));
        }
        check_paths(&files)?;
        let first = files.first().filter(|file| file.path == MANIFEST_NAME);
        let manifest =
            first.ok_or_else(|| invalid_offer(format!("its first file is not {MANIFEST_NAME}")))?.digest();
        let bundle = response.bundle;
        if !(1..=MAX_NAME_BYTES).contains(&bundle.len())
            || !bundle.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(invalid_offer(format!(
                "its bundle name must have 1 to {MAX_NAME_BYTES} characters, all visible ASCII"
            )));
        }
        Ok(Self { release: Release { bundle, latent_space, manifest }, files })
    }

    /// Returns the total size of the files, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Restricts the offer to the files that its `bundle.json` lists for the edge; only these are downloaded.
    ///
    /// # Errors
    /// [`UpdateError::InvalidOffer`] if offer and manifest disagree, [`EncodeError::NoGoldenInputs`] if the bundle has nothing
    /// to be tried on.
    pub(super) fn restrict_to_manifest(mut self, manifest: &AnyManifest) -> Result<Self, EdgeError> {
        let Release { bundle, latent_space, .. } = &self.release;
        if manifest.latent_space() != *latent_space {
            let found = manifest.latent_space();
            return Err(invalid_offer(format!(
                "its bundle.json has latent space {found}, but the channel announces {latent_space}"
            )));
        }
        if manifest.golden().is_empty() {
            return Err(EncodeError::NoGoldenInputs { bundle: bundle.clone() }.into());
        }
        let listed = manifest.device_files();
        if let Some(mismatch) = listed.iter().find(|file| !self.has_file(file)) {
            return Err(invalid_offer(format!("{} does not match its entry in bundle.json", mismatch.path)));
        }
        let listed: HashSet<&str> = listed.iter().map(|file| &file.path[..]).collect();
        self.files.retain(|file| file.path == MANIFEST_NAME || listed.contains(&file.path[..]));
        Ok(self)
    }

    /// Returns whether a file is offered with its length and digest.
    fn has_file(&self, file: &FileRef) -> bool {
        self.files
            .iter()
            .find(|offered| offered.path == file.path && offered.size_bytes == file.bytes)
            .is_some_and(|offered| offered.digest() == file.sha256)
    }
}

impl OfferedFile {
    fn parse(file: BundleFile) -> Result<Self, EdgeError> {
        let BundleFile { path, bytes, sha256 } = file;
        if path.len() > MAX_PATH_BYTES || path.split('/').any(is_invalid_part) || !is_plain_path(&path) {
            return Err(invalid_offer(format!("{path:?} is not a plain relative path inside the bundle")));
        }
        let max_bytes = if path == MANIFEST_NAME { MAX_MANIFEST_BYTES } else { MAX_FILE_BYTES };
        if bytes > max_bytes {
            return Err(invalid_offer(format!(
                "{path} has {bytes} bytes, but at most {max_bytes} are allowed"
            )));
        }
        let sha256 = sha256
            .try_into()
            .map_err(|_| invalid_offer(format!("the digest of {path} does not have 32 bytes")))?;
        Ok(Self { path, size_bytes: bytes, sha256 })
    }

    /// Returns the SHA-256 of the file.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(&self.sha256)
    }
}

/// Checks that no path occurs twice or is a folder of another.
fn check_paths(files: &[OfferedFile]) -> Result<(), EdgeError> {
    for (index, file) in files.iter().enumerate() {
        let others = files.iter().enumerate().filter(|(other, _)| *other != index);
        if others.map(|(_, other)| &other.path).any(|other| is_inside(other, &file.path)) {
            return Err(invalid_offer(format!("{} is listed twice, or is also a folder", file.path)));
        }
    }
    Ok(())
}

/// Returns whether a path is that of the folder or lies inside it.
fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether a part of a path is refused.
fn is_invalid_part(part: &str) -> bool {
    part.is_empty() || part == "." || part.contains(char::is_control)
}

fn invalid_offer(reason: impl Into<String>) -> EdgeError {
    UpdateError::InvalidOffer(reason.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> BundleFile {
        BundleFile { path: path.into(), bytes, sha256: vec![1; 32] }
    }

    fn response(files: Vec<BundleFile>) -> GetChannelResponse {
        GetChannelResponse { bundle: "toy".into(), latent_space: vec![7; 8], files }
    }

    fn refusal(response: GetChannelResponse) -> String {
        Offer::parse(response).unwrap_err().to_string()
    }

    #[test]
    fn a_valid_offer_is_accepted() {
        let offer = Offer::parse(response(vec![file("bundle.json", 9), file("golden/a.png", 5)])).unwrap();
        assert_eq!((offer.bytes(), offer.files.len()), (14, 2));
        assert_eq!(offer.release.manifest, Digest::from_bytes(&[1; 32]));
    }

    #[test]
    fn no_path_leaves_the_folder() {
        for path in [
            "../x",
            "/etc/passwd",
            "a/../../x",
            "..",
            ".",
            "a/./b",
            "a//b",
            "",
            "a\\b",
            "a\nb",
            &"a".repeat(256),
        ] {
            assert!(
                refusal(response(vec![file("bundle.json", 1), file(path, 1)]))
                    .contains("not a plain relative path"),
                "{path:?}"
            );
        }
        for paths in [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["bundle.json/x", "y"]] {
            let files = [&["bundle.json"][..], &paths[..]].concat();
            let files = files.into_iter().map(|path| file(path, 1)).collect();
            assert!(refusal(response(files)).contains("is listed twice"), "{paths:?}");
        }
    }

    #[test]
    fn each_limit_is_enforced() {
        let response_with = |bytes: &[u64]| {
            let rest = bytes.iter().enumerate().map(|(index, &bytes)| file(&index.to_string(), bytes));
            response(std::iter::once(file("bundle.json", 1)).chain(rest).collect())
        };
        assert!(Offer::parse(response_with(&[256 << 20, (256 << 20) - 1])).is_ok());
        assert!(refusal(response_with(&[(256 << 20) + 1])).contains("are allowed"));
        assert!(refusal(response(vec![file("bundle.json", (16 << 20) + 1)])).contains("are allowed"));
        assert!(refusal(response_with(&[u64::MAX, u64::MAX])).contains("are allowed"));
        assert!(refusal(response_with(&[256 << 20, 256 << 20])).contains("are allowed"));
        assert!(refusal(response_with(&[1; 32])).contains("33 files"));
        assert!(refusal(response(vec![file("encoder.onnx", 1)])).contains("first file is not bundle.json"));
        assert!(refusal(response(Vec::new())).contains("first file is not bundle.json"));
        assert!(
            refusal(GetChannelResponse { latent_space: vec![7; 7], ..response_with(&[]) })
                .contains("8 bytes")
        );
        for bundle in ["", "two words", "tür", &"x".repeat(65)] {
            let refused = refusal(GetChannelResponse { bundle: bundle.into(), ..response_with(&[]) });
            assert!(refused.contains("1 to 64 characters, all visible ASCII"), "{bundle:?}: {refused}");
        }
        let short = BundleFile { sha256: vec![1; 31], ..file("bundle.json", 1) };
        assert!(refusal(response(vec![short])).contains("32 bytes"));
    }
}
