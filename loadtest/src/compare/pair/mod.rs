//! Gateways at the same time, under the same load each, on one CPU.
//!
//! One after the other, gateways meet different machines: another guest of the host, another
//! clock rate, another state of the caches. At the same time they meet the same one, and the ratio
//! of what they use repeats within about a hundredth.

mod report;

pub use report::Pairs;

use super::{Cell, Gateway, Places, Results, Scenario, Side, Sizes, Upstream, probe};
use crate::cli::Pins;
use crate::control;
use crate::outside::{self, Watch};
use crate::poll;
use crate::recipe::Recipe;
use crate::run::{Gauge, Outcome, Plan, drive};
use std::io;
use std::path::PathBuf;
use std::sync::Barrier;
use std::time::Duration;

/// How long after the load CPU still counts: a gateway that writes its rows late pays for them.
const TAIL: Duration = Duration::from_secs(1);
/// The gateways' streams begin at the same moments: without this, paced deltas would come to one
/// of them first all the time, and it alone would pay for waking the CPU.
const JITTER: f64 = 0.2;

/// What to measure at the same time, and how.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// The recipes; ratios are to the last one. The same one twice shows the noise.
    pub recipes: Vec<Recipe>,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// How large they are, for each gateway.
    pub sizes: Sizes,
    /// How often each is measured, after one round that does not count.
    pub rounds: usize,
    /// Where programs are installed and gateways run.
    pub cache: PathBuf,
    /// Which CPU is for what.
    pub pins: Pins,
}

/// A gateway with a provider of its own.
struct Contender {
    side: Side,
    gateway: Gateway,
    upstream: Upstream,
}

/// Drives all plans at the same time, under a title.
pub type Driver<'a> = dyn FnMut(&[Plan], &str) -> io::Result<Vec<Outcome>> + 'a;

/// Drives all plans at the same time.
pub fn drive_all(plans: &[Plan], gauge: &Gauge) -> io::Result<Vec<Outcome>> {
    let start = Barrier::new(plans.len());
    let start = &start;
    std::thread::scope(|scope| {
        let threads: Vec<_> = plans
            .iter()
            .map(|plan| {
                scope.spawn(move || {
                    start.wait();
                    drive(plan, gauge)
                })
            })
            .collect();
        let outcomes = threads.into_iter().map(|t| t.join());
        outcomes.map(|o| o.expect("no panic in there")).collect()
    })
}

impl Pairing {
    /// Measures; `say` is told what happens. Fails when a gateway does not start, or gives no
    /// right answer at all, and for scenarios that are not about CPU or that a gateway cannot carry.
    pub fn run(&self, say: &mut dyn FnMut(&str), drive_shown: &mut Driver) -> io::Result<Pairs> {
        let is_unfit = |s: &&Scenario| s.wants_fresh_process() || s.exceeds(self.streams_max());
        if let Some(scenario) = self.scenarios.iter().find(is_unfit) {
            let text = format!("{}: not for these gateways in pairs", scenario.name());
            return Err(io::Error::other(text));
        }
        poll::raise_file_limit();
        let results = Results::begin(&self.scenarios, &self.sizes, self.rounds);
        let mut pairs = Pairs::begin(results);
        let contenders = self.contenders(&mut pairs, say)?;
        poll::pin(&self.pins.load)?;
        let total = (self.rounds + 1) * self.scenarios.len();
        let mut done = 0;
        for round in 0..=self.rounds {
            for scenario in &self.scenarios {
                done += 1;
                let title = format!("{done}/{total} {}", scenario.name());
                // Every other round goes the other way, so that nobody is always first.
                let mut order: Vec<&Contender> = contenders.iter().collect();
                if round % 2 == 1 {
                    order.reverse();
                }
                let mut cells = self.measure(&order, *scenario, &title, drive_shown)?;
                if round % 2 == 1 {
                    cells.reverse();
                }
                for cell in &mut cells {
                    cell.round = round;
                    pairs.check(cell)?;
                }
                pairs.lines(&cells, say);
                if round > 0 {
                    pairs.results.cells.append(&mut cells);
                }
            }
        }
        Ok(pairs)
    }

    fn contenders(
        &self,
        pairs: &mut Pairs,
        say: &mut dyn FnMut(&str),
    ) -> io::Result<Vec<Contender>> {
        let mut contenders: Vec<Contender> = Vec::new();
        for recipe in &self.recipes {
            let number = contenders.len() + 1;
            let mut side = Side::new(recipe);
            if contenders.iter().any(|c| c.side.name == side.name) {
                side.name = format!("{} ({number})", side.name);
            }
            let named = |e: io::Error| io::Error::other(format!("{}: {e}", recipe.name));
            let upstream = Upstream::start(&self.pins.provider)?;
            let places = Places {
                cache: self.cache.clone(),
                run: self.cache.join("run").join(format!("pair-{number}")),
                upstream: upstream.address,
                cpus: self.pins.gateway.clone(),
            };
            // What an earlier run left in a store would cost one gateway more than the other.
            match std::fs::remove_dir_all(&places.run) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let gateway = Gateway::start(recipe, &places).map_err(named)?;
            side.version = gateway.version.clone();
            side.verdict = probe::probe(&gateway.target(upstream.address), upstream.address)?;
            side.is_measured = side.verdict.is_measurable();
            say(&side.line());
            if !side.is_measured {
                return Err(named(io::Error::other("its streaming text is wrong")));
            }
            pairs.add(&side);
            contenders.push(Contender {
                side,
                gateway,
                upstream,
            });
        }
        Ok(contenders)
    }

    /// The most streams that every gateway can carry: the load is the same for all.
    fn streams_max(&self) -> usize {
        let limits = self.recipes.iter().map(|r| r.streams_max);
        limits.filter(|n| *n > 0).min().unwrap_or(0)
    }

    fn measure(
        &self,
        contenders: &[&Contender],
        scenario: Scenario,
        title: &str,
        drive_shown: &mut Driver,
    ) -> io::Result<Vec<Cell>> {
        let mut plans = Vec::new();
        for c in contenders {
            let target = c.gateway.target(c.upstream.address);
            let mut plan = scenario.plan(target, &self.sizes, self.streams_max());
            if !plan.script.in_step {
                plan.script.jitter = JITTER;
            }
            control::set_script(c.upstream.address, &plan.script)?;
            plans.push(plan);
        }
        let trees: Vec<_> = contenders
            .iter()
            .map(|c| outside::tree(&[c.gateway.pid(), c.upstream.pid()]))
            .collect();
        let watches: Vec<Watch> = contenders
            .iter()
            .map(|c| {
                let gateway = outside::tree(&[c.gateway.pid()]);
                let others = trees.iter().flatten().filter(|p| !gateway.contains(p));
                let ours: Vec<u32> = others.copied().chain([std::process::id()]).collect();
                Watch::start(&[c.gateway.pid()], &ours)
            })
            .collect();
        let outcomes = drive_shown(&plans, title);
        std::thread::sleep(TAIL);
        let usages = watches.into_iter().map(Watch::stop);
        let measured = contenders.iter().zip(&plans).zip(outcomes?).zip(usages);
        Ok(measured
            .map(|(((c, plan), outcome), usage)| {
                let api = c.gateway.recipe.api;
                Cell::new(&c.side.name, api, scenario, plan, &outcome, usage, None)
            })
            .collect())
    }
}
