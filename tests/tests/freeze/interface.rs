//! Compares the command line, the configuration, metrics, alerts and the string literals in the code with their frozen
//! state.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use serde_yaml_ng::Value as Yaml;
use toml::Value as Toml;

use super::compare::{Lines, assert_unchanged, line, read_frozen_file};
use super::renames::{Renames, replace_words};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Adds a line for every command and every argument to `lines`. The line of an argument contains its attributes, such
/// as its default value.
fn add_commands(name: &str, command: &Command, lines: &mut Lines) {
    lines.insert(line(&[name, "", ""]));
    for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
        let option = argument.get_long().map(|long| format!("--{long}"));
        let option = option.unwrap_or_else(|| argument.get_id().to_string());
        let takes = if argument.get_action().takes_values() { "value" } else { "" };
        let words: Vec<_> = argument.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect();
        let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
        let defaults: Vec<_> = defaults.collect();
        let environment = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let required = if argument.is_required_set() { "required" } else { "" };
        let short = argument.get_short().map(String::from).unwrap_or_default();
        let more = [takes, required, &short, &environment, &defaults.join(" "), &words.join(" ")].join("|");
        lines.insert(line(&[name, &option, &more]));
    }
    for inner in command.get_subcommands() {
        add_commands(&format!("{name} {}", inner.get_name()), inner, lines);
    }
}

/// Applies the renames to the name of a command and the names of its parent commands.
fn renamed_command(renames: &Renames, command: &str) -> String {
    let mut old = String::new();
    let words = command.split(' ').map(|word| {
        format!("{old} {word}").trim_start().clone_into(&mut old);
        renames.cli.get(&old).map_or(word, String::as_str).to_owned()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_command_line_is_unchanged() {
    let mut lines = Lines::new();
    add_commands("freehold", &freehold::command(), &mut lines);
    assert_unchanged("cli.txt", &lines, |renames, parts| {
        let [command, option, more] = &parts[..] else { panic!("{parts:?} is not a line of the command line") };
        let new = renames.cli.get(&format!("{command} {option}")).or_else(|| renames.cli.get(option));
        let more = match more.rsplit_once('|') {
            Some((more, words)) => {
                let words: Vec<_> = words.split(' ').map(|word| renames.code("cli", word)).collect();
                format!("{more}|{}", words.join(" "))
            }
            None => more.clone(),
        };
        vec![renamed_command(renames, command), new.unwrap_or(option).clone(), more]
    });
}

fn add_fields(path: &str, value: &Toml, lines: &mut Lines) {
    match value {
        Toml::Table(table) => {
            for (name, value) in table {
                add_fields(format!("{path}.{name}").trim_start_matches('.'), value, lines);
            }
        }
        Toml::Array(values) if values.iter().any(Toml::is_table) => {
            for value in values {
                add_fields(path, value, lines);
            }
        }
        value => {
            lines.insert(line(&[path, &value.to_string()]));
        }
    }
}

#[test]
fn the_fields_of_the_configuration_and_their_defaults_are_unchanged() {
    let example = read("freehold.example.toml");
    let is_field = |line: &str| {
        let name = line.split(" = ").next().unwrap_or_default();
        line.contains(" = ") && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let everything = example.lines().map(|line| {
        let uncommented = line.strip_prefix("# ").filter(|rest| is_field(rest) || rest.starts_with('['));
        format!("{}\n", uncommented.unwrap_or(line))
    });
    let everything: Toml = toml::from_str(&everything.collect::<String>()).expect("an example of a configuration");
    let mut lines = Lines::new();
    add_fields("", &everything, &mut lines);
    assert!(lines.len() > 60, "only {} fields were found", lines.len());
    assert_unchanged("config.txt", &lines, |renames, parts| {
        let [path, value] = &parts[..] else { panic!("{parts:?} is not a field") };
        let table = |end: usize| renames.config.get(&path[..end]).map(|new| format!("{new}{}", &path[end..]));
        let of_table = path.match_indices('.').rev().find_map(|(end, _)| table(end));
        let new = renames.config.get(path).cloned().or(of_table);
        vec![new.unwrap_or_else(|| path.clone()), value.clone()]
    });
}

/// Collects the string literals in the code of a crate, without its tests.
fn collect_string_literals(folder: &str, found: &mut BTreeSet<String>) {
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).expect("a source file");
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                // Skip names of functions and serde rules, which are string literals only for technical reasons.
                let skipped = ["//", "#[serde(default", "#[serde(rename_all"];
                let code = code.lines().filter(|line| !skipped.iter().any(|one| line.trim_start().starts_with(one)));
                found.extend(code.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned));
            }
        }
    }
}

