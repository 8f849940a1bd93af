//! The names of outputs: every input of a run has a name of its own, so that no output overwrites another one.
//!
//! An output is named after its file without the ending, followed by a number when the file contains many inputs. Files for
//! which that is not enough get a longer name: with the ending, `pic.jpg` and `pic.png`; and with their folders,
//! `north/IMG_0001` and `south/IMG_0001`. Bytes of a file name that are not UTF-8 are written as `%` and two hexadecimal digits.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fmt::Write as _,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use lopside_input::IMAGE_EXTENSIONS;

use super::content::is_container;

/// The longest form of a name. All names of this form are different.
const LAST_LEVEL: u8 = 4;
/// The end of the names of heat maps, which stand beside the other outputs of an input.
const HEAT_MAP: &str = "-heat-map";

/// A file of inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    /// The name of its outputs, which no other file of the run has: one or several components of a path, without an ending.
    pub name: String,
}

/// Returns these files, each once, with the names of their outputs, none of which is reserved.
pub(super) fn name_files(paths: Vec<PathBuf>, reserved: &[&str]) -> Vec<NamedFile> {
    let mut files = unique_files(paths);
    let names = separate(&mut files, reserved);
    files.into_iter().zip(names).map(|(file, name)| NamedFile { path: file.path, name }).collect()
}

/// Returns the file name as text, without its endings.
pub(super) fn file_stem(path: &Path) -> String {
    let text = text(path.file_name().unwrap_or_default(), "%");
    stem(&text).to_owned()
}

/// Returns the name of one input of a file that contains many.
pub(super) fn numbered_name(name: &str, number: usize) -> String {
    format!("{name}-{number:05}")
}

/// A file and the form of its name.
struct Candidate {
    path: PathBuf,
    /// The folder, without links.
    folder: Rc<Path>,
    level: u8,
}

impl Candidate {
    /// Returns the name in its present form; folders are relative to `common`.
    fn name(&self, common: &Path) -> String {
        let file = self.path.file_name().unwrap_or_default();
        match self.level {
            0 => file_stem(&self.path),
            1 => text(file, "%"),
            2 => self.folders(common, "%") + &file_stem(&self.path),
            3 => self.folders(common, "%25") + &text(file, "%25"),
            // A file name cannot end like this: its own percent signs are escaped.
            _ => self.folders(common, "%25") + &text(file, "%25") + "%",
        }
    }

    /// Returns the folders below `common`, each followed by a slash.
    fn folders(&self, common: &Path, percent: &str) -> String {
        let folder = self.folder.strip_prefix(common).unwrap_or(&self.folder);
        let names = folder.components().filter_map(|component| match component {
            Component::Normal(name) => Some(text(name, percent) + "/"),
            _ => None,
        });
        names.collect()
    }
}

/// Returns the files without those that were named before.
fn unique_files(paths: Vec<PathBuf>) -> Vec<Candidate> {
    let (mut folders, mut seen) = (HashMap::new(), HashSet::new());
    let mut files = Vec::new();
    for path in paths {
        let folder = folder_of(&path, &mut folders);
        if seen.insert((Rc::clone(&folder), path.file_name().map(OsStr::to_owned))) {
            files.push(Candidate { path, folder, level: 0 });
        }
    }
    files
}

/// Returns the folder of a file without links, which is looked up once per folder.
fn folder_of(path: &Path, known: &mut HashMap<PathBuf, Rc<Path>>) -> Rc<Path> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    if let Some(folder) = known.get(parent) {
        return Rc::clone(folder);
    }
    let folder: Rc<Path> = fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned()).into();
    known.insert(parent.to_owned(), Rc::clone(&folder));
    folder
}

/// Returns the folder that contains all files.
fn common_folder(files: &[Candidate]) -> PathBuf {
    let mut folders = files.iter().map(|file| &*file.folder);
    let Some(first) = folders.next() else { return PathBuf::new() };
    folders.fold(first.to_owned(), |common, folder| {
        let shared = common.components().zip(folder.components()).take_while(|(left, right)| left == right);
        shared.map(|(component, _)| component).collect()
    })
}

/// Lengthens the names until each is different from all others, and returns them.
fn separate(files: &mut [Candidate], reserved: &[&str]) -> Vec<String> {
    let common = common_folder(files);
    loop {
        let names: Vec<String> = files.iter().map(|file| file.name(&common)).collect();
        let clashing = clashing(files, &names, reserved);
        if clashing.is_empty() {
            return names;
        }
        for index in clashing {
            files[index].level += 1;
        }
    }
}

/// Returns the files whose names clash with others, and can be lengthened.
fn clashing(files: &[Candidate], names: &[String], reserved: &[&str]) -> Vec<usize> {
    let mut by_name: HashMap<&str, Vec<&Path>> = HashMap::new();
    for (file, name) in files.iter().zip(names) {
        by_name.entry(name).or_default().push(&file.path);
    }
    let clashes = |name: &str| {
        by_name.get(name).is_some_and(|same| same.len() > 1)
            || reserved.contains(&name)
            || is_derived(name, &by_name)
    };
    let indices = 0..files.len();
    indices.filter(|&index| files[index].level < LAST_LEVEL && clashes(&names[index])).collect()
}

