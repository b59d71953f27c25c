//! The `freehold` program, built with the tests that start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    freehold::main(std::env::args_os())
}
