//! Tests of the help texts, the list of steps and the example configuration.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::Command;
use freehold_tenancy::Config;

use super::process::{freehold, text};

#[test]
fn the_help_of_every_command_has_an_example() {
    let mut commands = vec![("freehold".to_owned(), freehold::command())];
    let mut snapshots = BTreeSet::new();
    while let Some((name, command)) = commands.pop() {
        let mut command = command.term_width(100).bin_name(name.clone());
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example") || name == "freehold", "`{name} --help` has no example");
        snapshots.insert(format!("{}.snap", name.replace(' ', "-")));
        insta::with_settings!({
            snapshot_path => "help",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.replace(' ', "-"), help);
        });
        commands.extend(command.get_subcommands().map(|one: &Command| {
            let name = format!("{name} {}", one.get_name());
            (name, one.clone())
        }));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), snapshots, "a snapshot of a command that does not exist");
}

/// Returns the words of the first command of a line of shell, without quotes and redirections.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '&' | '#') => break,
            // An explanation follows after several spaces.
            (None, ' ') if word.is_none() && !words.is_empty() => break,
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_examples_of_the_help_texts_are_valid() {
    let (mut commands, mut examples) = (vec![freehold::command()], 0);
    while let Some(command) = commands.pop() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut lines = help.split("\\\n").map(str::trim_end);
        let first = lines.next().unwrap_or_default().to_owned();
        let help = lines.fold(first, |help, line| format!("{help} {}", line.trim_start()));
        for example in help.lines().filter(|line| line.starts_with("  freehold ")) {
            let parsed = freehold::command().try_get_matches_from(words(example));
            assert!(parsed.is_ok(), "{example}\n{}", parsed.unwrap_err());
            examples += 1;
        }
        commands.extend(command.get_subcommands().cloned());
    }
    assert!(examples > 100, "only {examples} examples were found");
}

#[test]
fn the_list_of_steps_contains_the_undo_of_each_step() {
    let steps = freehold(&["worker", "steps"]);
    assert!(steps.status.success());
    insta::with_settings!({ snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("steps", text(&steps.stdout));
    });
}

#[test]
fn the_example_configuration_is_valid() {
    let example = include_str!("../../../freehold.example.toml");
    Config::parse(example).unwrap();
    // Lines that are commented out show defaults, which must be valid.
    let everything = example.lines().map(|line| {
        let is_field = line
            .strip_prefix("# ")
            .filter(|field| !field.starts_with(' ') && field.contains(" = ") && !field.contains('…'));
        is_field.unwrap_or(line).to_owned() + "\n"
    });
    Config::parse(&everything.collect::<String>().replace("# [", "[")).unwrap();
    // Indented lines show the other form of the issuers.
    let (single_issuer, others) =
        example.split_once("[api]\n").and_then(|(_, rest)| rest.split_once("\n[api.roles]\n")).unwrap();
    let several_issuers = example.replace(single_issuer, "").replace("\n#   ", "\n");
    assert!(others.contains("#   [[api.issuers]]"));
    assert_eq!(Config::parse(&several_issuers).unwrap().api.issuers.len(), 1);
}
