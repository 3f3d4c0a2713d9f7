//! The command line: `loadtest provider`, `loadtest run`, `loadtest compare`, `loadtest pair`.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest::cli::main()
}
