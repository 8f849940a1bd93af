//! Checks that the files of each crate import each other in one direction only.
//!
//! A circle is a set of files that need each other. A module that uses its own submodules does not count, nor does
//! an error enum that names the types it carries (a file or folder called `error`). Names are followed through
//! `use` and `pub use` to the file that defines them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
};

use lopside_e2e::in_clone;
use syn::{
    Attribute, Item, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

type ModulePath = Vec<String>;

/// The names that a file defines and uses.
#[derive(Default)]
struct SourceFile {
    defined: HashSet<String>,
    /// The paths behind the names that `use` declares, and whether the declaration is private.
    declared: HashMap<String, (ModulePath, bool)>,
    globs: Vec<ModulePath>,
    /// The paths in its code with at least two segments.
    paths: Vec<ModulePath>,
}

/// The files of a crate by the paths of their modules.
type Crate = BTreeMap<ModulePath, SourceFile>;

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let crates = ["edge-encoder", "cloud-decoder", "training", "bench", "demo", "xtask", "proto"]
        .into_iter()
        .map(in_clone)
        .chain(fs::read_dir(in_clone("crates")).unwrap().map(|entry| entry.unwrap().path()));
    let mut files = 0;
    let mut circles = Vec::new();
    for folder in crates {
        let sources = read_crate(&folder.join("src"));
        files += sources.len();
        circles.extend(find_circles(&sources).into_iter().map(|circle| (folder.clone(), circle)));
    }
    assert!(files > 400, "only {files} files were read");
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_through_a_reexport_is_found_and_children_and_errors_are_not() {
    let sources = |files: &[(&str, &str)]| -> Crate {
        let parsed = files.iter().map(|(path, code)| {
            let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            (path, SourceFile::parse(code))
        });
        parsed.collect()
    };
    let circle = sources(&[
        ("", "mod a; mod b; pub use a::One;"),
        ("a", "use crate::b; pub struct One; fn f() { b::g() }"),
        ("b", "use crate::One; pub fn g() {}"),
    ]);
    assert_eq!(find_circles(&circle), [["a", "b"]]);
    let tree = sources(&[
        ("", "mod a; mod error;"),
        ("a", "mod b; use self::b::two; pub const ONE: u8 = 1; use crate::error::Failed;"),
        ("a::b", "use super::ONE; pub fn two() {}"),
        ("error", "use crate::a::ONE; pub struct Failed;"),
    ]);
    assert_eq!(find_circles(&tree), Vec::<Vec<String>>::new());
}

fn read_crate(folder: &Path) -> Crate {
    let mut sources = Crate::new();
    read_folder(folder, &mut Vec::new(), &mut sources);
    sources
}

fn read_folder(folder: &Path, module: &mut ModulePath, sources: &mut Crate) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_root = matches!(&*name, "lib" | "mod") || (name == "main" && !folder.join("lib.rs").exists());
        let depth = module.len();
        if path.is_dir() {
            module.push(name);
            read_folder(&path, module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            module.extend((!is_root).then_some(name));
            sources.insert(module.clone(), SourceFile::parse(&fs::read_to_string(&path).unwrap()));
        }
        module.truncate(depth);
    }
}

impl SourceFile {
    fn parse(code: &str) -> Self {
        let mut file = Self::default();
        file.visit_file(&syn::parse_file(code).unwrap());
        file
    }

    fn declare(&mut self, tree: &UseTree, prefix: &mut ModulePath, is_private: bool) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.declare(&path.tree, prefix, is_private);
                prefix.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.declare(tree, prefix, is_private));
            }
            UseTree::Glob(_) => self.globs.push(prefix.clone()),
            UseTree::Name(name) if name.ident == "self" => {
                let name = prefix.last().cloned().unwrap_or_default();
                self.declared.insert(name, (prefix.clone(), is_private));
            }
            UseTree::Name(name) => {
                let path = join_path(prefix, &name.ident);
                self.declared.insert(name.ident.to_string(), (path, is_private));
            }
            UseTree::Rename(rename) => {
                let path = join_path(prefix, &rename.ident);
                self.declared.insert(rename.rename.to_string(), (path, is_private));
            }
        }
    }
}

