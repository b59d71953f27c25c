//! Table of measured values and their bounds.

use std::process::ExitCode;

use freehold_tests::fleet::CallComparison;

/// Maximum ratio of the actual number of calls to the minimum number of calls.
const MAX_CALL_RATIO: f64 = 2.0;

#[derive(Default)]
pub(crate) struct Results {
    rows: Vec<Row>,
    calls: Vec<(String, Vec<CallComparison>)>,
}

struct Row {
    run: String,
    figure: &'static str,
    measured: String,
    bound: String,
    met: bool,
}

impl Results {
    /// Adds a measured value that must not exceed `bound`.
    pub(crate) fn at_most(&mut self, run: &str, figure: &'static str, measured: f64, bound: f64, detail: &str) {
        self.push(run, figure, format!("{measured:.3}{detail}"), format!("≤ {bound}"), measured <= bound);
    }

    /// Adds a measured value that must not be below `bound`.
    pub(crate) fn at_least(&mut self, run: &str, figure: &'static str, measured: f64, bound: f64, detail: &str) {
        self.push(run, figure, format!("{measured:.3}{detail}"), format!("≥ {bound}"), measured >= bound);
    }

    /// Adds a measured value that must not exceed `bound`; without a bound, the value is only reported.
    pub(crate) fn at_most_or_report(
        &mut self,
        run: &str,
        figure: &'static str,
        measured: f64,
        bound: Option<f64>,
        detail: &str,
    ) {
        match bound {
            Some(bound) => self.at_most(run, figure, measured, bound, detail),
            None => self.push(run, figure, format!("{measured:.3}{detail}"), "–".to_owned(), true),
        }
    }

    /// Adds a measured value that must not be below `bound`; without a bound, the value is only reported.
    pub(crate) fn at_least_or_report(
        &mut self,
        run: &str,
        figure: &'static str,
        measured: f64,
        bound: Option<f64>,
        detail: &str,
    ) {
        match bound {
            Some(bound) => self.at_least(run, figure, measured, bound, detail),
            None => self.push(run, figure, format!("{measured:.3}{detail}"), "–".to_owned(), true),
        }
    }

    /// Adds the AWS calls of a run. For each AWS operation, the ratio of actual calls to minimum calls must not exceed
    /// [`MAX_CALL_RATIO`].
    pub(crate) fn add_calls(&mut self, run: &str, calls: Vec<CallComparison>) {
        let worst = calls.iter().max_by(|one, other| one.ratio().total_cmp(&other.ratio())).expect("calls");
        let detail = format!(" ({}: {:.2}, minimum {})", worst.operation, worst.actual, worst.minimum);
        self.at_most(run, "calls ÷ minimum, worst operation", worst.ratio(), MAX_CALL_RATIO, &detail);
        self.calls.push((run.to_owned(), calls));
    }

    fn push(&mut self, run: &str, figure: &'static str, measured: String, bound: String, met: bool) {
        println!("{}  {run}: {figure} {measured} {bound}", if met { "met   " } else { "MISSED" });
        self.rows.push(Row { run: run.to_owned(), figure, measured, bound, met });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table; returns a failure exit code if a measured value misses its bound.
    pub(crate) fn print(&self, all_calls: bool) -> ExitCode {
        for (run, calls) in &self.calls {
            let printed = calls.iter().filter(|calls| all_calls || calls.ratio() > MAX_CALL_RATIO);
            let lines: Vec<_> = printed
                .map(|calls| {
                    format!(
                        "  {:<53}{:>8.2}{:>8.2}{:>7.2}",
                        calls.operation,
                        calls.actual,
                        calls.minimum,
                        calls.ratio()
                    )
                })
                .collect();
            if !lines.is_empty() {
                println!(
                    "\n{:<55}{:>8}{:>8}{:>7}\n{}",
                    format!("{run}: calls per tenant"),
                    "actual",
                    "minimum",
                    "ratio",
                    lines.join("\n")
                );
            }
        }
        println!("\n{:<35}{:<44}{:<10}{:<8}measured", "run", "figure", "bound", "result");
        for row in &self.rows {
            let met = if row.met { "met" } else { "MISSED" };
            println!("{:<35}{:<44}{:<10}{:<8}{}", row.run, row.figure, row.bound, met, row.measured);
        }
        if self.rows.iter().all(|row| row.met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
