//! `freehold worker steps`: the lists that operations walk.

use clap::Args;
use freehold_tenancy::operation::OperationKind;
use freehold_worker::workflows;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};

/// Print the steps that an operation walks, with what undoes each
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  freehold worker steps\n  freehold worker steps --kind offboard\n\n\
    A step starts as soon as those it comes after are done; several may be under way at once.")]
pub(crate) struct StepsArgs {
    /// The kind of operation: onboard, offboard, restore or repair
    #[arg(long, value_name = "KIND", default_value = "onboard")]
    kind: OperationKind,
    /// How the list is shown
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &StepsArgs) -> anyhow::Result<Exit> {
    let list = workflows::steps_of(args.kind);
    match args.output {
        Format::Json => {
            let steps = list
                .iter()
                .map(|step| json!({ "name": step.name, "after": step.after, "undo": step.undo.to_string() }));
            output::json(&steps.collect::<Vec<_>>())?;
        }
        Format::Table => {
            let mut table = output::table(["step", "after", "undone by"]);
            for step in list {
                table.add_row([step.name, &step.after.join(", "), &step.undo.to_string()]);
            }
            output::show(&table)?;
        }
    }
    Ok(Exit::Done)
}
