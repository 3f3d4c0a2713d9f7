//! `strait reload`: a running Strait reads its configuration again.

use crate::server;
use std::process::ExitCode;

/// Asks for it, and says how it went.
pub fn run(pid: Option<u32>) -> ExitCode {
    match server::reload(pid) {
        Ok(pid) => {
            say!("strait: process {pid} has reloaded its configuration");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("strait: not reloaded: {why}");
            ExitCode::FAILURE
        }
    }
}
