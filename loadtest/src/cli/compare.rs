//! `loadtest compare`.
use std::{io, process::ExitCode};
/// The flags of `loadtest compare`.
#[derive(clap::Args)]
pub struct Options {}
/// Runs.
pub fn run(_: &Options) -> io::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
