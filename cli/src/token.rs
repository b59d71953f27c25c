//! `freehold token`: a token of the running sandbox. There is no such thing for a real installation.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_api::Scope;
use freehold_tenancy::TenantId;
use secrecy::ExposeSecret;

use crate::exit::Exit;
use crate::output;
use crate::sandbox::{Claims, Issuer, Running};

/// Print a token for the running sandbox
///
/// Real installations take the tokens of your own identity provider; this command makes none for them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    curl -H \"Authorization: Bearer $(freehold token)\" http://127.0.0.1:8080/v1/tenants\n  \
    freehold token --scope fleet --scope operations:read --ttl 15m --subject alice\n  \
    freehold token --scope tenants:read --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n\
A token needs the scope fleet, or the tenant whose it is: then it sees that tenant and nobody else.")]
pub(crate) struct TokenArgs {
    /// What it allows; may be given more than once [default: everything]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = str::parse::<Scope>)]
    scopes: Vec<Scope>,
    /// The one tenant that it is for, whatever its scopes
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// How long it lasts: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl)]
    ttl: Duration,
    /// Who it is for
    #[arg(long, value_name = "NAME", default_value = "you")]
    subject: String,
    /// The program that sends it
    #[arg(long, value_name = "NAME", default_value = "freehold-cli")]
    client: String,
}

fn ttl(text: &str) -> Result<Duration, String> {
    let wanted = "this is a number with s, m, h or d, such as 15m";
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(wanted)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wanted.to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| wanted)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    let sandbox = Running::find().context("no sandbox is running; start one with `freehold sandbox`")?;
    let scopes = if args.scopes.is_empty() { &Scope::ALL[..] } else { &args.scopes };
    let claims = Claims { subject: &args.subject, client: &args.client, scopes, tenant: args.tenant, ttl: args.ttl };
    output::line(Issuer::with_key(&sandbox.key)?.sign(&claims)?.expose_secret())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(ttl("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(ttl("7d"), Ok(Duration::from_hours(168)));
        for text in ["", "m", "15", "1.5h", "-1h", "1w", "15µ"] {
            assert!(ttl(text).is_err(), "{text} was taken for a time");
        }
    }
}
