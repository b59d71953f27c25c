//! Secrets on the command line. Other users of a machine can read the command line of a process, so each secret can
//! also come from a file, an environment variable or the standard input.

use std::io::{self, BufRead, Read};
use std::path::Path;

use anyhow::Context;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::output;

/// Maximum length of a secret from the standard input, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Parses the value of an option with a secret. The value `-` means the first line of the standard input.
pub(crate) fn parse(text: &str) -> Result<SecretString, String> {
    if text != "-" {
        return Ok(text.into());
    }
    let mut line = String::new();
    let read = io::BufReader::new(io::stdin().lock().take(MAX_SECRET_BYTES)).read_line(&mut line);
    read.map_err(|error| format!("cannot read the standard input: {error}"))?;
    non_empty(&line).ok_or_else(|| "the first line of the standard input must not be empty".to_owned())
}

/// Reads a secret from a file, without the whitespace around it.
pub(crate) fn read_file(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    non_empty(&text).with_context(|| format!("{} must contain the token", path.display()))
}

fn non_empty(text: &str) -> Option<SecretString> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(Into::into)
}

/// Returns whether the secret is an argument of this process. The arguments of a process are visible to other users.
pub(crate) fn is_argument(secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    std::env::args_os().any(|argument| {
        let argument = argument.to_string_lossy();
        argument == secret || argument.split_once('=').is_some_and(|(_, value)| value == secret)
    })
}

/// Warns if a database URL with a password is an argument of this process.
pub(crate) fn warn_about_password(database_url: &SecretString) {
    let has_password = Url::parse(database_url.expose_secret()).is_ok_and(|url| url.password().is_some());
    if has_password && is_argument(database_url) {
        output::print_note(
            "warning: other users of this machine can read the password in --database-url; use --database-url - (first \
             line of the standard input) or the configuration",
        );
    }
}
