//! Tests of the import graph of each crate: modules must not import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Groups of modules that may import each other, with the name of their crate. A comment gives the reason for each
/// group.
const ACCEPTED_CYCLES: [(&str, &[&str]); 2] = [
    // The configuration parses the keys with the type that encrypts with them.
    ("tenancy", &["config::webhooks", "secrets"]),
    // `Aws` opens sessions with STS calls, which are sent and audited like all other calls.
    ("worker", &["aws", "aws::audit", "aws::call", "aws::connection", "aws::sts"]),
];

/// Crates whose modules must not import each other.
const CRATES: [&str; 3] = ["api", "tenancy", "worker"];

/// Modules of `tenancy::db` that are not stores and may import several stores.
const NOT_STORES: [&str; 4] = ["lifecycle", "migration", "signup", "queue"];

/// Stores that may import another store, each with a comment that gives the reason.
const ACCEPTED_IMPORTS: [(&str, &str); 14] = [
    // A snapshot of the mappings includes its feed position.
    ("account_mappings", "feed"),
    // A fleet hold pauses the work of a quota's slots.
    ("fleet_holds", "quotas"),
    // An account request waits while vending is stopped.
    ("fleet_holds", "vending"),
    // The hold on all work is derived from the checks of the workers.
    ("fleet_holds", "workers"),
    // An operation is read together with its journal.
    ("operations", "steps"),
    // A slot is granted together with a token of the rate limit.
    ("quotas", "rates"),
    // A maximum number of accounts is checked under the lock of the quota.
    ("quotas", "vending"),
    // Reconcile compares the stacks on record.
    ("reconcile", "environment_stacks"),
    // An environment is read together with its replicas, its stack and its open findings.
    ("tenants", "environment_front_doors"),
    ("tenants", "environment_replicas"),
    ("tenants", "environment_stacks"),
    ("tenants", "findings"),
    // Deliveries are created from the feed.
    ("webhooks", "feed"),
    // An endpoint or a secret is created together with the stored response.
    ("webhooks", "idempotency"),
];

/// Import graph of a crate: the path of each module (`db::lifecycle::cancel`, or empty for the root) with the paths of
/// the modules that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Source text of a crate's modules, without comments and tests.
struct Sources {
    text: BTreeMap<Vec<String>, String>,
    /// Path of the original item of each re-export, by module and re-exported name.
    exports: BTreeMap<(Vec<String>, String), Vec<String>>,
}

/// Returns the groups of modules that import each other directly or indirectly, each group in alphabetical order.
///
/// Re-exports of items of a module's own submodules are not counted as imports.
fn import_cycles(source_dir: &Path) -> Vec<Vec<String>> {
    let imports = imports(source_dir);
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|one| (one, reachable(&imports, one))).collect();
    let mut cycles: Vec<Vec<String>> = imports
        .keys()
        .map(|one| imports.keys().filter(|other| reached[one].contains(other) && reached[other].contains(one)))
        .map(|group| group.cloned().collect())
        .filter(|group: &Vec<String>| group.len() > 1)
        .collect();
    cycles.sort();
    cycles.dedup();
    cycles
}

fn reachable<'a>(imports: &'a Imports, from: &String) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = imports[from].iter().collect();
    while let Some(module) = open.pop() {
        if found.insert(module) {
            open.extend(&imports[module]);
        }
    }
    found
}

/// Returns the import graph of the crate whose `lib.rs` or `main.rs` is in `source_dir`. The imports are read from
/// `use` declarations and from paths that start with `crate`, `self` or `super`.
fn imports(source_dir: &Path) -> Imports {
    let mut sources = Sources { text: BTreeMap::new(), exports: BTreeMap::new() };
    read(source_dir, &[], &mut sources.text);
    let used: Vec<_> = sources.text.iter().map(|(module, text)| (module.clone(), paths(text))).collect();
    for (module, paths) in &used {
        for (path, name) in paths.iter().filter_map(|path| Some((path, path.exported_as.clone()?))) {
            if let Some(target) = sources.absolute_path(module, &path.segments) {
                sources.exports.insert((module.clone(), name), target);
            }
        }
    }
    let mut imports = Imports::new();
    for (module, paths) in used {
        let targets = paths.iter().filter_map(|path| {
            let target = sources.module_of(sources.absolute_path(&module, &path.segments)?);
            let is_reexport = path.exported_as.is_some() && target.starts_with(&module);
            (target != module && !is_reexport).then(|| target.join("::"))
        });
        imports.insert(module.join("::"), targets.collect());
    }
    imports
}

fn read(dir: &Path, module: &[String], text: &mut BTreeMap<Vec<String>, String>) {
    for path in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let child: Vec<String> = module.iter().cloned().chain([name.clone()]).collect();
        if path.is_dir() {
            read(&path, &child, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = module.is_empty() && (name == "lib" || name == "main");
            let code = fs::read_to_string(&path).expect("a source file");
            text.insert(if is_root { Vec::new() } else { child }, without_comments_and_tests(&code));
        }
    }
}

