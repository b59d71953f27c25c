//! Number of file handles that the process may open.

use anyhow::{Context, bail};
use freehold_api::required_file_handles;
use freehold_tenancy::config::ApiLimits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of file handles that the process may open to the number that the configured connections need.
///
/// Fails if the operating system does not allow that many.
pub(crate) fn raise_limit(limits: &ApiLimits) -> anyhow::Result<()> {
    let needed = required_file_handles(limits);
    let (current, maximum) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of file handles")?;
    if current >= needed {
        return Ok(());
    }
    if maximum < needed {
        bail!(
            "api.limits.max_connections: {} connections need {needed} file handles, but the process may open at most \
             {maximum}; set a lower value, or raise the limit (ulimit -Hn, LimitNOFILE of systemd, nofile of the \
             container)",
            limits.max_connections
        );
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, maximum).context("cannot raise the limit of file handles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_above_the_limit_of_file_handles_is_refused() {
        let (_, maximum) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let result = raise_limit(&ApiLimits { max_connections: u32::MAX, ..ApiLimits::default() });
        if maximum > u64::from(u32::MAX) + 1000 {
            return;
        }
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("api.limits.max_connections: 4294967295 connections need"), "{message}");
        raise_limit(&ApiLimits { max_connections: 10, max_streams: 10, ..ApiLimits::default() }).unwrap();
    }
}
