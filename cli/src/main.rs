//! The `freehold` program; everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    freehold::main(std::env::args_os())
}
