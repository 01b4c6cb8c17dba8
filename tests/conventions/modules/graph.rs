//! Which file of a crate names items of which other, and the circles of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
};

use super::source::{self, Kind, Module, Use};

/// How many steps the search for a name may take; more are an import that leads back to itself.
const FUEL: usize = 12;

/// Names of items that one file takes from another, by the two modules.
type Edges = BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>;

/// Modules of a crate that reach each other.
#[derive(Debug)]
pub(super) struct Circle {
    /// All of them, in order of their names.
    pub(super) modules: Vec<String>,
    /// The shortest way from one back to itself, then every other arrow within.
    pub(super) arrows: Vec<String>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
enum Target {
    Module(usize),
    Item(usize, Kind),
    OtherCrate,
}

/// The circles of the crate with this root, see the head of the test.
pub(super) fn circles(root: &Path) -> Vec<Circle> {
    let graph = Graph {
        modules: source::modules(root),
    };
    let edges = graph.edges();
    let reached: BTreeMap<usize, BTreeSet<usize>> = edges
        .keys()
        .map(|from| (*from, reachable(&edges, *from)))
        .collect();
    let mutual = |a: &usize, b: &usize| {
        let reaches = |a, b| reached.get(a).is_some_and(|all| all.contains(b));
        reaches(a, b) && reaches(b, a)
    };
    let mut left: BTreeSet<usize> = edges.keys().copied().filter(|a| mutual(a, a)).collect();
    let mut found = Vec::new();
    while let Some(first) = left.first().copied() {
        let circle: BTreeSet<usize> = left.iter().copied().filter(|b| mutual(&first, b)).collect();
        left.retain(|module| !circle.contains(module));
        found.push(graph.circle(&edges, &circle));
    }
    found
}

fn reachable(edges: &Edges, from: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        for to in edges.get(&module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*to) {
                next.push(*to);
            }
        }
    }
    found
}

struct Graph {
    modules: Vec<Module>,
}

