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

/// Returns the offered latent space, before the rest of the answer is checked.
pub(super) fn offered_space(answer: &GetChannelResponse) -> Result<LatentSpaceId, EdgeError> {
    let bytes = <[u8; 8]>::try_from(&answer.latent_space[..]);
    bytes
        .map(LatentSpaceId::new)
        .map_err(|_| invalid_offer("its latent-space identifier does not have 8 bytes"))
}

impl Offer {
    /// Parses the cloud's answer.
    ///
    /// # Errors
    /// [`UpdateError::InvalidOffer`], which names the invalid part.
    pub(super) fn parse(answer: GetChannelResponse) -> Result<Self, EdgeError> {
        let latent_space = offered_space(&answer)?;
        if answer.files.len() > MAX_FILES {
            return Err(invalid_offer(format!(
                "it has {} files, but at most {MAX_FILES} are allowed",
                answer.files.len()
            )));
        }
        let files: Vec<OfferedFile> =
            answer.files.into_iter().map(OfferedFile::parse).collect::<Result<_, _>>()?;
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
        let bundle = answer.bundle;
        if bundle.len() > MAX_NAME_BYTES || !bundle.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid_offer(format!(
                "its bundle name must have at most {MAX_NAME_BYTES} characters, all visible ASCII"
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
        let named = manifest.device_files();
        if let Some(other) = named.iter().find(|file| !self.has_file(file)) {
            return Err(invalid_offer(format!("{} does not match its entry in bundle.json", other.path)));
        }
        let named: HashSet<&str> = named.iter().map(|file| &file.path[..]).collect();
        self.files.retain(|file| file.path == MANIFEST_NAME || named.contains(&file.path[..]));
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
        if path.len() > MAX_PATH_BYTES || path.split('/').any(is_odd_part) || !is_plain_path(&path) {
            return Err(invalid_offer(format!("{path:?} is not a plain relative path inside the bundle")));
        }
        let most = if path == MANIFEST_NAME { MAX_MANIFEST_BYTES } else { MAX_FILE_BYTES };
        if bytes > most {
            return Err(invalid_offer(format!("{path} has {bytes} bytes, but at most {most} are allowed")));
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
    for (at, file) in files.iter().enumerate() {
        let others = files.iter().enumerate().filter(|(other, _)| *other != at);
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
fn is_odd_part(part: &str) -> bool {
    part.is_empty() || part == "." || part.contains(char::is_control)
}

fn invalid_offer(what: impl Into<String>) -> EdgeError {
    UpdateError::InvalidOffer(what.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> BundleFile {
        BundleFile { path: path.into(), bytes, sha256: vec![1; 32] }
    }

    fn answer(files: Vec<BundleFile>) -> GetChannelResponse {
        GetChannelResponse { bundle: "toy".into(), latent_space: vec![7; 8], files }
    }

    fn refusal(answer: GetChannelResponse) -> String {
        Offer::parse(answer).unwrap_err().to_string()
    }

    #[test]
    fn a_bundle_in_its_folder_is_taken() {
        let offer = Offer::parse(answer(vec![file("bundle.json", 9), file("golden/a.png", 5)])).unwrap();
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
                refusal(answer(vec![file("bundle.json", 1), file(path, 1)]))
                    .contains("not a plain relative path"),
                "{path:?}"
            );
        }
        for paths in [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["bundle.json/x", "y"]] {
            let files = [&["bundle.json"][..], &paths[..]].concat();
            let files = files.into_iter().map(|path| file(path, 1)).collect();
            assert!(refusal(answer(files)).contains("is listed twice"), "{paths:?}");
        }
    }

    #[test]
    fn each_limit_is_kept() {
        let whole = |bytes: &[u64]| {
            let rest = bytes.iter().enumerate().map(|(at, &bytes)| file(&at.to_string(), bytes));
            answer(std::iter::once(file("bundle.json", 1)).chain(rest).collect())
        };
        assert!(Offer::parse(whole(&[256 << 20, (256 << 20) - 1])).is_ok());
        assert!(refusal(whole(&[(256 << 20) + 1])).contains("are allowed"));
        assert!(refusal(answer(vec![file("bundle.json", (16 << 20) + 1)])).contains("are allowed"));
        assert!(refusal(whole(&[u64::MAX, u64::MAX])).contains("are allowed"));
        assert!(refusal(whole(&[256 << 20, 256 << 20])).contains("are allowed"));
        assert!(refusal(whole(&[1; 32])).contains("33 files"));
        assert!(refusal(answer(vec![file("encoder.onnx", 1)])).contains("first file is not bundle.json"));
        assert!(refusal(answer(Vec::new())).contains("first file is not bundle.json"));
        assert!(refusal(GetChannelResponse { latent_space: vec![7; 7], ..whole(&[]) }).contains("8 bytes"));
        assert!(
            refusal(GetChannelResponse { bundle: "two words".into(), ..whole(&[]) })
                .contains("visible ASCII")
        );
        let short = BundleFile { sha256: vec![1; 31], ..file("bundle.json", 1) };
        assert!(refusal(answer(vec![short])).contains("32 bytes"));
    }
}
