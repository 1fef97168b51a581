//! `stemma`, the tool. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    stemma_tools::main(std::env::args_os())
}