impl Graph {
    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (from, module) in self.modules.iter().enumerate() {
            for import in &module.uses {
                self.add_import(&mut edges, from, import);
            }
            for path in &module.paths {
                if let Some(target) = self.resolve(from, path, FUEL) {
                    self.add(&mut edges, from, target, &path.join("::"));
                }
            }
        }
        edges
    }

    /// A re-export of a descendant's item counts where the file uses the name itself.
    fn add_import(&self, edges: &mut Edges, from: usize, import: &Use) {
        let target = self.resolve(from, &import.path, FUEL);
        let Some(target @ (Target::Module(owner) | Target::Item(owner, _))) = target else {
            return;
        };
        let words = &self.modules[from].words;
        let free = import.exported && self.contains(from, owner);
        let path = import.path.join("::");
        match (&import.name, target) {
            (Some(name), _) if free && !words.contains(name) => {}
            (None, Target::Module(module)) if free => {
                for name in self.modules[module]
                    .items
                    .keys()
                    .filter(|name| words.contains(*name))
                {
                    if let Some(item) = self.lookup(module, name, FUEL) {
                        self.add(edges, from, item, &format!("{path}::{name}"));
                    }
                }
            }
            (None, Target::Module(module)) => {
                self.add(
                    edges,
                    from,
                    Target::Item(module, Kind::Other),
                    &format!("{path}::*"),
                );
            }
            _ => self.add(edges, from, target, &path),
        }
    }

    /// A module alone is no arrow: what is taken from it is named by a path.
    fn add(&self, edges: &mut Edges, from: usize, target: Target, name: &str) {
        let Target::Item(to, kind) = target else {
            return;
        };
        let (from, to) = (self.modules[from].file, self.modules[to].file);
        let is_type = matches!(kind, Kind::Type | Kind::Alias);
        let type_of_ancestor = is_type && self.contains(to, from);
        if from != to && !type_of_ancestor {
            edges
                .entry(from)
                .or_default()
                .entry(to)
                .or_default()
                .insert(name.to_owned());
        }
    }

    /// Whether `inner` is `outer` or lies within it.
    fn contains(&self, outer: usize, inner: usize) -> bool {
        self.modules[inner]
            .path
            .starts_with(&self.modules[outer].path)
    }

    /// What a path leads to, seen from a module; `None` where its first name is unknown there.
    fn resolve(&self, from: usize, path: &[String], fuel: usize) -> Option<Target> {
        let fuel = fuel.checked_sub(1)?;
        let (first, mut rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(from),
            "super" => Target::Module(self.modules[from].parent),
            name => self.lookup(from, name, fuel)?,
        };
        while let (Target::Module(module), Some((name, further))) = (target, rest.split_first()) {
            rest = further;
            target = match name.as_str() {
                "super" => Target::Module(self.modules[module].parent),
                // Names that the scan does not know, such as those that a macro makes.
                name => self
                    .lookup(module, name, fuel)
                    .unwrap_or(Target::Item(module, Kind::Other)),
            };
        }
        Some(target)
    }

    /// What a name means in a module: its child, its item, or what it imports.
    fn lookup(&self, module: usize, name: &str, fuel: usize) -> Option<Target> {
        let fuel = fuel.checked_sub(1)?;
        let Module {
            children,
            items,
            uses,
            ..
        } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Target::Module(*child));
        }
        if let Some(kind) = items.get(name) {
            return Some(Target::Item(module, *kind));
        }
        let targets = |glob: bool| {
            let imports = uses.iter().filter(move |import| match &import.name {
                Some(imported) => !glob && imported == name,
                None => glob,
            });
            imports.map(move |import| {
                let target = self.resolve(module, &import.path, fuel);
                target.unwrap_or(Target::OtherCrate)
            })
        };
        let through_glob = |target: Target| match target {
            Target::Module(owner) if owner != module => self.lookup(owner, name, fuel),
            Target::OtherCrate => Some(target),
            _ => None,
        };
        targets(false).next().or_else(|| {
            let found: Vec<Target> = targets(true).filter_map(through_glob).collect();
            let within = found
                .iter()
                .find(|target| !matches!(target, Target::OtherCrate));
            within.or(found.first()).copied()
        })
    }

    fn circle(&self, edges: &Edges, circle: &BTreeSet<usize>) -> Circle {
        let way = shortest(edges, circle);
        let steps: Vec<(usize, usize)> = way.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut arrows: Vec<String> = steps
            .iter()
            .map(|(from, to)| self.arrow(edges, *from, *to))
            .collect();
        for from in circle {
            for to in edges[from].keys().filter(|to| circle.contains(to)) {
                if !steps.contains(&(*from, *to)) {
                    arrows.push(self.arrow(edges, *from, *to));
                }
            }
        }
        let mut modules: Vec<String> = circle.iter().map(|module| self.name(*module)).collect();
        modules.sort();
        Circle { modules, arrows }
    }

    fn arrow(&self, edges: &Edges, from: usize, to: usize) -> String {
        let names: Vec<&str> = edges[&from][&to].iter().map(String::as_str).collect();
        format!(
            "{} -> {}: {}",
            self.name(from),
            self.name(to),
            names.join(", ")
        )
    }

    fn name(&self, module: usize) -> String {
        match self.modules[module].path.as_slice() {
            [] => "crate".to_owned(),
            path => path.join("::"),
        }
    }
}

/// The shortest way from a module of a circle back to itself, with that module at both ends.
fn shortest(edges: &Edges, circle: &BTreeSet<usize>) -> Vec<usize> {
    let ways = circle.iter().filter_map(|start| {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut next = VecDeque::from([*start]);
        while let Some(module) = next.pop_front() {
            for to in edges[&module].keys().filter(|to| circle.contains(to)) {
                if to == start {
                    let mut way = vec![*start, module];
                    while let Some(before) = came_from.get(&way[way.len() - 1]) {
                        way.push(*before);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(to) {
                    came_from.insert(*to, module);
                    next.push_back(*to);
                }
            }
        }
        None
    });
    ways.min_by_key(Vec::len).unwrap_or_default()
}
