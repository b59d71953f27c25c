//! Confirmation of destructive commands: a question on the terminal, or `--yes`.

use std::io::{self, IsTerminal};

use clap::Args;

use freehold_tenancy::unicode::comparable;

use crate::exit::Exit;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ConfirmationArgs {
    /// Skip the question; required without a terminal
    #[arg(long)]
    yes: bool,
}

/// Answer that confirms a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer<'a> {
    /// The answer `y` or `yes`, because the command can be undone or loses no data of a tenant.
    Yes,
    /// The company name of the tenant, because the command leads to the loss of data or of an account.
    CompanyName(&'a str),
}

impl ConfirmationArgs {
    /// Returns whether `--yes` is set.
    pub(crate) fn is_skipped(&self) -> bool {
        self.yes
    }

    /// Returns whether the command must ask a question. Fails without a terminal, unless `--yes` is set.
    pub(crate) fn must_ask(&self) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(false);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(true);
        }
        Err(Exit::Usage.error("the command asks for a confirmation, but there is no terminal; add --yes to run it"))
    }
}

/// Prints the consequences of a command and reads the answer from the terminal. Fails unless the answer confirms the
/// command.
pub(crate) fn confirm(consequences: &str, expected: Answer<'_>) -> anyhow::Result<()> {
    output::print_note(consequences);
    let mut answer = String::new();
    output::print_prompt(&match expected {
        Answer::Yes => "Continue? [y/N] ".to_owned(),
        Answer::CompanyName(name) => format!("Type the company name ({name}) to continue: "),
    });
    io::stdin().read_line(&mut answer)?;
    if expected.is_given_by(answer.trim()) {
        return Ok(());
    }
    Err(Exit::Failure.error("not confirmed; nothing was changed"))
}

impl Answer<'_> {
    fn is_given_by(self, text: &str) -> bool {
        match self {
            Self::Yes => ["y", "yes"].contains(&text.to_lowercase().as_str()),
            Self::CompanyName(name) => comparable(text).trim() == comparable(name).trim(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_answer_confirms() {
        for (answer, text, confirms) in [
            (Answer::Yes, "y", true),
            (Answer::Yes, "YES", true),
            (Answer::Yes, "", false),
            (Answer::Yes, "no", false),
            (Answer::CompanyName("Example GmbH"), "Example GmbH", true),
            (Answer::CompanyName("Example GmbH"), "example gmbh", false),
            (Answer::CompanyName("Example GmbH"), "y", false),
        ] {
            assert_eq!(answer.is_given_by(text), confirms, "{answer:?} {text:?}");
        }
    }
}
