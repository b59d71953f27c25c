//! Help texts, the list of steps and the example configuration.

use clap::Command;
use freehold_tenancy::Config;

use super::process::{freehold, text};

#[test]
fn the_help_of_every_command_has_an_example() {
    let mut commands = vec![("freehold".to_owned(), freehold::command())];
    while let Some((name, command)) = commands.pop() {
        let mut command = command.term_width(100).bin_name(name.clone());
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example") || name == "freehold", "`{name} --help` has no example");
        insta::with_settings!({ snapshot_path => "help", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.replace(' ', "-"), help);
        });
        commands.extend(command.get_subcommands().map(|one: &Command| {
            let name = format!("{name} {}", one.get_name());
            (name, one.clone())
        }));
    }
}

#[test]
fn the_list_of_steps_names_the_undo_of_each() {
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
    // Commented lines show defaults, which must be valid.
    let everything = example.lines().map(|line| {
        let is_field = line.strip_prefix("# ").filter(|field| field.contains(" = ") && !field.contains('…'));
        is_field.unwrap_or(line).to_owned() + "\n"
    });
    Config::parse(&everything.collect::<String>().replace("# [", "[")).unwrap();
}
