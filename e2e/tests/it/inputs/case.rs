//! The lines of the table.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use image::DynamicImage;
use lopside_bundle::TableSpec;
use lopside_e2e::in_clone;
use lopside_input::{DamagedImages, ImagePolicy};

/// The rows of a window of the tables.
pub(super) const WINDOW_ROWS: usize = 4;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let text = fs::read_to_string(in_clone("corpus/table.tsv")).unwrap();
    text.lines().enumerate().skip(1).map(|(number, line)| Case::parse(number, line)).collect()
});

/// A file, or a file with certain options, and what is expected of it.
pub(super) struct Case {
    /// The number of the line as a text of three digits, which is also the name of copies of the file.
    pub(super) label: String,
    /// The path of the file in the folder of the corpus.
    pub(super) file: String,
    /// The options; empty for none.
    pub(super) options: String,
    pub(super) expected: Expected,
    /// What a reader notes about the file.
    pub(super) notes: Vec<String>,
    /// The format of a stream that the file can be; `None` if it cannot.
    pub(super) stream: Option<String>,
}

/// The expected outcome.
pub(super) enum Expected {
    /// The contents of a reference, at least this similar in dB.
    Decoded(String, f64),
    /// A refusal with one of these texts.
    Refused(Vec<String>),
}

/// Returns the lines about images.
pub(super) fn images() -> impl Iterator<Item = &'static Case> {
    of_folder("images/")
}

/// Returns the lines about tables.
pub(super) fn tables() -> impl Iterator<Item = &'static Case> {
    of_folder("tables/")
}

/// Returns the lines about streams that are no single file of an image.
pub(super) fn streams() -> impl Iterator<Item = &'static Case> {
    of_folder("streams/")
}

fn of_folder(folder: &'static str) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(move |case| case.file.starts_with(folder))
}

/// Returns the lines by their options.
pub(super) fn by_options(
    cases: impl Iterator<Item = &'static Case>,
) -> BTreeMap<&'static str, Vec<&'static Case>> {
    let mut groups: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        groups.entry(&case.options).or_default().push(case);
    }
    groups
}

impl Case {
    fn parse(number: usize, line: &str) -> Self {
        let cells: Vec<&str> = line.split('\t').collect();
        let [file, _, options, expected, detail, notes, stream] = cells[..] else {
            panic!("line {number} does not have seven cells: {line}")
        };
        let given = |cell: &str| (cell != "-").then(|| cell.to_owned());
        let expected = match expected {
            "decoded" => {
                let (reference, min_db) = detail.split_once(' ').unwrap();
                Expected::Decoded(reference.to_owned(), min_db.parse().unwrap())
            }
            "refused" => Expected::Refused(detail.split('|').map(str::to_lowercase).collect()),
            other => panic!("line {number}: {other}"),
        };
        Self {
            label: format!("{number:03}"),
            file: file.to_owned(),
            options: given(options).unwrap_or_default(),
            expected,
            notes: given(notes).unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            stream: given(stream),
        }
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> PathBuf {
        in_clone("corpus").join(&self.file)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Copies the file into a folder, under its label and its own ending. An ending is often all that is known of a file.
    pub(super) fn copy_into(&self, folder: &Path) {
        let ending = Path::new(&self.file).extension().map(|ending| format!(".{}", ending.to_string_lossy()));
        let copy = folder.join(format!("{}{}", self.label, ending.unwrap_or_default()));
        fs::copy(self.path(), copy).unwrap();
    }

    /// Returns the rules by which an image is read.
    pub(super) fn policy(&self) -> ImagePolicy {
        match &self.options[..] {
            "" => ImagePolicy::default(),
            "background=#102030" => ImagePolicy { background: [0x10, 0x20, 0x30], ..ImagePolicy::default() },
            "damaged_images=mark" => ImagePolicy { damaged: DamagedImages::Mark, ..ImagePolicy::default() },
            other => panic!("{}: {other}", self.file),
        }
    }

    /// Returns the options of an image as arguments of a command.
    pub(super) fn arguments(options: &str) -> Vec<String> {
        let option = options.split_once('=');
        option
            .map_or(Vec::new(), |(key, value)| vec![format!("--{}", key.replace('_', "-")), value.to_owned()])
    }

    /// Returns the options of an image or of a stream as lines of a config file.
    pub(super) fn config(options: &str) -> String {
        let line = |option: &str| {
            let (key, value) = option.split_once('=').unwrap();
            if value.parse::<u32>().is_ok() {
                format!("{key} = {value}\n")
            } else {
                format!("{key} = {value:?}\n")
            }
        };
        options.split_whitespace().map(line).collect()
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self.expected, Expected::Refused(_))
    }

    /// Returns whether a message is that of the expected refusal.
    pub(super) fn expects_message(&self, message: &str) -> bool {
        let message = message.to_lowercase();
        matches!(&self.expected, Expected::Refused(parts) if parts.iter().any(|part| message.contains(part)))
    }

    /// Returns the reference of an image, and the least similarity in dB.
    pub(super) fn reference_image(&self) -> Option<(DynamicImage, f64)> {
        let Expected::Decoded(name, min_db) = &self.expected else { return None };
        Some((image::open(reference_path(name)).unwrap(), *min_db))
    }

    /// Returns the number that follows a name in the notes; 0 if there is none.
    pub(super) fn note(&self, name: &str) -> u64 {
        let value = |note: &String| note.strip_prefix(name)?.strip_prefix('=')?.parse().ok();
        self.notes.iter().find_map(value).unwrap_or(0)
    }
}

/// Returns the path of a reference.
pub(super) fn reference_path(name: &str) -> PathBuf {
    in_clone("corpus/references").join(name)
}

/// Returns the form of tables that options declare.
pub(super) fn table_spec(options: &str) -> TableSpec {
    if options.is_empty() { TableSpec::default() } else { serde_json::from_str(options).unwrap() }
}

/// Returns the label with which the name of a file begins.
pub(super) fn label_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().chars().take(3).collect()
}

/// Fails with all problems at once.
pub(super) fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_corpus_is_large_and_its_files_are_small() {
    let folders = ["images", "streams", "tables", "references"].map(|name| in_clone("corpus").join(name));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let bytes: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 2_000_000, "{bytes}");
    let files: std::collections::BTreeSet<&str> = CASES.iter().map(|case| &case.file[..]).collect();
    let present = folders[..3].iter().map(|folder| fs::read_dir(folder).unwrap().count()).sum::<usize>();
    assert!(files.len() >= 250, "{}", files.len());
    assert_eq!(files.len(), present, "files without a line in the table");
}
