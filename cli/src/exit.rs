//! Exit codes, and errors that carry an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use freehold_worker::cloud::CloudError;

use crate::output;

/// Help text section that lists the exit codes.
macro_rules! exit_codes {
    () => {
        "Exit codes:\n  \
         0  success\n  \
         1  failure\n  \
         2  invalid command line\n  \
         3  a tenant or an operation needs attention\n  \
         4  not found\n  \
         5  the API is unreachable or unavailable\n  \
         6  the token is missing, invalid or lacks a scope"
    };
}
pub(crate) use exit_codes;

/// Result of a command. Each variant has its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failure,
    Usage,
    NeedsAttention,
    NotFound,
    Unreachable,
    TokenRejected,
    /// A signed document is not valid, or says that something is not in order.
    NotVerified,
}

impl Exit {
    /// Creates an error with this exit code.
    pub(crate) fn error(self, message: impl Into<String>) -> anyhow::Error {
        ExitError { exit: self, message: message.into() }.into()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::NeedsAttention | Exit::NotVerified => 3,
            Exit::NotFound => 4,
            Exit::Unreachable => 5,
            Exit::TokenRejected => 6,
        })
    }
}

/// Error with a specific exit code. Other errors exit with [`Exit::Failure`].
#[derive(Debug)]
pub(crate) struct ExitError {
    pub(crate) exit: Exit,
    message: String,
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExitError {}

/// Prints the error of a failed command and returns the exit code.
pub(crate) fn report(result: anyhow::Result<Exit>) -> Exit {
    let error = match result {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    // A closed pipe, as in `freehold tenants list | head`, is not a failure.
    let is_broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_broken_pipe) {
        return Exit::Success;
    }
    output::print_note(format!("error: {}", error_message(&error)));
    error.chain().find_map(|cause| cause.downcast_ref::<ExitError>()).map_or(Exit::Failure, |error| error.exit)
}

/// Joins the messages of an error and its causes, and adds AWS's id of the request that failed. A cause that the
/// message already contains is not repeated.
fn error_message(error: &anyhow::Error) -> String {
    let message = error.chain().map(ToString::to_string).fold(String::new(), |message, cause| match message {
        message if message.is_empty() => cause,
        message if message.contains(&cause) => message,
        message => format!("{message}: {cause}"),
    });
    let aws_request_id = error.chain().find_map(|cause| cause.downcast_ref::<CloudError>()?.request_id.as_ref());
    match aws_request_id {
        Some(id) => format!("{message} (AWS request {id})"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_with_context_keeps_its_exit_code() {
        let error = Err(Exit::NotFound.error("no such tenant")).context("showing the tenant");
        assert_eq!(report(error), Exit::NotFound);
        assert_eq!(report(Err(anyhow::anyhow!("plain"))), Exit::Failure);
    }

    #[test]
    fn a_broken_pipe_is_not_a_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(report(Err(error)), Exit::Success);
    }

    #[test]
    fn an_error_message_does_not_repeat_a_cause() {
        let cause = anyhow::anyhow!("connection refused").context("no database: connection refused");
        assert_eq!(error_message(&cause), "no database: connection refused");
        assert_eq!(error_message(&anyhow::anyhow!("b").context("a")), "a: b");
    }
}
