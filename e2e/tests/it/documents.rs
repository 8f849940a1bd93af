//! Checks the Markdown files of the repository: every relative link leads to a file, and every anchor to a
//! heading.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use lopside_e2e::in_clone;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Folders that do not contain our documents.
const SKIPPED: [&str; 5] = ["target", "out", "dist", "runs", "node_modules"];

#[derive(Debug, Default)]
struct Document {
    links: Vec<String>,
    anchors: HashSet<String>,
}

#[test]
fn every_link_and_anchor_resolves() {
    let mut files = Vec::new();
    find_markdown(&in_clone("."), &mut files);
    assert!(files.iter().any(|file| file.ends_with("README.md")) && files.len() > 10, "{files:?}");
    let documents: HashMap<PathBuf, Document> = files
        .iter()
        .map(|file| (file.canonicalize().unwrap(), parse(&fs::read_to_string(file).unwrap())))
        .collect();
    let broken: Vec<String> = documents
        .iter()
        .flat_map(|(file, document)| document.links.iter().map(move |link| (file, link)))
        .filter_map(|(file, link)| {
            Some(format!("{}: {link}: {}", file.display(), link_error(file, link, &documents)?))
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(documents.values().map(|document| document.links.len()).sum::<usize>() > 50);
}

#[test]
fn missing_files_and_anchors_are_found() {
    let document = parse(
        "# A heading, `code` & more\n\n# Twice\n\n# Twice\n\n[a](#twice-1) [b](#thrice) [c](other.md) [d](https://x.y)",
    );
    assert_eq!(document.anchors, ["a-heading-code--more", "twice", "twice-1"].map(str::to_owned).into());
    let path = in_clone("README.md").canonicalize().unwrap();
    let links = document.links.clone();
    let documents = HashMap::from([(path.clone(), document)]);
    let errors: Vec<Option<&str>> = links.iter().map(|link| link_error(&path, link, &documents)).collect();
    assert_eq!(errors, [None, Some("no such heading"), Some("no such file"), None]);
}

fn find_markdown(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && !SKIPPED.contains(&&*name) {
                find_markdown(&entry.path(), files);
            }
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            files.push(entry.path());
        }
    }
}

/// Returns the targets of a document's links and images, and the anchors of its headings.
fn parse(text: &str) -> Document {
    let mut document = Document::default();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                document.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap());
                let repeated = (1..).map(|n| format!("{slug}-{n}"));
                let candidates = std::iter::once(slug.clone()).chain(repeated);
                let anchor =
                    candidates.into_iter().find(|anchor| !document.anchors.contains(anchor)).unwrap();
                document.anchors.insert(anchor);
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            _ => {}
        }
    }
    document
}

/// Returns the anchor that code hosts give a heading: lower case, spaces as hyphens, other punctuation
/// dropped.
fn slug(heading: &str) -> String {
    let retained = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    retained.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the reason why a link does not resolve; `None` if it does, or if it leads to another host.
fn link_error(file: &Path, link: &str, documents: &HashMap<PathBuf, Document>) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { file.to_owned() } else { file.parent()?.join(path) };
    let Ok(target) = target.canonicalize() else { return Some("no such file") };
    let anchor = anchor?;
    let is_known = documents.get(&target).is_some_and(|document| document.anchors.contains(anchor));
    (!is_known).then_some("no such heading")
}
