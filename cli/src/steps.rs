//! `freehold worker steps`: the list that an onboarding walks.

use clap::Args;
use freehold_worker::onboarding::ONBOARDING;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};

/// Print the steps from signup to a ready tenant, with what undoes each
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  freehold worker steps\n\n\
    A step starts as soon as those it comes after are done; several may be under way at once.")]
pub(crate) struct StepsArgs {
    /// How the list is shown
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &StepsArgs) -> anyhow::Result<Exit> {
    match args.output {
        Format::Json => {
            let steps = ONBOARDING
                .iter()
                .map(|step| json!({ "name": step.name, "after": step.after, "undo": step.undo.to_string() }));
            output::json(&steps.collect::<Vec<_>>())?;
        }
        Format::Table => {
            let mut table = output::table(["step", "after", "undone by"]);
            for step in ONBOARDING {
                table.add_row([step.name, &step.after.join(", "), &step.undo.to_string()]);
            }
            output::show(&table)?;
        }
    }
    Ok(Exit::Done)
}
