//! The `stemma-node` binary: everything is in the library, so that it can be tested there.

fn main() -> std::process::ExitCode {
    stemma_node::commands::run(std::env::args_os())
}
