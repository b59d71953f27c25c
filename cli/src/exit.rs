//! How the program ends: its exit codes, and errors that carry one.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output;

/// The exit codes, as every help that needs them shows them.
macro_rules! exit_codes {
    () => {
        "Exit codes:\n  \
         0  done\n  \
         1  failed\n  \
         2  the command line is wrong\n  \
         3  a tenant or an operation needs attention\n  \
         4  not found\n  \
         5  the API cannot be reached, or cannot serve now\n  \
         6  the API does not accept the token"
    };
}
pub(crate) use exit_codes;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    NeedsAttention,
    NotFound,
    Unreachable,
    TokenRefused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NeedsAttention => 3,
            Exit::NotFound => 4,
            Exit::Unreachable => 5,
            Exit::TokenRefused => 6,
        })
    }
}

/// An error that ends the program with a code of its own.
#[derive(Debug)]
pub(crate) struct ExitError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl ExitError {
    pub(crate) fn because(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        Self { exit, message: message.into() }.into()
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExitError {}

/// Tells of an error and answers how to end.
pub(crate) fn end(ended: anyhow::Result<Exit>) -> Exit {
    let error = match ended {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    // `freehold tenants list | head` is not a failure.
    let reader_left = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(reader_left) {
        return Exit::Done;
    }
    output::note(format!("error: {}", told(&error)));
    error.chain().find_map(|cause| cause.downcast_ref::<ExitError>()).map_or(Exit::Failed, |ended| ended.exit)
}

/// The error and its causes; many errors tell their cause themselves, and none is told twice.
fn told(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told {
        told if told.is_empty() => cause,
        told if told.contains(&cause) => told,
        told => format!("{told}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_keeps_its_code_whatever_is_said_around_it() {
        let error = Err(ExitError::because(Exit::NotFound, "no such tenant")).context("showing the tenant");
        assert_eq!(end(error), Exit::NotFound);
        assert_eq!(end(Err(anyhow::anyhow!("plain"))), Exit::Failed);
    }

    #[test]
    fn a_reader_that_leaves_early_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(end(Err(error)), Exit::Done);
    }

    #[test]
    fn no_cause_is_told_twice() {
        let cause = anyhow::anyhow!("connection refused").context("no database: connection refused");
        assert_eq!(told(&cause), "no database: connection refused");
        assert_eq!(told(&anyhow::anyhow!("b").context("a")), "a: b");
    }
}