/// Returns whether an input of another file can have outputs of this name: its heat map, or a numbered input.
fn is_derived(name: &str, by_name: &HashMap<&str, Vec<&Path>>) -> bool {
    let without_map = name.strip_suffix(HEAT_MAP);
    let container = unnumbered(without_map.unwrap_or(name)).and_then(|stem| by_name.get(stem));
    without_map.is_some_and(|stem| by_name.contains_key(stem))
        || container.is_some_and(|files| files.iter().any(|file| is_container(file)))
}

/// Returns the `log` of `log-00012`.
fn unnumbered(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once('-')?;
    (number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(stem)
}

/// Returns the text of a file name; a percent sign in it is written as `percent`.
fn text(name: &OsStr, percent: &str) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', percent));
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Returns a file name without its endings, unless nothing would be left.
fn stem(name: &str) -> &str {
    let name = strip_ending(name, ".gz").filter(|rest| !rest.is_empty()).unwrap_or(name);
    let images = IMAGE_EXTENSIONS.into_iter();
    let images = images.filter_map(|extension| strip_ending(name, extension)?.strip_suffix('.'));
    let others = [".npy", ".csv", ".idx", "-idx3-ubyte", ".idx3-ubyte"].into_iter();
    let mut stems = images.chain(others.filter_map(|ending| strip_ending(name, ending)));
    stems.find(|stem| !stem.is_empty()).unwrap_or(name)
}

/// Removes an ending of ASCII characters, in lower or upper case.
fn strip_ending<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let (rest, found) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    found.eq_ignore_ascii_case(ending).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    use proptest::prelude::*;

    use super::*;

    fn names(files: &[&str]) -> Vec<String> {
        let paths = files.iter().map(PathBuf::from).collect();
        name_files(paths, &["contact-sheet"]).into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn a_name_is_as_short_as_it_can_be() {
        assert_eq!(names(&["a/x.png", "a/y.PNG", "b/z.tar.gz"]), ["x", "y", "z.tar"]);
        assert_eq!(names(&["x.png", "x.jpg", "y.jpg"]), ["x.png", "x.jpg", "y"]);
        assert_eq!(names(&["a/x.png", "b/x.png"]), ["a/x", "b/x"]);
        assert_eq!(names(&["a/x.png", "b/x.jpg"]), ["x.png", "x.jpg"]);
        assert_eq!(names(&["r/a/x.png", "r/b/x.png", "r/b/x.jpg"]), ["a/x", "b/x", "x.jpg"]);
        assert_eq!(names(&["x.csv", "b/x.csv.gz"]), ["x.csv", "x.csv.gz"]);
        assert_eq!(names(&[".jpg", "jpg", "a."]), [".jpg", "jpg", "a."]);
    }

    #[test]
    fn a_file_that_is_named_twice_is_read_once() {
        assert_eq!(names(&["a/x.png", "a/x.png", "a/y.png"]), ["x", "y"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        let again = folder.path().join(".").join("x.png");
        assert_eq!(name_files(vec![path.clone(), again], &[]), [NamedFile { path, name: "x".into() }]);
    }

    #[test]
    fn outputs_of_other_inputs_are_not_overwritten() {
        assert_eq!(names(&["log.npy", "log-00003.png"]), ["log", "log-00003.png"]);
        assert_eq!(names(&["log.png", "log-00003.png"]), ["log", "log-00003"]);
        assert_eq!(names(&["x.png", "x-heat-map.png"]), ["x", "x-heat-map.png"]);
        assert_eq!(names(&["contact-sheet.jpg"]), ["contact-sheet.jpg"]);
        assert_eq!(names(&["contact-sheet"]), ["contact-sheet%"]);
        assert_eq!(names(&["pic.jpg.png", "pic.jpg", "pic.png"]), ["pic.jpg.png", "pic", "pic.png"]);
    }

    #[test]
    fn bytes_that_are_not_text_keep_names_apart() {
        let files = [&b"\xfe.jpg"[..], b"\xff.jpg", b"%FF.jpg"];
        let paths = files.map(|bytes| PathBuf::from(OsString::from_vec(bytes.to_vec()))).to_vec();
        let found: Vec<String> = name_files(paths, &[]).into_iter().map(|file| file.name).collect();
        assert_eq!(found, ["%FE", "%FF.jpg", "%25FF.jpg"]);
    }

    proptest! {
        #[test]
        fn no_two_files_share_an_output(
            parts in prop::collection::vec(
                ("(|a/|b/|a/b/)", "(x|x-00001|x-heat-map|contact-sheet|%|x%25)", "(|[.]jpg|[.]JPG|[.]png|[.]npy|[.]jpg[.]png|%)"),
                0..12,
            ),
        ) {
            let paths = parts.iter().map(|(folder, stem, ending)| format!("{folder}{stem}{ending}").into());
            let files = name_files(paths.collect(), &["contact-sheet"]);
            let by_name: HashMap<&str, Vec<&Path>> =
                files.iter().map(|file| (&file.name[..], vec![&*file.path])).collect();
            prop_assert_eq!(by_name.len(), files.len());
            for file in &files {
                prop_assert!(file.name != "contact-sheet" && !is_derived(&file.name, &by_name), "{}", file.name);
                prop_assert!(!file.name.is_empty() && !file.name.starts_with('/'), "{}", file.name);
            }
        }
    }
}
