//! `loadtest pair`.

use super::{Pins, run::with_bar};
use crate::compare::{Pairing, Scenario, Sizes, drive_all};
use crate::poll;
use crate::recipe::Recipe;
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The flags of `loadtest pair`.
#[derive(Args)]
pub struct Options {
    /// Which gateways, joined with commas; ratios are to the last one. The same one twice shows
    /// how large the noise is.
    #[arg(long, short, default_value = "strait,strait-bare")]
    gateways: String,
    /// Which scenarios, joined with commas; the names are those of `compare`.
    #[arg(long, short = 'S', default_value = "paced,step,flat,flat-1,json,fresh")]
    scenarios: String,
    /// How often each scenario is measured, after one round that does not count.
    #[arg(long, short, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    sizes: Sizes,
    /// Fail when a gateway's median ratio is above this in any scenario.
    #[arg(long)]
    limit: Option<f64>,
    /// A directory of further recipes; those of the same name replace the built-in ones.
    #[arg(long)]
    recipes: Option<PathBuf>,
    /// Where programs are installed and gateways run.
    #[arg(long, default_value = "target/loadtest")]
    cache: PathBuf,
    /// Where the Markdown and the numbers go.
    #[arg(long, short, default_value = "target/loadtest/pair")]
    out: PathBuf,
    /// CPUs: `gateway=0,load=1,provider=1`, which is the default where there are two; empty:
    /// anywhere.
    #[arg(long)]
    pin: Option<Pins>,
}

/// The first CPU for the gateways and the second for the rest, where there are two.
fn default_pins(cpus: &[usize]) -> Pins {
    match cpus {
        [first, second, ..] => Pins {
            gateway: vec![*first],
            load: vec![*second],
            provider: vec![*second],
        },
        _ => Pins::default(),
    }
}

/// Measures, writes what came of it, and fails when an answer was wrong or the limit is passed.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    let recipes = Recipe::chosen(&options.gateways, options.recipes.as_deref());
    let pairing = Pairing {
        recipes: recipes.map_err(io::Error::other)?,
        scenarios: Scenario::parse(&options.scenarios).map_err(io::Error::other)?,
        sizes: options.sizes.clone(),
        rounds: options.rounds.max(1),
        cache: options.cache.clone(),
        pins: match &options.pin {
            Some(pins) => pins.clone(),
            None => default_pins(&poll::cpus()?),
        },
    };
    let pairs = pairing.run(&mut |line| println!("{line}"), &mut |plans, title| {
        with_bar(&plans[0], title, |gauge| drive_all(plans, gauge))
    })?;
    pairs.write(&options.out)?;
    println!("\n{}", pairs.table());
    println!("written: {}", options.out.join("README.md").display());
    let mut complaints = pairs.faults.clone();
    if let Some(limit) = options.limit {
        complaints.extend(pairs.above(limit));
    }
    for complaint in &complaints {
        eprintln!("loadtest: {complaint}");
    }
    Ok(match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_apart_from_the_load_where_there_are_two_cpus() {
        let pins = default_pins(&[2, 5, 7]);
        assert_eq!(
            (pins.gateway, pins.load, pins.provider),
            (vec![2], vec![5], vec![5])
        );
        assert_eq!(default_pins(&[3]), Pins::default());
    }
}