fn is_snake_case(word: &str) -> bool {
    word.contains('_')
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn metrics() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["api/src", "cli/src", "tenancy/src", "worker/src"] {
        collect_string_literals(folder, &mut found);
    }
    found.retain(|word| is_snake_case(word) && (word.starts_with("freehold_") || word.starts_with("http_server_")));
    found.retain(|word| {
        !["freehold_tenancy", "freehold_worker", "freehold_api", "freehold_account_id"].contains(&word.as_str())
    });
    found
}

fn renamed_metric(renames: &Renames, word: &str) -> Option<String> {
    let series = ["", "_bucket", "_count", "_sum"];
    series.iter().find_map(|one| Some(format!("{}{one}", renames.metrics.get(word.strip_suffix(one)?)?)))
}

#[test]
fn metrics_and_alerts_are_unchanged() {
    let mut lines: Lines = metrics().iter().map(|name| line(&["metric", name])).collect();
    let alerts: Yaml = serde_yaml_ng::from_str(&read("deploy/prometheus/alerts.yaml")).expect("alerts");
    let text = |value: &Yaml| serde_yaml_ng::to_string(value).expect("YAML").trim().to_owned();
    for rule in alerts["groups"]
        .as_sequence()
        .expect("groups")
        .iter()
        .flat_map(|group| group["rules"].as_sequence().expect("rules"))
    {
        let [name, expression, lasts, severity] =
            [&rule["alert"], &rule["expr"], &rule["for"], &rule["labels"]["severity"]].map(text);
        lines.insert(line(&["alert", &name, &expression, &lasts, &severity]));
    }
    assert_unchanged("metrics.txt", &lines, |renames, mut parts| {
        if parts[0] == "metric" {
            parts[1] = renamed_metric(renames, &parts[1]).unwrap_or_else(|| parts[1].clone());
        } else {
            parts[1] = Renames::new_name(&renames.alerts, "", &parts[1]);
            parts[2] = replace_words(&parts[2], |word| renamed_metric(renames, word));
        }
        parts
    });
}

/// Checks that each string literal in the frozen list, or its replacement, is still in the code. This includes
/// attention codes and keys of facts, which the other tests of this module do not check.
#[test]
fn no_frozen_string_literal_was_removed_from_the_code() {
    let mut found = BTreeSet::new();
    for folder in ["api/src", "tenancy/src", "worker/src"] {
        collect_string_literals(folder, &mut found);
    }
    found.retain(|word| is_snake_case(word));
    assert!(found.len() > 150, "only {} words were found", found.len());
    let path = super::renames::folder().join("frozen/words.txt");
    if !path.exists() && std::env::var_os("FREEZE_RECORD").is_some() {
        fs::write(&path, found.iter().flat_map(|word| [word.as_str(), "\n"]).collect::<String>())
            .expect("a frozen file");
    }
    let renames = Renames::read();
    let sections = [
        &renames.api_codes,
        &renames.api_fields,
        &renames.stored_fields,
        &renames.columns,
        &renames.database_names,
        &renames.tables,
        &renames.metrics,
        &renames.parameters,
        &renames.config,
    ];
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let replaced = |word: &str| {
        let mut renamed = sections.iter().flat_map(|section| section.iter()).filter(|(old, _)| last(old) == word);
        renamed.any(|(_, new)| found.contains(&last(new)))
    };
    let accepted = |word: &str| renames.accepted.iter().any(|one| one.file == "words.txt" && one.at == word);
    let words = read_frozen_file("words.txt");
    let missing: Vec<_> =
        words.lines().filter(|word| !found.contains(*word) && !replaced(word) && !accepted(word)).collect();
    assert!(
        missing.is_empty(),
        "these words were in quotes in the code and are not any more: {missing:?}. A code, or a key that is stored
            or sent, must \
         stay as it is or be listed in tests/tests/freeze/renames.toml; for a word that was never stored or sent, add \
         [[accepted]] with file = \"words.txt\" and at = the word."
    );
}
