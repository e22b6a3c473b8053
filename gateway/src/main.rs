//! The program `switchyard-gateway`; its commands live in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchyard_gateway::cli::main()
}
