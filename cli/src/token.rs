//! `freehold token`: sign a token for the running sandbox. Real installations use their own identity provider.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use freehold_api::Scope;
use freehold_tenancy::TenantId;
use reqwest::Url;
use secrecy::ExposeSecret;

use crate::duration_arg;
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
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration_arg::parse)]
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
