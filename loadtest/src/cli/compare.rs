//! `loadtest compare`.

use super::{Pins, run::with_bar};
use crate::compare::{Comparison, Places, Scenario, Sizes, install, write};
use crate::recipe::Recipe;
use crate::run::drive;
use clap::Args;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The flags of `loadtest compare`.
#[derive(Args)]
pub struct Options {
    /// Which gateways, joined with commas; `all`: all there are recipes for.
    #[arg(long, short, default_value = "strait,nginx,haproxy")]
    gateways: String,
    /// Which scenarios, joined with commas; `all`; `scale`: all its sizes.
    #[arg(
        long,
        short = 'S',
        default_value = "latency,paced,step,flat,flat-1,json,fresh,memory"
    )]
    scenarios: String,
    /// How often each scenario is measured.
    #[arg(long, short, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    sizes: Sizes,
    /// A directory of further recipes; those of the same name replace the built-in ones.
    #[arg(long)]
    recipes: Option<PathBuf>,
    /// Where programs are installed and gateways run.
    #[arg(long, default_value = "target/loadtest")]
    cache: PathBuf,
    /// Where the Markdown, the plots and the numbers go.
    #[arg(long, short, default_value = "target/loadtest/results")]
    out: PathBuf,
    /// Install what is missing (from its registry; the recipes say how).
    #[arg(long)]
    install: bool,
    /// Only install.
    #[arg(long)]
    install_only: bool,
    /// List the recipes, and whether their programs are there.
    #[arg(long)]
    list: bool,
    /// Measure nothing: write the Markdown and the plots again from this `results.json`.
    #[arg(long)]
    redraw: Option<PathBuf>,
    /// CPUs: `gateway=0,load=1,provider=1`.
    #[arg(long, default_value = "")]
    pin: Pins,
    /// Count system calls (perf or strace; needs the right, and costs time).
    #[arg(long)]
    syscalls: bool,
}

/// Compares, and writes what came of it.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    if let Some(file) = &options.redraw {
        let text = std::fs::read(file)?;
        let results = serde_json::from_slice(&text).map_err(io::Error::other)?;
        write(&results, &options.out)?;
        println!("written: {}", options.out.join("README.md").display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut recipes =
        Recipe::chosen(&options.gateways, options.recipes.as_deref()).map_err(io::Error::other)?;
    let places = Places {
        cache: options.cache.clone(),
        run: options.cache.join("run"),
        upstream: ([127, 0, 0, 1], 0).into(),
        cpus: Vec::new(),
    };
    if options.list {
        if options.gateways == "strait,nginx,haproxy" {
            recipes = Recipe::all(options.recipes.as_deref()).map_err(io::Error::other)?;
        }
        for recipe in &recipes {
            let program = recipe.find_program(&places.install(recipe));
            let place = program.map_or("not installed".into(), |p| p.display().to_string());
            println!(
                "{:<20} {:<12} {:<28} {place}",
                recipe.name, recipe.version, recipe.origin
            );
        }
        return Ok(ExitCode::SUCCESS);
    }
    if options.install_only {
        for recipe in &recipes {
            if recipe.find_program(&places.install(recipe)).is_none() {
                println!("{}: installing ({})", recipe.name, recipe.origin);
                if let Err(e) = install(recipe, &places) {
                    println!("{}: {e}", recipe.name);
                }
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let comparison = Comparison {
        recipes,
        scenarios: Scenario::parse(&options.scenarios).map_err(io::Error::other)?,
        sizes: options.sizes.clone(),
        rounds: options.rounds.max(1),
        cache: options.cache.clone(),
        pins: options.pin.clone(),
        install: options.install,
        syscalls: options.syscalls,
    };
    let results = comparison.run(&mut |line| println!("{line}"), &mut |plan, title| {
        with_bar(plan, title, |gauge| drive(plan, gauge))
    })?;
    write(&results, &options.out)?;
    println!("written: {}", options.out.join("README.md").display());
    let wrong = results.sides.iter().any(|s| s.verdict.has_fault());
    if wrong {
        println!("some gateways gave wrong answers: see the table of correctness");
    }
    Ok(ExitCode::SUCCESS)
}
