//! `freehold token`: sign a token for the running sandbox. Real installations use their own identity provider.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_api::Scope;
use freehold_tenancy::TenantId;
use reqwest::Url;
use secrecy::ExposeSecret;

use crate::exit::Exit;
use crate::output;
use crate::sandbox::{Claims, Issuer, RunningSandbox};

/// Print an access token for the running sandbox
///
/// Real installations accept the tokens of your identity provider; this command cannot create tokens for them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    curl -H \"Authorization: Bearer $(freehold token)\" http://127.0.0.1:8080/v1/tenants\n  \
    freehold token --scope fleet --scope operations:read --ttl 15m --subject alice\n  \
    freehold token --scope tenants:read --tenant ten_01k2m8v3x9e7rt4s5q6w7y8z9b\n\n\
A token needs the scope fleet (access to all tenants) or a tenant (access to that tenant only).")]
pub(crate) struct TokenArgs {
    /// Scope of the token; repeatable [default: all scopes]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = str::parse::<Scope>)]
    scopes: Vec<Scope>,
    /// Limit the token to the tenant with this id (ten_…)
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Lifetime of the token, e.g. 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
    /// Name of the person or program that the token identifies (claim sub)
    #[arg(long, value_name = "NAME", default_value = "you")]
    subject: String,
    /// Id of the client that sends the token (claim client_id)
    #[arg(long, value_name = "NAME", default_value = "freehold-cli")]
    client: String,
    /// URL of the sandbox's API [default: the only running sandbox]
    #[arg(long, value_name = "URL", env = "FREEHOLD_API_URL", hide_env_values = true)]
    api_url: Option<Url>,
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let error = "must be a number with the unit s, m, h or d, e.g. 15m";
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(error)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error.to_owned()),
    };
    let number: u32 = number.parse().map_err(|_| error)?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    let sandbox = match &args.api_url {
        Some(url) => RunningSandbox::with_api(url).with_context(|| format!("no sandbox is running at {url}"))?,
        None => RunningSandbox::only("--api-url or FREEHOLD_API_URL")?
            .context("no sandbox is running; start one with `freehold sandbox`")?,
    };
    let scopes = if args.scopes.is_empty() { &Scope::ALL[..] } else { &args.scopes };
    let claims = Claims { subject: &args.subject, client: &args.client, scopes, tenant: args.tenant, ttl: args.ttl };
    output::print_line(Issuer::with_key(&sandbox.key)?.sign(&claims)?.expose_secret())?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_and_a_unit() {
        assert_eq!(parse_ttl("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(parse_ttl("7d"), Ok(Duration::from_hours(168)));
        for text in ["", "m", "15", "1.5h", "-1h", "1w", "15µ"] {
            assert!(parse_ttl(text).is_err(), "{text} was accepted");
        }
    }
}
