//! Gateways side by side, in one run: correctness first, then what they cost.

mod gateway;
mod pair;
mod plot;
mod probe;
mod report;
mod results;
mod scenario;

pub use gateway::{Gateway, Places, Upstream, install};
pub use pair::{Driver, Pairing, Pairs, drive_all};
pub use probe::Verdict;
pub use report::write;
pub use results::{Cell, Results, Side, Spread};
pub use scenario::{Scenario, Sizes};

use crate::answers::Api;
use crate::cli::Pins;
use crate::control;
use crate::outside::Watch;
use crate::poll;
use crate::recipe::Recipe;
use crate::run::{Load, Outcome, Plan, Target, drive};
use crate::syscalls::Syscalls;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The recipes.
    pub recipes: Vec<Recipe>,
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// How large they are.
    pub sizes: Sizes,
    /// How often each is measured.
    pub rounds: usize,
    /// Where programs are installed.
    pub cache: PathBuf,
    /// Which CPU is for what.
    pub pins: Pins,
    /// Install what is missing.
    pub install: bool,
    /// Count system calls.
    pub syscalls: bool,
}

/// Who is measured: a gateway, or the provider itself.
struct Contender {
    side: Side,
    api: Api,
    gateway: Option<Gateway>,
    target: Target,
}

/// The name of the provider itself, asked through the interface.
pub fn direct(api: Api) -> &'static str {
    match api {
        Api::Chat => "direct (chat)",
        Api::Responses => "direct (responses)",
    }
}

impl Comparison {
    /// Runs the comparison; `say` is told what happens.
    pub fn run(
        &self,
        say: &mut dyn FnMut(&str),
        drive_shown: &mut dyn FnMut(&Plan, &str) -> io::Result<Outcome>,
    ) -> io::Result<Results> {
        poll::raise_file_limit();
        let upstream = Upstream::start(&self.pins.provider)?;
        poll::pin(&self.pins.load)?;
        let places = Places {
            cache: self.cache.clone(),
            run: self.cache.join("run"),
            upstream: upstream.address,
            cpus: self.pins.gateway.clone(),
        };
        let mut results = Results::begin(&self.scenarios, &self.sizes, self.rounds);
        let mut contenders = self.contenders(&places, &upstream, &mut results, say)?;
        let total = self.rounds * self.scenarios.len() * contenders.len();
        let mut done = 0;
        for round in 0..self.rounds {
            for scenario in &self.scenarios {
                // Every other round goes the other way, so that nobody is always first.
                let mut order: Vec<usize> = (0..contenders.len()).collect();
                if round % 2 == 1 {
                    order.reverse();
                }
                for index in order {
                    done += 1;
                    let contender = &mut contenders[index];
                    let name = &contender.side.name;
                    let title = format!("{done}/{total} {} {name}", scenario.name());
                    let streams_max = contender.side.streams_max;
                    if !contender.side.is_measured || scenario.exceeds(streams_max) {
                        continue;
                    }
                    match self.measure(
                        contender,
                        *scenario,
                        &places,
                        &upstream,
                        &title,
                        drive_shown,
                    ) {
                        Ok(mut cell) => {
                            cell.round = round;
                            say(&cell.line());
                            results.cells.push(cell);
                        }
                        Err(e) => say(&format!("{title}: {e}")),
                    }
                }
            }
        }
        Ok(results)
    }

    fn contenders(
        &self,
        places: &Places,
        upstream: &Upstream,
        results: &mut Results,
        say: &mut dyn FnMut(&str),
    ) -> io::Result<Vec<Contender>> {
        let mut contenders = Vec::new();
        for api in [Api::Chat, Api::Responses] {
            if self.recipes.iter().any(|r| r.api == api) {
                let url = format!("http://{}", upstream.address);
                let target = Target::parse(&url, api).map_err(io::Error::other)?;
                contenders.push(Contender {
                    side: Side::direct(api),
                    api,
                    gateway: None,
                    target,
                });
            }
        }
        for recipe in &self.recipes {
            let mut side = Side::new(recipe);
            if recipe.find_program(&places.install(recipe)).is_none() && self.install {
                say(&format!("{}: installing ({})", recipe.name, recipe.origin));
                if let Err(e) = install(recipe, places) {
                    say(&format!("{}: {e}", recipe.name));
                }
            }
            let gateway = match Gateway::start(recipe, places) {
                Ok(gateway) => gateway,
                Err(e) => {
                    say(&format!("{}: {e}", recipe.name));
                    side.absent = Some(e.to_string());
                    results.sides.push(side);
                    continue;
                }
            };
            side.version = gateway.version.clone();
            let target = gateway.target(upstream.address);
            side.verdict = probe::probe(&target, upstream.address)?;
            side.is_measured = side.verdict.is_measurable();
            say(&side.line());
            results.sides.push(side.clone());
            contenders.push(Contender {
                side,
                api: recipe.api,
                gateway: Some(gateway),
                target,
            });
        }
        Ok(contenders)
    }

    fn measure(
        &self,
        contender: &mut Contender,
        scenario: Scenario,
        places: &Places,
        upstream: &Upstream,
        title: &str,
        drive_shown: &mut dyn FnMut(&Plan, &str) -> io::Result<Outcome>,
    ) -> io::Result<Cell> {
        if let Some(gateway) = contender.gateway.as_mut()
            && (scenario.wants_fresh_process() || !gateway.is_alive())
        {
            let recipe = gateway.recipe.clone();
            contender.gateway = None;
            let gateway = contender.gateway.insert(Gateway::start(&recipe, places)?);
            contender.target = gateway.target(upstream.address);
        }
        let target = contender.target.clone();
        let plan = scenario.plan(target, &self.sizes, contender.side.streams_max);
        if !scenario.wants_fresh_process() {
            warm_up(&plan, upstream)?;
        }
        control::set_script(upstream.address, &plan.script)?;
        let roots: Vec<u32> = contender.gateway.iter().map(Gateway::pid).collect();
        let counter = match self.syscalls && !roots.is_empty() {
            true => Some(Syscalls::start(&roots)?),
            false => None,
        };
        let watch = Watch::start(&roots, &[std::process::id(), upstream.pid()]);
        let outcome = drive_shown(&plan, title);
        let usage = watch.stop();
        let syscalls = counter.map(Syscalls::stop).transpose()?;
        Ok(Cell::new(
            &contender.side.name,
            contender.api,
            scenario,
            &plan,
            &outcome?,
            usage,
            syscalls,
        ))
    }
}

/// Opens connections on both sides and lets what compiles at run time compile.
fn warm_up(plan: &Plan, upstream: &Upstream) -> io::Result<()> {
    let mut plan = plan.clone();
    plan.script.deltas = 5;
    plan.script.interval_ms = 0.0;
    plan.requests_max = 64;
    plan.ramp = Duration::ZERO;
    plan.duration = Duration::from_millis(500);
    plan.load = Load::Closed {
        connections: 8,
        think: Duration::ZERO,
    };
    control::set_script(upstream.address, &plan.script)?;
    drive(&plan, &Default::default())?;
    Ok(())
}
