//! The table: each figure beside its bound.

use std::process::ExitCode;

use freehold_tests::fleet::CallComparison;

/// More than so many times the fewest calls are too many.
const MOST_CALLS: f64 = 2.0;

/// The figures so far.
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
    kept: bool,
}

impl Results {
    /// A figure that must not be above its bound.
    pub(crate) fn at_most(&mut self, run: &str, figure: &'static str, measured: f64, bound: f64, detail: &str) {
        self.push(run, figure, format!("{measured:.3}{detail}"), format!("≤ {bound}"), measured <= bound);
    }

    /// A figure that must not be below its bound.
    pub(crate) fn at_least(&mut self, run: &str, figure: &'static str, measured: f64, bound: f64, detail: &str) {
        self.push(run, figure, format!("{measured:.3}{detail}"), format!("≥ {bound}"), measured >= bound);
    }

    /// The calls of a run: none more often than twice the fewest.
    pub(crate) fn calls(&mut self, run: &str, calls: Vec<CallComparison>) {
        let worst = calls.iter().max_by(|one, other| one.ratio().total_cmp(&other.ratio())).expect("calls");
        let detail = format!(" ({}: {:.2} for {})", worst.operation, worst.actual, worst.minimum);
        self.at_most(run, "calls ÷ fewest, worst operation", worst.ratio(), MOST_CALLS, &detail);
        self.calls.push((run.to_owned(), calls));
    }

    fn push(&mut self, run: &str, figure: &'static str, measured: String, bound: String, kept: bool) {
        println!("{}  {run}: {figure} {measured} {bound}", if kept { "kept  " } else { "MISSED" });
        self.rows.push(Row { run: run.to_owned(), figure, measured, bound, kept });
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table, and says whether every bound was kept.
    pub(crate) fn show(&self, every_call: bool) -> ExitCode {
        for (run, calls) in &self.calls {
            let shown = calls.iter().filter(|calls| every_call || calls.ratio() > MOST_CALLS);
            let lines: Vec<_> = shown
                .map(|calls| {
                    format!("  {:<53}{:>8.2}{:>8.2}{:>7.2}", calls.operation, calls.actual, calls.minimum, calls.ratio())
                })
                .collect();
            if !lines.is_empty() {
                println!(
                    "\n{:<55}{:>8}{:>8}{:>7}\n{}",
                    format!("{run}: calls per tenant"),
                    "made",
                    "fewest",
                    "ratio",
                    lines.join("\n")
                );
            }
        }
        println!("\n{:<35}{:<44}{:<10}{:<8}measured", "run", "figure", "bound", "");
        for row in &self.rows {
            let kept = if row.kept { "kept" } else { "MISSED" };
            println!("{:<35}{:<44}{:<10}{:<8}{}", row.run, row.figure, row.bound, kept, row.measured);
        }
        if self.rows.iter().all(|row| row.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
