//! Runs processes.rs by itself until the benchmark that calls it is there.

#[path = "onboarding/processes.rs"]
mod processes;

fn main() -> std::process::ExitCode {
    if processes::run() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
