//! `loadtest provider`.

use crate::poll;
use crate::provider::Provider;
use crate::script::Script;
use clap::Args;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

/// The flags of `loadtest provider`.
#[derive(Args)]
pub struct Options {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// The CPU to stay on.
    #[arg(long)]
    cpu: Vec<usize>,
    #[command(flatten)]
    script: Script,
}

/// Serves for ever.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    poll::raise_file_limit();
    if !options.cpu.is_empty() {
        poll::pin(&options.cpu)?;
    }
    let mut provider = Provider::bind(options.listen, &options.script)?;
    println!("provider http://{}", provider.address()?);
    io::stdout().flush()?;
    provider.serve()?;
    Ok(ExitCode::SUCCESS)
}
