//! The `freehold` program, built together with the tests, which start it as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    freehold::main(std::env::args_os())
}
