//! `freehold access`: run a command with a person's own credentials of an environment's AWS account.
//!
//! The person signs in through IAM Identity Center, so AWS records the person, and not Freehold. The credentials are
//! only in the environment of the command; the token cache of the aws CLI has the access token of the access portal.

mod credentials;
mod sign_in;
mod token_cache;

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context;
use clap::Args;
use freehold_api::schema::{Environment, Tenant};
use freehold_tenancy::{AwsAccountId, Clock, Region};
use freehold_worker::access_portal::RoleCredentials;
use freehold_worker::aws::Portal;
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::{ApiClient, ClientArgs};
use crate::exit::{Exit, exit_codes};
use crate::output;
use crate::tenant_reference::TenantReference;
use crate::tenants::get_tenant;
use token_cache::TokenCache;

/// Variables that would make an AWS client use other credentials, another account or another endpoint.
const REMOVED_VARIABLES: [&str; 12] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_ACCOUNT_ID",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

const COMMAND_EXAMPLE: &str = "freehold access 'Example GmbH' -- aws cloudformation list-stacks";

/// Run a command in the AWS account of an environment, as yourself
#[derive(Debug, Args)]
// The command has no output of its own.
#[command(mut_arg("output", |arg| arg.hide(true)), mut_arg("wide", |arg| arg.hide(true)))]
#[command(after_help = concat!(
    "Signs you in through IAM Identity Center: open the printed URL, compare the code and approve it. The command gets \
     the credentials of your role in its environment variables (AWS_ACCESS_KEY_ID and others), with AWS_REGION set to \
     the home region. The access token is stored in the token cache of the aws CLI \
     (~/.aws/sso/cache), so that you sign in once per session. The exit code is that of the command.\n\n",
    "Examples:\n  ",
    "freehold access 'Example GmbH' -- aws cloudformation list-stacks\n  ",
    "freehold access ten_01k2m8v3x9e7rt4s5q6w7y8z9b staging --role support -- bash\n\n",
    exit_codes!(),
))]
pub(crate) struct AccessArgs {
    /// Tenant: id (ten_…), company name, administrator e-mail, external id or AWS account id
    #[arg(value_name = "TENANT")]
    tenant: TenantReference,
    /// Name of the environment [default: the only environment with an AWS account]
    #[arg(value_name = "ENV")]
    environment: Option<String>,
    /// Role, named like its permission set [default: your only role in the account]
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// Start URL of the access portal, such as https://d-1234567890.awsapps.com/start [default: that of the running
    /// sandbox]
    #[arg(long, value_name = "URL", env = "FREEHOLD_SSO_START_URL", hide_env_values = true)]
    #[arg(value_parser = parse_start_url)]
    start_url: Option<String>,
    /// Region of IAM Identity Center [default: that of the running sandbox]
    #[arg(long, value_name = "REGION", env = "FREEHOLD_SSO_REGION", hide_env_values = true)]
    sso_region: Option<Region>,
    /// Command with its arguments, after --
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Access portal that a person signs in to.
struct PortalTarget {
    start_url: String,
    region: Region,
    /// URL of the simulated AWS; `None` for the real one.
    endpoint: Option<String>,
}

/// Account of an environment.
struct AccountTarget {
    id: AwsAccountId,
    region: String,
    /// Words that name the environment, such as `environment production of Example GmbH`.
    description: String,
    tenant: String,
}

pub(crate) async fn run(args: AccessArgs) -> anyhow::Result<Exit> {
    if args.command.is_empty() {
        return Err(Exit::Usage.error(format!("COMMAND: must be given after --, e.g. {COMMAND_EXAMPLE}")));
    }
    let api = args.client.api_client()?;
    let target = portal_target(&args, &api)?;
    let tenant = get_tenant(&api, &args.tenant.resolve(&api).await?).await?;
    let account = account_target(&tenant, args.environment.as_deref())?;
    let portal = match &target.endpoint {
        Some(endpoint) => Portal::loopback(target.region, endpoint)?,
        None => Portal::in_region(target.region),
    };
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.context("HOME must be set to your home directory, which has the token cache of the aws CLI")?;
    let cache = TokenCache::new(home.as_ref(), &target.start_url, target.region);
    let session =
        sign_in::SignIn { portal: &portal, cache: &cache, start_url: &target.start_url, clock: Clock::real() };
    // Installed before the note about Ctrl-C is printed, and in effect until the command starts.
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot handle Ctrl-C")?;
    let credentials = tokio::select! {
        credentials = credentials::get(&session, &account, args.role.as_deref()) => credentials?,
        _ = interrupts.recv() => {
            return Err(Exit::Failure.error("the sign-in was cancelled; the command was not run"));
        }
    };
    let Err(error) = execute(&args.command, &account.region, &credentials, target.endpoint.as_deref());
    let program = args.command[0].to_string_lossy();
    Err(Exit::Failure.error(format!("cannot run {program}: {error}")))
}

/// Replaces this process by the command, which keeps the exit code and the signals of the command. Returns only if the
/// command cannot be started.
fn execute(
    command: &[OsString],
    region: &str,
    credentials: &RoleCredentials,
    endpoint: Option<&str>,
) -> Result<Infallible, std::io::Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let mut process = Command::new(program);
    process.args(arguments);
    for name in REMOVED_VARIABLES {
        process.env_remove(name);
    }
    // Requests with a person's credentials must not go to an endpoint that was set for something else.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_ENDPOINT_URL") {
            process.env_remove(name);
        }
    }
    process
        .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.expose_secret())
        .env("AWS_SESSION_TOKEN", credentials.session_token.expose_secret())
        .env("AWS_REGION", region)
        .env("AWS_DEFAULT_REGION", region);
    if let Some(endpoint) = endpoint {
        process.env("AWS_ENDPOINT_URL", endpoint);
    }
    Err(process.exec())
}

