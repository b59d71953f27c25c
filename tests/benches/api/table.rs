//! The table: each figure beside its bound.

use std::process::ExitCode;

/// The figures so far.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

struct Row {
    figure: String,
    measured: f64,
    bound: String,
    kept: bool,
    detail: String,
}

impl Table {
    /// A figure that must not be above its bound.
    pub(crate) fn at_most(&mut self, figure: &str, measured: f64, bound: f64, unit: &str, detail: &str) {
        self.push(figure, measured, format!("≤ {bound} {unit}"), measured <= bound, detail);
    }

    /// A figure that must not be below its bound.
    pub(crate) fn at_least(&mut self, figure: &str, measured: f64, bound: f64, unit: &str, detail: &str) {
        self.push(figure, measured, format!("≥ {bound} {unit}"), measured >= bound, detail);
    }

    fn push(&mut self, figure: &str, measured: f64, bound: String, kept: bool, detail: &str) {
        let row = Row { figure: figure.to_owned(), measured, bound, kept, detail: detail.to_owned() };
        println!("{}", row.line());
        self.0.push(row);
    }

    /// Prints the table, and says whether every bound was kept.
    pub(crate) fn show(&self) -> ExitCode {
        println!("\n{:<62}{:>10}  {:<14}", "figure", "measured", "bound");
        for row in &self.0 {
            println!("{}", row.line());
        }
        if self.0.iter().all(|row| row.kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Row {
    fn line(&self) -> String {
        let verdict = if self.kept { "kept  " } else { "missed" };
        format!("{:<62}{:>10.3}  {:<14}{verdict}  {}", self.figure, self.measured, self.bound, self.detail)
    }
}

/// The one in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of all is not above.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "few")]
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

/// Values as they are told beside a figure.
pub(crate) fn list(values: &[f64], digits: usize) -> String {
    values.iter().map(|value| format!("{value:.digits$}")).collect::<Vec<_>>().join(" ")
}
