//! The modules of a crate, read from its files: what each defines, imports and names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::tokens::{after_group, is_word, tokens};

/// What a module defines under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A struct, enum, union or trait.
    Type,
    /// Another name for a type.
    Alias,
    /// A function, constant, static or macro, or a name that the scan does not know.
    Other,
}

/// One name that a `use` brings in, or all names of a module.
#[derive(Debug)]
pub(super) struct Use {
    /// The name in this module, `None` for a glob.
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
    /// Whether it is a re-export.
    pub(super) exported: bool,
}

/// A module, in a file of its own or inline.
#[derive(Debug)]
pub(crate) struct Module {
    /// The names of the modules around it and its own; empty for the root.
    pub(crate) path: Vec<String>,
    pub(super) parent: usize,
    /// The module that has the file: itself unless it is inline.
    pub(super) file: usize,
    pub(super) children: BTreeMap<String, usize>,
    pub(crate) items: BTreeMap<String, Kind>,
    pub(super) uses: Vec<Use>,
    /// Paths of at least two names outside of `use`.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// All words outside of `use`.
    pub(super) words: BTreeSet<String>,
}

/// Reads all modules of the crate whose root is `root`; the root is the first.
///
/// Modules and other items under `#[cfg(test)]` are left out.
pub(crate) fn modules(root: &Path) -> Vec<Module> {
    let folder = root
        .parent()
        .expect("a file lies in a folder")
        .to_path_buf();
    let mut crate_ = Vec::new();
    read(&mut crate_, Vec::new(), 0, root, folder);
    crate_
}

/// Adds the module of a file; `folder` is where the files of its children lie.
fn read(all: &mut Vec<Module>, path: Vec<String>, parent: usize, file: &Path, folder: PathBuf) {
    let source = fs::read_to_string(file)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()));
    let module = add(all, path, parent, None);
    Scan {
        all,
        module,
        folder,
    }
    .block(&tokens(&source));
}

fn add(all: &mut Vec<Module>, path: Vec<String>, parent: usize, file: Option<usize>) -> usize {
    let module = all.len();
    if let Some(name) = path.last() {
        all[parent].children.insert(name.clone(), module);
    }
    all.push(Module {
        path,
        parent,
        file: file.unwrap_or(module),
        children: BTreeMap::new(),
        items: BTreeMap::new(),
        uses: Vec::new(),
        paths: BTreeSet::new(),
        words: BTreeSet::new(),
    });
    module
}

/// Goes through the tokens of one module.
struct Scan<'a> {
    all: &'a mut Vec<Module>,
    module: usize,
    folder: PathBuf,
}

