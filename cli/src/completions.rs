//! `freehold completions`: print the completion script of a shell.

use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    source <(freehold completions bash)\n  \
    freehold completions bash > /etc/bash_completion.d/freehold\n  \
    freehold completions zsh > ~/.zfunc/_freehold\n  \
    freehold completions fish > ~/.config/fish/completions/freehold.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "freehold", &mut script);
    output::write_export(&script)?;
    Ok(Exit::Success)
}
