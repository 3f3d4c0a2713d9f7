//! The command line: `loadtest provider`, `loadtest run`, `loadtest compare`.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadtest::cli::main()
}
