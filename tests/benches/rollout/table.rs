//! Table of measured values and their bounds.

use std::process::ExitCode;

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    figure: String,
    measured: f64,
    bound: String,
    met: bool,
    detail: String,
}

impl Table {
    /// Adds a measured value that must not exceed `bound`.
    pub(crate) fn at_most(&mut self, figure: &str, measured: f64, bound: f64, detail: &str) {
        self.push(figure, measured, format!("≤ {bound}"), measured <= bound, detail);
    }

    /// Adds a number of events that must not happen.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(crate) fn none(&mut self, figure: &str, measured: usize, detail: &str) {
        self.push(figure, measured as f64, "= 0".to_owned(), measured == 0, detail);
    }

    fn push(&mut self, figure: &str, measured: f64, bound: String, met: bool, detail: &str) {
        let row = Row { figure: figure.to_owned(), measured, bound, met, detail: detail.to_owned() };
        println!("{}", row.line());
        self.0.push(row);
    }

    /// Prints the table; returns a failure exit code if a measured value misses its bound.
    pub(crate) fn print(&self) -> ExitCode {
        println!("\n{:<74}{:>9}  {:<9}{:<8}details", "what", "measured", "bound", "result");
        for row in &self.0 {
            println!("{}", row.line());
        }
        if self.0.iter().all(|row| row.met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Row {
    fn line(&self) -> String {
        let result = if self.met { "ok" } else { "missed" };
        format!("{:<74}{:>9.3}  {:<9}{result:<8}{}", self.figure, self.measured, self.bound, self.detail)
    }
}

/// Returns the median of the values, which are not empty.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
