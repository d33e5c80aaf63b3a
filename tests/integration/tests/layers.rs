//! The crates are layered: a module imports from lower layers only. The layers are the text diagrams in
//! `ARCHITECTURE.md`; a module that stands in none of them, or an import that points upward or sideways, fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// By module, as `store::lanes`: how high its layer is. The crate root is `lib`.
type Layers = BTreeMap<String, usize>;

/// Reads the diagram of a crate: one layer a line, the highest first, modules separated by `·`, and
/// after two spaces a remark.
fn layers(of: &str) -> Layers {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the document is there");
    let (_, rest) =
        text.split_once(&format!("```text layers of {of}\n")).expect("a diagram of the crate");
    let (diagram, _) = rest.split_once("```").expect("the diagram ends");
    let mut layers = Layers::new();
    for (height, line) in diagram.lines().rev().enumerate() {
        let modules = line.trim().split("  ").next().unwrap_or_default();
        for module in modules.split('·').map(str::trim).filter(|module| !module.is_empty()) {
            assert!(
                layers.insert(module.to_owned(), height).is_none(),
                "{module} is in two layers"
            );
        }
    }
    layers
}

/// One source file on the way through its syntax.
struct Module<'a> {
    /// Where the code at hand is, as `["store", "lanes"]`.
    path: Vec<String>,
    files: &'a [Vec<String>],
    imports: Vec<Vec<String>>,
}

impl Module<'_> {
    /// Notes a path that is written where the code at hand is, if it leads into the crate.
    fn note(&mut self, written: &[String]) {
        let mut base = self.path.clone();
        let mut rest = written;
        match written.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &written[1..];
            }
            Some("self") => rest = &written[1..],
            Some("super") => {
                while rest.first().is_some_and(|first| first == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            Some(first) => {
                let child = [&base[..], &[first.to_owned()]].concat();
                if !self.files.contains(&child) {
                    return;
                }
            }
            None => return,
        }
        base.extend(rest.iter().cloned());
        self.imports.push(base);
    }

    fn note_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.note_tree(before, tree));
            }
        }
    }

    /// Paths in the arguments of macros, which are tokens to the parser.
    fn note_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) => path.push(ident.to_string()),
                proc_macro2::TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                other => {
                    self.note_token_path(&std::mem::take(&mut path));
                    if let proc_macro2::TokenTree::Group(group) = other {
                        self.note_tokens(group.stream());
                    }
                }
            }
        }
        self.note_token_path(&path);
    }

    fn note_token_path(&mut self, path: &[String]) {
        let start = path.iter().position(|word| word == "crate" || word == "super");
        // `pub(crate)` in a macro is no path.
        if let Some(start) = start.filter(|start| start + 1 < path.len()) {
            self.note(&path[start..]);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|what| what == "test" || what == "doctest")
    })
}

impl<'ast> Visit<'ast> for Module<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            self.path.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.path.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.note_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&words);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, macro_call: &'ast syn::Macro) {
        self.note_tokens(macro_call.tokens.clone());
        visit::visit_macro(self, macro_call);
    }

    // `pub(in crate::a)` imports nothing, and attributes are not code of the module.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// The source files of a crate by module path; those of its unit tests are left out.
fn sources(folder: &Path, at: &[String], found: &mut BTreeMap<Vec<String>, PathBuf>) {
    for file in fs::read_dir(folder).expect("a folder of sources") {
        let file = file.expect("a file").path();
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let module = [at, std::slice::from_ref(&name)].concat();
        if name == "tests" {
            continue;
        }
        if file.is_dir() {
            sources(&file, &module, found);
        } else if file.extension().is_some_and(|extension| extension == "rs") {
            let module = if name == "lib" { Vec::new() } else { module };
            found.insert(module, file);
        }
    }
}

/// The layered module that a path belongs to: the longest that it begins with.
fn layered(layers: &Layers, path: &[String]) -> Option<String> {
    let beginnings = (1..=path.len()).rev().map(|length| path[..length].join("::"));
    let known = beginnings.into_iter().find(|module| layers.contains_key(module));
    known.or_else(|| path.is_empty().then(|| "lib".to_owned()))
}

fn wrong_imports(of: &str) -> Vec<String> {
    let layers = layers(of);
    let mut files = BTreeMap::new();
    sources(&root().join(of).join("src"), &[], &mut files);
    let modules: Vec<_> = files.keys().cloned().collect();
    let mut wrong = Vec::new();
    for (path, file) in &files {
        let Some(from) = layered(&layers, path) else {
            wrong.push(format!("{} is in no layer", path.join("::")));
            continue;
        };
        let text = fs::read_to_string(file).expect("readable");
        let syntax = syn::parse_file(&text).expect("it compiles");
        let mut module = Module { path: path.clone(), files: &modules, imports: Vec::new() };
        module.visit_file(&syntax);
        for import in module.imports {
            // An item of the crate root is the root's.
            let to = layered(&layers, &import).unwrap_or_else(|| "lib".to_owned());
            if from != to && layers[&to] >= layers[&from] {
                wrong.push(format!("{} imports {}", path.join("::"), import.join("::")));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

#[test]
fn modules_import_from_lower_layers_only() {
    for of in ["cache-runtime", "cache-macros", "cache-admin"] {
        let wrong = wrong_imports(of);
        assert!(
            wrong.is_empty(),
            "{of}, against the layers in ARCHITECTURE.md:\n{}",
            wrong.join("\n")
        );
    }
}
