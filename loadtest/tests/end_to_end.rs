//! The provider and the load generator, directly against each other over real sockets.

use loadtest::answers::Api;
use loadtest::provider::Provider;
use loadtest::run::{Arrivals, Gauge, Load, Outcome, Plan, Target, drive};
use loadtest::script::Script;
use std::time::Duration;

/// Runs for `ms` milliseconds against a provider with the script.
fn direct(script: &Script, ms: u64, change: impl FnOnce(&mut Plan)) -> Outcome {
    let (say, hear) = std::sync::mpsc::channel();
    let scripted = script.clone();
    std::thread::spawn(move || {
        let mut provider = Provider::bind("127.0.0.1:0".parse().unwrap(), &scripted).unwrap();
        say.send(provider.address().unwrap()).unwrap();
        provider.serve()
    });
    let address = hear.recv().unwrap();
    let target = Target::parse(&format!("http://{address}"), Api::Chat).unwrap();
    let mut plan = Plan::new(target, script.clone());
    plan.duration = Duration::from_millis(ms);
    plan.load = Load::Closed {
        connections: 8,
        think: Duration::ZERO,
    };
    change(&mut plan);
    drive(&plan, &Gauge::default()).unwrap()
}

fn responses(plan: &mut Plan) {
    plan.target =
        Target::parse(&format!("http://{}", plan.target.address), Api::Responses).unwrap();
}

#[test]
fn every_byte_arrives() {
    for reasoning in [0, 5] {
        for api in [Api::Chat, Api::Responses] {
            for streaming in [true, false] {
                let script = Script {
                    deltas: 300,
                    reasoning,
                    tool_deltas: 7,
                    ..Script::default()
                };
                let outcome = direct(&script, 20_000, |plan| {
                    plan.requests_max = 100;
                    if api == Api::Responses {
                        responses(plan);
                    }
                    plan.streaming = streaming;
                });
                assert_eq!(outcome.wrong_count(), 0, "{:?}", outcome.examples);
                assert_eq!(outcome.right, 100, "{api:?} {streaming}");
                if streaming {
                    let each = script.steps() as u64;
                    assert_eq!(outcome.events, outcome.right * each);
                }
            }
        }
    }
}

#[test]
fn a_garbled_byte_is_noticed() {
    for api in [Api::Chat, Api::Responses] {
        let script = Script {
            corrupt_rate: 0.25,
            ..Script::default()
        };
        let outcome = direct(&script, 20_000, |plan| {
            plan.requests_max = 400;
            if api == Api::Responses {
                responses(plan);
            }
        });
        assert_eq!(outcome.garbled + outcome.right, 400, "{api:?}");
        assert!(
            (60..140).contains(&outcome.garbled),
            "{api:?} {}",
            outcome.garbled
        );
        assert_eq!(outcome.lost + outcome.failed, 0, "{:?}", outcome.examples);
    }
}

#[test]
fn a_missing_delta_a_cut_and_a_refusal_are_told_apart() {
    let base = Script::default;
    let dropped = direct(
        &Script {
            drop_rate: 1.0,
            ..base()
        },
        100,
        |_| (),
    );
    assert!(dropped.garbled > 0 && dropped.right == 0, "{dropped:?}");
    let cut = direct(
        &Script {
            cut_rate: 1.0,
            ..base()
        },
        100,
        |_| (),
    );
    assert!(cut.lost > 0 && cut.right + cut.garbled == 0, "{cut:?}");
    let refused = direct(
        &Script {
            error_rate: 1.0,
            ..base()
        },
        100,
        |_| (),
    );
    assert!(refused.failed > 0 && refused.right == 0, "{refused:?}");
    assert!(refused.examples[0].contains("HTTP 429"), "{refused:?}");
}

#[test]
fn paced_deltas_come_when_the_script_says() {
    let script = Script {
        deltas: 10,
        first_ms: 20.0,
        interval_ms: 10.0,
        ..Script::default()
    };
    let outcome = direct(&script, 20_000, |plan| plan.requests_max = 24);
    assert_eq!(outcome.wrong_count(), 0, "{:?}", outcome.examples);
    assert_eq!(outcome.right, 24);
    assert!(outcome.first.min() >= 19_900_000, "{}", outcome.first.min());
    assert!(
        outcome.total.min() >= 109_000_000,
        "{}",
        outcome.total.min()
    );
}

#[test]
fn an_open_load_counts_the_wait_of_requests_that_queue() {
    // One connection, 50 ms an answer, 100 requests a second: most of them wait.
    let script = Script {
        deltas: 1,
        first_ms: 50.0,
        ..Script::default()
    };
    let outcome = direct(&script, 500, |plan| {
        plan.load = Load::Open {
            rate: 100.0,
            arrivals: Arrivals::Uniform,
            connections_max: 1,
        };
    });
    assert_eq!(outcome.wrong_count(), 0, "{:?}", outcome.examples);
    assert!(outcome.right >= 40, "{outcome:?}");
    assert!(
        outcome.total.max() > 1_000_000_000,
        "{}",
        outcome.total.max()
    );
}

#[test]
fn new_connections_are_new() {
    let script = Script {
        deltas: 20,
        ..Script::default()
    };
    let outcome = direct(&script, 200, |plan| plan.fresh = true);
    assert_eq!(outcome.wrong_count(), 0, "{:?}", outcome.examples);
    assert_eq!(outcome.connections, outcome.started);
    let kept = direct(&script, 200, |_| ());
    assert_eq!(kept.connections, 8);
}
