//! The files that wait in watched folders: whether they are inputs of the bundle, and of a suitable size.

use std::path::Path;

use lopside_bundle::{BundlePart, InputSpec, image_codec::AnyBundle};
use lopside_capture::folder::{FolderSurvey, survey_folder};
use lopside_encoder::{ImagePolicy, drastic_reduction, source::image_size};

use super::Finding;
use crate::agent::{AcceptedFiles, FolderSettings, SourceKind, SourceSettings, reduction_warning};

/// The bundle's name and what it takes; `None` is an image codec, which takes images of any size.
struct BundleInput {
    name: String,
    spec: Option<InputSpec>,
}

/// Looks at the files of all watched folders. Without a bundle nothing is known about them.
pub(super) fn examine(bundle: &Path, sources: &[SourceSettings]) -> Vec<Finding> {
    let folders = sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Folder(folder) => Some((&*source.name, folder)),
        _ => None,
    });
    let mut folders = folders.peekable();
    if folders.peek().is_none() {
        return Vec::new();
    }
    // Another check reports a bundle that cannot be loaded.
    let Some(input) = read_input(bundle) else { return Vec::new() };
    folders.flat_map(|(name, folder)| examine_folder(name, folder, &input)).collect()
}

fn read_input(bundle: &Path) -> Option<BundleInput> {
    Some(match AnyBundle::load(bundle, BundlePart::Encoder).ok()? {
        AnyBundle::FixedLatent(bundle) => {
            BundleInput { name: bundle.manifest.name, spec: Some(bundle.manifest.input) }
        }
        AnyBundle::ImageCodec(bundle) => BundleInput { name: bundle.manifest.name, spec: None },
    })
}

fn examine_folder(source: &str, folder: &FolderSettings, input: &BundleInput) -> Vec<Finding> {
    let subject = format!("files of source {source}");
    let files = AcceptedFiles::of_input(input.spec.as_ref());
    // Another check reports a folder that cannot be listed.
    let Ok(survey) = survey_folder(&folder.path, folder.is_recursive, |path| files.accepts(path)) else {
        return Vec::new();
    };
    let unknown = examine_unknown(&subject, &survey, files);
    let reduction = survey.input.as_deref().and_then(|image| examine_size(&subject, image, input));
    unknown.into_iter().chain(reduction).collect()
}

/// Reports files that are not inputs.
fn examine_unknown(subject: &str, survey: &FolderSurvey, files: AcceptedFiles) -> Option<Finding> {
    let unknown = survey.unknown.as_deref()?;
    let FolderSurvey { file_count, unknown_count, has_more, .. } = survey;
    let first = if *has_more { "the first " } else { "" };
    let found = format!(
        "{unknown_count} of {first}{file_count} files are not read, for example {}: {}",
        unknown.display(),
        files.refusal()
    );
    let fix = "convert these files, or keep them in another folder";
    Some(Finding::poor(subject, found, fix))
}

/// Reports an image of which the bundle keeps a small part only.
fn examine_size(subject: &str, image: &Path, input: &BundleInput) -> Option<Finding> {
    let Some(InputSpec::Picture(spec)) = &input.spec else { return None };
    // The agent reports an image that cannot be read.
    let (width, height) = image_size(image, &ImagePolicy::default()).ok()??;
    let reduced = drastic_reduction(spec, [width, height])?;
    let found = format!("{}: {}", image.display(), reduction_warning(&input.name, [width, height], reduced));
    Some(Finding::poor(
        subject,
        found,
        "select a bundle of an image codec with --bundle or bundle = … in the config file",
    ))
}