impl Scan<'_> {
    fn block(&mut self, tokens: &[&str]) {
        let mut depth = 0_usize;
        let mut at = 0;
        while at < tokens.len() {
            match tokens[at] {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            at = match tokens[at] {
                "#" => after_attribute(tokens, at),
                "mod" if depth == 0 && tokens.get(at + 1).is_some_and(|t| is_word(t)) => {
                    self.child(tokens, at)
                }
                "use" if tokens.get(at + 1) != Some(&"<") => self.import(tokens, at),
                word if is_word(word) => {
                    if depth == 0 {
                        self.define(&tokens[at..]);
                    }
                    self.path(tokens, at)
                }
                _ => at + 1,
            };
        }
    }

    /// `mod name;` or `mod name { … }`
    fn child(&mut self, tokens: &[&str], at: usize) -> usize {
        let name = tokens[at + 1];
        let path = [&self.all[self.module].path[..], &[name.to_owned()]].concat();
        let folder = self.folder.join(name);
        if tokens.get(at + 2) == Some(&"{") {
            let end = after_group(tokens, at + 2);
            let file = self.all[self.module].file;
            let module = add(self.all, path, self.module, Some(file));
            Scan {
                all: self.all,
                module,
                folder,
            }
            .block(&tokens[at + 3..end - 1]);
            return end;
        }
        let beside = self.folder.join(format!("{name}.rs"));
        let file = if beside.exists() {
            beside
        } else {
            folder.join("mod.rs")
        };
        read(self.all, path, self.module, &file, folder);
        at + 3
    }

    /// `use a::{b, c as d, e::*};`
    fn import(&mut self, tokens: &[&str], at: usize) -> usize {
        let end = (at..tokens.len())
            .find(|i| tokens[*i] == ";")
            .unwrap_or(tokens.len());
        let exported = at > 0 && matches!(tokens[at - 1], "pub" | ")");
        let uses = &mut self.all[self.module].uses;
        tree(&tokens[at + 1..end], &[], &mut |path, name| {
            uses.push(Use {
                name,
                path: path.to_vec(),
                exported,
            });
        });
        end + 1
    }

    /// Notes the item that begins here, if one does.
    fn define(&mut self, tokens: &[&str]) {
        let (kind, name) = match *tokens {
            ["struct" | "enum" | "union" | "trait", name, ..] => (Kind::Type, name),
            ["type", name, ..] => (Kind::Alias, name),
            ["macro_rules", "!", name, ..]
            | ["static", "mut", name, ..]
            | ["const" | "static" | "fn", name, ..] => (Kind::Other, name),
            _ => return,
        };
        if is_word(name) {
            self.all[self.module]
                .items
                .entry(name.to_owned())
                .or_insert(kind);
        }
    }

    /// `name` or `name::name`
    fn path(&mut self, tokens: &[&str], at: usize) -> usize {
        let mut path = vec![tokens[at].to_owned()];
        let mut end = at + 1;
        while end + 1 < tokens.len() && tokens[end] == "::" && is_word(tokens[end + 1]) {
            path.push(tokens[end + 1].to_owned());
            end += 2;
        }
        let module = &mut self.all[self.module];
        module.words.extend(path.iter().cloned());
        // What follows `::` here belongs to a type or to another crate.
        if path.len() > 1 && (at == 0 || tokens[at - 1] != "::") {
            module.paths.insert(path);
        }
        end
    }
}

/// Calls `found` with the path and the name of each leaf of a `use`; a glob has no name.
fn tree(tokens: &[&str], prefix: &[String], found: &mut impl FnMut(&[String], Option<String>)) {
    let mut path = prefix.to_vec();
    for (i, token) in tokens.iter().enumerate() {
        match *token {
            "{" => return group(&tokens[i + 1..after_group(tokens, i) - 1], &path, found),
            "*" => return found(&path, None),
            "as" => return found(&path, tokens.get(i + 1).map(|name| (*name).to_owned())),
            "self" if !path.is_empty() => {}
            name if is_word(name) => path.push(name.to_owned()),
            _ => {}
        }
    }
    if let Some(name) = path.last().cloned() {
        found(&path, Some(name));
    }
}

fn group(tokens: &[&str], prefix: &[String], found: &mut impl FnMut(&[String], Option<String>)) {
    let mut start = 0;
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().chain([&","]).enumerate() {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                if i > start {
                    tree(&tokens[start..i], prefix, found);
                }
                start = i + 1;
            }
            _ => {}
        }
    }
}

/// The position after an attribute, and after the item below it where that is for tests alone.
fn after_attribute(tokens: &[&str], at: usize) -> usize {
    let open = if tokens.get(at + 1) == Some(&"!") {
        at + 2
    } else {
        at + 1
    };
    if tokens.get(open) != Some(&"[") {
        return at + 1; // In the body of a macro.
    }
    let end = after_group(tokens, open);
    let attribute = &tokens[open + 1..end - 1];
    let alone = attribute.first() == Some(&"cfg")
        && attribute.contains(&"test")
        && !attribute.contains(&"any")
        && !attribute.contains(&"not");
    if alone && open == at + 1 {
        after_item(tokens, end)
    } else {
        end
    }
}

fn after_item(tokens: &[&str], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at] {
            ";" => return at + 1,
            "{" if tokens[at - 1] != "::" => return after_group(tokens, at),
            "(" | "[" | "{" => at = after_group(tokens, at),
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    at
}
