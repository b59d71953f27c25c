//! Loads and validates the configuration for all commands, and implements `freehold config check`.

use std::path::Path;

use clap::{Args, Subcommand};
use freehold_tenancy::Config;
use freehold_tenancy::config::{CheckedConfig, ConfigError};
use freehold_worker::template::check::{self as template_check, TemplateReport};

use crate::exit::Exit;
use crate::output;
use crate::serve::ConfigArgs;

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

/// Check configuration and template, without database and without AWS
///
/// Compares all values and the CloudFormation template with the limits of AWS, so that AWS does not refuse them after
/// an account has been created. Prints one line for each problem: the name of the field, and what it must be. The
/// commands api, worker, migrate, bootstrap, reconcile and sandbox do not start with a configuration that has a
/// problem.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    freehold config check\n  \
    freehold config check --config staging.toml && freehold bootstrap --config staging.toml --plan\n\n\
    Exit codes:\n  \
    0  the configuration is valid\n  \
    2  the configuration has problems, or invalid command line")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(crate) fn run(args: ConfigCommandArgs) -> anyhow::Result<Exit> {
    match args.command {
        ConfigCommand::Check(args) => check(&args.config.config),
    }
}

fn check(path: &Path) -> anyhow::Result<Exit> {
    let (config, report) = match load_with_report(path) {
        Ok(valid) => valid,
        Err(ConfigError::Inconsistent(problems)) => {
            for problem in &problems {
                output::print_line(problem.replace('\n', " "))?;
            }
            let plural = if problems.len() == 1 { "" } else { "s" };
            output::print_note(format!("{}: {} problem{plural}", path.display(), problems.len()));
            return Ok(Exit::Usage);
        }
        Err(error) => {
            output::print_line(error.to_string().replace('\n', " "))?;
            return Ok(Exit::Usage);
        }
    };
    for warning in warnings(&config, &report) {
        output::print_note(format!("warning: {warning}"));
    }
    let template =
        config.stack.template.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
    output::print_line(format!(
        "{} is valid: residencies {}, regions {}, tiers {}, permission sets {}, template {template} ({} bytes)",
        path.display(),
        config.residencies.len(),
        config.residencies.iter().map(|residency| residency.regions.len()).sum::<usize>(),
        config.tiers.len(),
        config.permission_sets.len(),
        report.bytes,
    ))?;
    Ok(Exit::Success)
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
    for (name, value) in [("issuer", &config.api.issuer), ("jwks", &config.api.jwks)] {
        if value.is_empty() {
            warnings.push(format!("api.{name}: must be set for `freehold api`"));
        }
    }
    warnings
}