impl<'a> Visit<'a> for SourceFile {
    fn visit_item(&mut self, item: &'a Item) {
        let (name, attributes) = match item {
            Item::Const(item) => (Some(&item.ident), &item.attrs),
            Item::Enum(item) => (Some(&item.ident), &item.attrs),
            Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
            Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
            Item::Static(item) => (Some(&item.ident), &item.attrs),
            Item::Struct(item) => (Some(&item.ident), &item.attrs),
            Item::Trait(item) => (Some(&item.ident), &item.attrs),
            Item::Type(item) => (Some(&item.ident), &item.attrs),
            Item::Mod(item) => (None, &item.attrs),
            Item::Impl(item) => (None, &item.attrs),
            Item::Use(item) => (None, &item.attrs),
            _ => return,
        };
        if attributes.iter().any(is_test) {
            return;
        }
        self.defined.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        let is_private = matches!(item.vis, Visibility::Inherited);
        self.declare(&item.tree, &mut Vec::new(), is_private);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

fn join_path(prefix: &[String], name: &impl ToString) -> ModulePath {
    prefix.iter().cloned().chain([name.to_string()]).collect()
}

/// Returns an absolute path in the crate; `None` for a path of another crate.
fn absolute(sources: &Crate, module: &[String], path: &[String]) -> Option<ModulePath> {
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => Some([module.get(..module.len().checked_sub(ups)?)?, &path[ups..]].concat()),
        first => sources.contains_key(&join_path(module, &first)).then(|| [module, path].concat()),
    }
}

/// Returns the module whose file defines the item of an absolute path, following at most `max_depth`
/// re-exports.
fn defining_module(sources: &Crate, path: &[String], max_depth: usize) -> Option<ModulePath> {
    let length = (0..=path.len()).rev().find(|length| sources.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let file = &sources[module];
    let Some(name) = rest.first() else { return Some(module.to_vec()) };
    if file.defined.contains(name) || max_depth == 0 {
        return Some(module.to_vec());
    }
    if let Some((target, _)) = file.declared.get(name) {
        let target = absolute(sources, module, target)?;
        return defining_module(sources, &[&target, &rest[1..]].concat(), max_depth - 1);
    }
    let through_globs = file.globs.iter().find_map(|glob| {
        let found =
            defining_module(sources, &[&absolute(sources, module, glob)?, rest].concat(), max_depth - 1)?;
        sources[&found].defined.contains(name).then_some(found)
    });
    Some(through_globs.unwrap_or_else(|| module.to_vec()))
}

/// Returns the modules that a file needs, other than its own submodules.
fn imported_modules(sources: &Crate, module: &[String], file: &SourceFile) -> BTreeSet<ModulePath> {
    let private = file.declared.values().filter(|(_, is_private)| *is_private).map(|(path, _)| path.clone());
    let in_code = file.paths.iter().map(|path| match file.declared.get(&path[0]) {
        Some((start, _)) => [start, &path[1..]].concat(),
        None => path.clone(),
    });
    private
        .chain(in_code)
        .filter_map(|path| {
            let path = absolute(sources, module, &path)?;
            // A module that is imported as a whole is needed where its items are used.
            (!sources.contains_key(&path)).then(|| defining_module(sources, &path, 8)).flatten()
        })
        .filter(|found| !found.starts_with(module))
        .collect()
}

/// Returns the circles, each as the paths of its modules in order.
fn find_circles(sources: &Crate) -> Vec<Vec<String>> {
    let edges: BTreeMap<&ModulePath, BTreeSet<ModulePath>> = sources
        .iter()
        .filter(|(module, _)| !module.iter().any(|part| part == "error"))
        .map(|(module, file)| (module, imported_modules(sources, module, file)))
        .collect();
    let reachable = |from: &ModulePath| {
        let (mut visited, mut pending) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = pending.pop() {
            for next in edges.get(&module).into_iter().flatten() {
                if visited.insert(next.clone()) {
                    pending.push(next.clone());
                }
            }
        }
        visited
    };
    let reachable_modules: BTreeMap<&ModulePath, BTreeSet<ModulePath>> =
        edges.keys().map(|module| (*module, reachable(module))).collect();
    let circles: BTreeSet<Vec<String>> = reachable_modules
        .iter()
        .filter(|(module, visited)| visited.contains(**module))
        .map(|(module, visited)| {
            let others = visited.iter().filter(|other| {
                reachable_modules.get(other).is_some_and(|targets| targets.contains(*module))
            });
            others.map(|other| other.join("::")).collect()
        })
        .collect();
    circles.into_iter().collect()
}
