//! The commands.

mod compare;
mod pair;
mod provider;
mod run;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "loadtest",
    version,
    about = "What a gateway of streaming model APIs costs, and whether it keeps every byte",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A scripted provider of chat completions and of the Responses API.
    Provider(provider::Options),
    /// A load generator that holds every answer against the script.
    Run(Box<run::Options>),
    /// Gateways side by side.
    Compare(Box<compare::Options>),
    /// Gateways at the same time, on one CPU: what does one cost beside the other?
    Pair(Box<pair::Options>),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Provider(options) => provider::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Pair(options) => pair::run(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("loadtest: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Which CPU is for what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pins {
    /// For the gateway.
    pub gateway: Vec<usize>,
    /// For the load generator.
    pub load: Vec<usize>,
    /// For the provider.
    pub provider: Vec<usize>,
}

impl std::str::FromStr for Pins {
    type Err = String;

    /// Reads `gateway=0,load=1,provider=1`; several CPUs are joined with `+`.
    fn from_str(text: &str) -> Result<Pins, String> {
        let mut pins = Pins::default();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let wrong = || format!("{part}: expected gateway=0, load=1 or provider=1");
            let (role, cpus) = part.split_once('=').ok_or_else(wrong)?;
            let cpus: Result<Vec<usize>, _> = cpus.split('+').map(str::parse).collect();
            let cpus = cpus.map_err(|_| wrong())?;
            match role {
                "gateway" => pins.gateway = cpus,
                "load" => pins.load = cpus,
                "provider" => pins.provider = cpus,
                _ => return Err(wrong()),
            }
        }
        Ok(pins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pins_are_read() {
        let pins: Pins = "gateway=0,load=1+2".parse().unwrap();
        assert_eq!((pins.gateway, pins.load), (vec![0], vec![1, 2]));
        assert!("gateway".parse::<Pins>().is_err());
        assert!("x=1".parse::<Pins>().is_err());
    }
}
