//! Loads and validates the configuration for all commands, and implements `freehold config check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use freehold_tenancy::config::{CheckedConfig, ConfigError};
use freehold_tenancy::{Clock, Config};
use freehold_worker::aws::{Aws, Connection};
use freehold_worker::template::check::{self as template_check, TemplateReport};
use freehold_worker::template::validate_in_aws;

use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

/// Maximum time to get configured AWS credentials, for example from an identity provider.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time to get the credentials of the machine, which answers at once if it has any.
const MACHINE_CREDENTIALS_TIMEOUT: Duration = Duration::from_millis(700);

/// Check the configuration of an installation
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold config check --config freehold.toml")]
pub(crate) struct ConfigCommandArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Check(CheckArgs),
}

/// Check configuration and template, without database
///
/// Compares all values and the CloudFormation template with the limits of AWS, so that AWS does not refuse them after
/// an account has been created. Prints one line for each problem: the name of the field, and what it must be. The
/// commands api, worker, migrate, bootstrap, reconcile and sandbox do not start with a configuration that has a
/// problem. With AWS credentials of the management account, or credentials that may assume the control role,
/// CloudFormation also validates the template in each region; nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold config check\n  \
    freehold config check --offline\n  \
    freehold config check --config staging.toml && freehold bootstrap --config staging.toml --plan\n\n\
    Exit codes:\n  \
    0  the configuration is valid\n  \
    2  the configuration has problems, or invalid command line")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Do not call AWS
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(args: ConfigCommandArgs) -> anyhow::Result<Exit> {
    match args.command {
        ConfigCommand::Check(args) => check(&args.config.config, args.offline).await,
    }
}

async fn check(path: &Path, offline: bool) -> anyhow::Result<Exit> {
    let (config, report) = match load_with_report(path) {
        Ok(valid) => valid,
        Err(ConfigError::Inconsistent(problems)) => {
            return print_problems(path, &problems);
        }
        Err(error) => {
            output::print_line(error.to_string().replace('\n', " "))?;
            return Ok(Exit::Usage);
        }
    };
    for warning in warnings(&config, &report) {
        output::print_note(format!("warning: {warning}"));
    }
    let in_aws = if offline { AwsCheck::Skipped("--offline".to_owned()) } else { validate_in_aws(&config).await };
    let validated = match in_aws {
        AwsCheck::Refused(problems) => return print_problems(path, &problems),
        AwsCheck::Accepted(regions) => format!("validated by AWS in {regions} regions"),
        AwsCheck::Skipped(reason) => {
            output::print_note(format!("the template is not validated by AWS: {reason}"));
            "not validated by AWS".to_owned()
        }
    };
    let template =
        config.stack.template.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
    output::print_line(format!(
        "{} is valid: residencies {}, regions {}, tiers {}, permission sets {}, template {template} ({} bytes, \
         {validated})",
        path.display(),
        config.residencies.len(),
        config.residencies.iter().map(|residency| residency.regions.len()).sum::<usize>(),
        config.tiers.len(),
        config.permission_sets.len(),
        report.bytes,
    ))?;
    Ok(Exit::Success)
}

fn print_problems(path: &Path, problems: &[String]) -> anyhow::Result<Exit> {
    for problem in problems {
        output::print_line(problem.replace('\n', " "))?;
    }
    let plural = if problems.len() == 1 { "" } else { "s" };
    output::print_note(format!("{}: {} problem{plural}", path.display(), problems.len()));
    Ok(Exit::Usage)
}

/// Outcome of the validation of the templates by AWS.
enum AwsCheck {
    /// Number of regions whose CloudFormation accepts the template.
    Accepted(usize),
    Refused(Vec<String>),
    /// Reason why AWS was not asked.
    Skipped(String),
}

async fn validate_in_aws(config: &Config) -> AwsCheck {
    let connect = async {
        let connection = Connection::from_environment().await.map_err(|error| error.to_string())?;
        connection.check_credentials().await?;
        Ok::<_, String>(connection)
    };
    // Without any setting, the SDK would search for the credentials of a machine for several seconds.
    let limit = if has_aws_settings() { CREDENTIALS_TIMEOUT } else { MACHINE_CREDENTIALS_TIMEOUT };
    let connection = match tokio::time::timeout(limit, connect).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(reason)) => return AwsCheck::Skipped(reason),
        Err(_) => return AwsCheck::Skipped("no AWS credentials were found; set AWS_PROFILE, for example".to_owned()),
    };
    let aws = Aws::connect(Arc::new(config.clone()), Clock::real(), None, connection);
    match validate_in_aws::validate(&aws, config).await {
        Ok(report) => {
            for skipped in report.skipped {
                output::print_note(format!("warning: {skipped}"));
            }
            if report.problems.is_empty() {
                AwsCheck::Accepted(report.accepted)
            } else {
                AwsCheck::Refused(report.problems)
            }
        }
        Err(error) => AwsCheck::Skipped(error.to_string()),
    }
}

/// Returns whether the environment or a file of the `aws` command configures credentials.
fn has_aws_settings() -> bool {
    let variables = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    let containers = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    variables.iter().chain(&containers).any(is_set)
        || [".aws/credentials", ".aws/config"].iter().any(|file| home.join(file).is_file())
}

/// Loads the configuration of a real installation and validates it with its template.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    load_with_report(path).map(|(config, _)| config)
}

/// Like [`load`], but also returns the report on the template.
pub(crate) fn load_with_report(path: &Path) -> Result<(Config, TemplateReport), ConfigError> {
    validate(Config::check_file(path)?)
}

/// Performs the validations that other crates implement: the scopes of roles, and the template. Fails if there is any
/// problem.
pub(crate) fn validate(checked: CheckedConfig) -> Result<(Config, TemplateReport), ConfigError> {
    let CheckedConfig { config, mut problems } = checked;
    let mut report = TemplateReport::default();
    if let Some(config) = &config {
        problems.extend(freehold_api::config_problems(&config.api));
        report = template_check::check(config);
        problems.append(&mut report.problems);
    }
    let config = CheckedConfig { config, problems }.into_config()?;
    Ok((config, report))
}

/// Returns warnings about a valid configuration, for example about its limitations.
fn warnings(config: &Config, report: &TemplateReport) -> Vec<String> {
    let mut warnings = report.warnings.clone();
    let issuers = config.api.token_issuers();
    for (name, is_missing) in [
        ("issuer", issuers.iter().all(|(_, issuer)| issuer.issuer.is_empty())),
        ("jwks", issuers.iter().all(|(_, issuer)| issuer.jwks.is_empty())),
    ] {
        if is_missing {
            warnings.push(format!("api.{name}: must be set for `freehold api`"));
        }
    }
    let has_roles_claim = issuers.iter().any(|(_, issuer)| issuer.roles_claim.is_some());
    if !config.api.roles.is_empty() && !issuers.is_empty() && !has_roles_claim {
        warnings.push("api.roles: grants no scopes, because no entry of [[api.issuers]] has roles_claim".to_owned());
    }
    warnings
}
