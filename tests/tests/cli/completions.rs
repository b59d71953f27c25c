//! Tests of the completion scripts and the manual pages.

use std::fs;

use clap::Command;

use super::process::{freehold, run_bash_line, text};

#[test]
fn a_shell_completes_commands_and_options() {
    let completed = run_bash_line(
        "source <(\"$FREEHOLD\" completions bash) && COMP_WORDS=(freehold tenants offb) && COMP_CWORD=2 \
         && _freehold freehold offb tenants && echo \"${COMPREPLY[@]}\" && complete -p freehold",
    );
    let output = text(&completed.stdout);
    assert_eq!(completed.status.code(), Some(0), "{output}{}", text(&completed.stderr));
    assert_eq!(output.lines().next(), Some("offboard"), "{output}");
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        let script = freehold(&["completions", shell]);
        assert_eq!(script.status.code(), Some(0));
        assert!(text(&script.stdout).contains("change-regions"), "{shell}");
    }
    assert_eq!(freehold(&["completions", "cmd"]).status.code(), Some(2));
}

/// Returns the name of the manual page of each command.
fn pages(name: &str, command: &Command, found: &mut Vec<String>) {
    found.push(format!("{name}.1"));
    for one in command.get_subcommands() {
        pages(&format!("{name}-{}", one.get_name()), one, found);
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("man1");
    let written = freehold(&["man", folder.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    let mut expected = Vec::new();
    pages("freehold", &freehold::command(), &mut expected);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    expected.sort();
    files.sort();
    assert_eq!(files, expected);
    let page = fs::read_to_string(folder.join("freehold-tenants-offboard.1")).unwrap();
    for part in [".TH", "Offboard a tenant", "\\-\\-close\\-account", "Exit codes"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let failed = freehold(&["man", "/dev/null"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("/dev/null"), "{}", text(&failed.stderr));
}