fn without_comments_and_tests(code: &str) -> String {
    let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

impl Sources {
    /// Converts a path that is used in `module` to a path from the root of the crate. Returns `None` for a path into
    /// another crate.
    fn absolute_path(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut base = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (base, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            name => {
                let child: Vec<String> = module.iter().map(String::as_str).chain([name]).map(str::to_owned).collect();
                self.text.contains_key(&child).then_some(())?;
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// Returns the module that defines the item at an absolute path.
    fn module_of(&self, path: Vec<String>) -> Vec<String> {
        let mut module = Vec::new();
        for (index, segment) in path.iter().enumerate() {
            let mut child = module.clone();
            child.push(segment.clone());
            let export = self.exports.get(&(module, segment.clone()));
            // A function may have the name of the module that defines it.
            if let Some(target) = export.filter(|target| !target.starts_with(&child)) {
                return self.module_of(target.iter().chain(&path[index + 1..]).cloned().collect());
            }
            module = child[..index].to_vec();
            if !self.text.contains_key(&child) {
                break;
            }
            module = child;
        }
        module
    }
}

struct UsedPath {
    segments: Vec<String>,
    /// Exported name, if the path is part of a `pub use` declaration.
    exported_as: Option<String>,
}

/// Returns the paths in `use` declarations, and all other paths that start with `crate`, `self` or `super`.
fn paths(code: &str) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut rest_of_code = String::new();
    let mut declaration = String::new();
    for line in code.lines() {
        let starts = line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ");
        if declaration.is_empty() && !starts {
            rest_of_code.push_str(line);
            rest_of_code.push('\n');
            continue;
        }
        declaration.push_str(line.trim());
        if let Some(whole) = declaration.strip_suffix(';') {
            let (visibility, tree) = whole.split_once("use ").expect("a use declaration");
            for (segments, name) in leaves(tree) {
                found.push(UsedPath { segments, exported_as: (!visibility.is_empty()).then_some(name) });
            }
            declaration.clear();
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in rest_of_code.split(|c| !is_part(c)) {
        let segments: Vec<String> = word.split("::").map(str::to_owned).collect();
        if segments.len() > 1 && ["crate", "self", "super"].contains(&segments[0].as_str()) {
            found.push(UsedPath { segments, exported_as: None });
        }
    }
    found
}

/// Returns each path of a `use` tree with the imported name: `a::{b, c as d}` gives `a::b` as `b` and `a::c` as `d`.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let mut segments: Vec<String> = path.split("::").map(str::to_owned).collect();
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self" || last == "*") {
            segments.pop();
        }
        let name = alias.or(segments.last().map(String::as_str)).unwrap_or_default().to_owned();
        return vec![(segments, name)];
    };
    let prefix: Vec<String> = before.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let group = group.strip_suffix('}').expect("a closing brace");
    let mut depth = 0;
    let parts = group.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts: Vec<&str> = parts.filter(|part| !part.trim().is_empty()).collect();
    let inner = parts.into_iter().flat_map(leaves);
    inner
        .map(|(path, name)| match path.as_slice() {
            [only] if only == "self" => (prefix.clone(), prefix.last().cloned().unwrap_or_default()),
            _ => (prefix.iter().cloned().chain(path).collect(), name),
        })
        .collect()
}

fn crate_dir(name: &str) -> PathBuf {
    super::root().join(name).join("src")
}

#[test]
fn modules_do_not_import_each_other() {
    for name in CRATES {
        let is_accepted = |cycle: &Vec<String>| {
            let mut accepted = ACCEPTED_CYCLES.iter().filter(|(crate_name, _)| *crate_name == name);
            accepted.any(|(_, group)| cycle.iter().all(|module| group.contains(&module.as_str())))
        };
        let cycles: Vec<_> = import_cycles(&crate_dir(name)).into_iter().filter(|one| !is_accepted(one)).collect();
        assert!(cycles.is_empty(), "modules of {name} that import each other: {cycles:?}");
    }
}

#[test]
fn a_store_imports_no_other_store_except_events_and_fence() {
    let store = |module: &str| module.strip_prefix("db::").and_then(|path| path.split("::").next()).map(str::to_owned);
    let mut found = BTreeSet::new();
    for (module, used) in imports(&crate_dir("tenancy")) {
        let Some(from) = store(&module).filter(|one| !NOT_STORES.contains(&one.as_str())) else { continue };
        found
            .extend(used.iter().filter_map(|other| store(other)).filter(|to| *to != from).map(|to| (from.clone(), to)));
    }
    let is_expected = |(from, to): &(String, String)| {
        to == "events" || to == "fence" || ACCEPTED_IMPORTS.contains(&(from.as_str(), to.as_str()))
    };
    let unexpected: Vec<_> = found.iter().filter(|pair| !is_expected(pair)).collect();
    assert!(unexpected.is_empty(), "stores that use other stores: {unexpected:?}");
    let is_found = |(from, to): &&(&str, &str)| found.contains(&((*from).to_owned(), (*to).to_owned()));
    let unused: Vec<_> = ACCEPTED_IMPORTS.iter().filter(|pair| !is_found(pair)).collect();
    assert!(unused.is_empty(), "accepted imports that do not exist: {unused:?}");
}
