//! Table of measured values and their bounds, which benchmarks print.

use std::process::ExitCode;

/// Measured values with their bounds, printed as they are added and again at the end.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    figure: String,
    measured: f64,
    bound: String,
    met: bool,
    detail: String,
}

impl Table {
    /// Adds a measured value that must not exceed `bound`.
    pub fn at_most(&mut self, figure: &str, measured: f64, bound: f64, unit: &str, detail: &str) {
        self.push(figure, measured, format!("≤ {bound} {unit}"), measured <= bound, detail);
    }

    /// Adds a measured value that must not be below `bound`.
    pub fn at_least(&mut self, figure: &str, measured: f64, bound: f64, unit: &str, detail: &str) {
        self.push(figure, measured, format!("≥ {bound} {unit}"), measured >= bound, detail);
    }

    /// Adds a number of events that must not happen.
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub fn none(&mut self, figure: &str, measured: usize, detail: &str) {
        self.push(figure, measured as f64, "= 0".to_owned(), measured == 0, detail);
    }

    #[expect(clippy::print_stdout, reason = "a benchmark prints results")]
    fn push(&mut self, figure: &str, measured: f64, bound: String, met: bool, detail: &str) {
        let row = Row { figure: figure.to_owned(), measured, bound, met, detail: detail.to_owned() };
        println!("{}", row.line());
        self.0.push(row);
    }

    /// Prints the table; returns a failure exit code if a measured value misses its bound.
    #[expect(clippy::print_stdout, reason = "a benchmark prints results")]
    pub fn print(&self) -> ExitCode {
        println!("\n{:<74}{:>10}  {:<14}{:<8}details", "figure", "measured", "bound", "result");
        for row in &self.0 {
            println!("{}", row.line());
        }
        if self.0.iter().all(|row| row.met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Row {
    fn line(&self) -> String {
        let result = if self.met { "met   " } else { "missed" };
        format!("{:<74}{:>10.3}  {:<14}{result}  {}", self.figure, self.measured, self.bound, self.detail)
    }
}

/// Returns the median of the values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns a quantile of the values, for example the 99th percentile if `share` is 0.99.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Formats values with `digits` decimal places, separated by spaces.
pub fn format_values(values: &[f64], digits: usize) -> String {
    values.iter().map(|value| format!("{value:.digits$}")).collect::<Vec<_>>().join(" ")
}
