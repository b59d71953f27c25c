//! `freehold worker steps`: list the steps of operations.

use clap::Args;
use freehold_tenancy::operation::OperationKind;
use freehold_worker::workflows;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{self, Format};

/// List the steps of an operation and how each step is undone
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  freehold worker steps\n  freehold worker steps --kind offboard\n\n\
    A step starts as soon as the steps in column \"after\" are done. Several steps can run at the same time.")]
pub(crate) struct StepsArgs {
    /// Kind of operation: onboard, offboard, restore, repair, upgrade_baseline, change_regions, remove_regions,
    /// prove_residency
    #[arg(long, value_name = "KIND", default_value = "onboard")]
    kind: OperationKind,
    /// Format of the output
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

pub(crate) fn run(args: &StepsArgs) -> anyhow::Result<Exit> {
    let workflow = workflows::steps_of(args.kind);
    match args.output {
        Format::Json => {
            let steps = workflow
                .iter()
                .map(|step| json!({ "name": step.name, "after": step.after, "undo": step.undo.to_string() }));
            output::print_json(&steps.collect::<Vec<_>>())?;
        }
        Format::Table => {
            let mut table = output::new_table(["step", "after", "undone by"]);
            for step in workflow {
                let after: Vec<_> = step.after.iter().map(|name| name.as_str()).collect();
                table.add_row([step.name.as_str(), &after.join(", "), &step.undo.to_string()]);
            }
            output::print_table(&table)?;
        }
    }
    Ok(Exit::Success)
}