/// Returns the account of an environment.
fn account_target(tenant: &Tenant, name: Option<&str>) -> anyhow::Result<AccountTarget> {
    let environment = match name {
        Some(name) => named_environment(tenant, name)?,
        None => only_environment(tenant)?,
    };
    let description = format!("environment {} of {}", environment.name, tenant.company_name);
    let Some(account) = &environment.aws_account_id else {
        return Err(Exit::NotFound
            .error(format!("the {description} has no AWS account; `freehold tenants show {}` says why", tenant.id)));
    };
    let id = account.parse().ok().with_context(|| format!("{account} is not the id of an AWS account"))?;
    Ok(AccountTarget { id, region: environment.home_region.clone(), description, tenant: tenant.id.clone() })
}

fn named_environment<'a>(tenant: &'a Tenant, name: &str) -> anyhow::Result<&'a Environment> {
    let found = tenant.environments.iter().find(|environment| environment.name == name);
    found.ok_or_else(|| {
        let (company, names) = (&tenant.company_name, environment_names(tenant));
        Exit::NotFound.error(format!("{company} has no environment {name}; its environments: {names}"))
    })
}

/// Returns the only environment with an account.
fn only_environment(tenant: &Tenant) -> anyhow::Result<&Environment> {
    let Tenant { id, company_name: company, .. } = tenant;
    let mut with_account = tenant.environments.iter().filter(|environment| environment.aws_account_id.is_some());
    match (with_account.next(), with_account.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Exit::NotFound
            .error(format!("no environment of {company} has an AWS account; `freehold tenants show {id}` says why"))),
        (Some(_), Some(_)) => Err(Exit::Usage.error(format!(
            "ENV: must be given, because {company} has several environments: {}",
            environment_names(tenant)
        ))),
    }
}

fn environment_names(tenant: &Tenant) -> String {
    let names: Vec<_> = tenant.environments.iter().map(|environment| environment.name.as_str()).collect();
    names.join(", ")
}

#[cfg(feature = "sandbox")]
fn portal_target(args: &AccessArgs, api: &ApiClient) -> anyhow::Result<PortalTarget> {
    match crate::sandbox::RunningSandbox::with_api(&Url::parse(api.url())?) {
        Some(sandbox) => Ok(PortalTarget {
            start_url: args.start_url.clone().unwrap_or(sandbox.start_url),
            region: args.sso_region.unwrap_or(sandbox.sso_region),
            endpoint: Some(sandbox.aws_url),
        }),
        None => real_portal(args),
    }
}

#[cfg(not(feature = "sandbox"))]
fn portal_target(args: &AccessArgs, _: &ApiClient) -> anyhow::Result<PortalTarget> {
    real_portal(args)
}

/// Returns the access portal of the options.
fn real_portal(args: &AccessArgs) -> anyhow::Result<PortalTarget> {
    let missing = |option: &str, variable: &str, place: &str| {
        Exit::Usage.error(format!("{option}: must be set, or {variable}; the console of IAM Identity Center {place}"))
    };
    let start_url = args.start_url.clone().ok_or_else(|| {
        missing("--start-url", "FREEHOLD_SSO_START_URL", "shows it under Settings as the AWS access portal URL")
    })?;
    let region = args
        .sso_region
        .ok_or_else(|| missing("--sso-region", "FREEHOLD_SSO_REGION", "shows the region under Settings"))?;
    Ok(PortalTarget { start_url, region, endpoint: None })
}

/// Checks a start URL. The text is not changed, because the aws CLI names its cache file after it.
fn parse_start_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_valid = Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https" && url.host_str().is_some() && url.username().is_empty() && url.password().is_none()
    });
    let example = "must be an https:// URL, such as https://d-1234567890.awsapps.com/start";
    if is_valid { Ok(text.to_owned()) } else { Err(example.to_owned()) }
}

/// Prints a note that is not part of the output of the command.
fn note(text: impl AsRef<str>) {
    output::print_note(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_url_is_kept_as_it_is() {
        for url in ["https://d-1234567890.awsapps.com/start", "https://example.awsapps.com/start/#/"] {
            assert_eq!(parse_start_url(url).as_deref(), Ok(url));
        }
        for url in ["http://d-1.awsapps.com/start", "d-1.awsapps.com", "https://ann:x@d-1.awsapps.com/start", ""] {
            assert!(parse_start_url(url).is_err(), "{url}");
        }
    }
}
