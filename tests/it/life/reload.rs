//! The configuration is swapped between requests.

use super::load::{self, Load};
use super::{DRIVERS, config, reload, status_of};
use crate::strait::{Strait, scratch};
use crate::websocket_client::{WebSocket, create};
use serde_json::json;

fn start(url: &str, driver: &str) -> Strait {
    let first = config("127.0.0.1:0", url, &["first"]);
    Strait::serve(scratch("reload"), &first, |command| {
        command.args(["--driver", driver]);
    })
}

#[test]
fn a_signal_swaps_the_configuration_and_a_bad_one_is_refused() {
    for driver in DRIVERS {
        let provider = load::provider();
        let strait = start(&provider.url(), driver);
        let served = |model| status_of(&strait, model);
        assert_eq!((served("first"), served("second")), (200, 404));
        let reload = |text: &str| {
            std::fs::write(strait.dir.join("strait.toml"), text).unwrap();
            strait.signal("HUP");
            strait.says("configuration ")
        };
        let second = config("127.0.0.1:0", &provider.url(), &["second"]);
        assert_eq!(reload(&second), "configuration reloaded");
        assert_eq!((served("first"), served("second")), (404, 200));
        let third = second.replace("second", "third");
        let said = reload(&third.replace("http:", "ftp:"));
        for part in ["strait.toml:3: providers.mock: base_url", "Mend: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let said = reload(&third.replace("workers = 1", "workers = 2"));
        assert!(said.contains("workers cannot change"), "{said}");
        assert_eq!((served("third"), served("second")), (404, 200));
    }
}

#[test]
fn the_next_response_on_a_websocket_takes_the_new_configuration() {
    for driver in DRIVERS {
        let provider = load::provider();
        let strait = start(&provider.url(), driver);
        let mut socket = WebSocket::open(strait.address);
        let mut ask = |model: &str| {
            let mut message = create(json!("hi"), None);
            message["model"] = json!(model);
            socket.send(&message);
            loop {
                let kind = socket.event()["type"].as_str().unwrap().to_owned();
                if ["error", "response.completed"].contains(&kind.as_str()) {
                    return kind;
                }
            }
        };
        assert_eq!(
            [ask("first"), ask("second")],
            ["response.completed", "error"]
        );
        let second = config("127.0.0.1:0", &provider.url(), &["second"]);
        std::fs::write(strait.dir.join("strait.toml"), second).unwrap();
        assert!(reload(&strait.dir, &[]).0);
        assert_eq!(
            [ask("first"), ask("second")],
            ["error", "response.completed"]
        );
    }
}

#[test]
fn the_command_says_what_the_log_says() {
    let provider = load::provider();
    let strait = start(&provider.url(), "epoll");
    let pid = strait.child.id().to_string();
    let (well, said) = reload(&strait.dir, &[]);
    assert!(well && said.contains(&pid), "{said}");
    let file = strait.dir.join("strait.toml");
    std::fs::write(&file, "listen = [\"here\"]\n").unwrap();
    let (well, said) = reload(&strait.dir, &["--pid", &pid]);
    for part in ["strait.toml:1: listen: \"here\"", "Mend: "] {
        assert!(!well && said.contains(part), "{part}: {said}");
    }
    let logged = strait.says("not reloaded");
    assert!(logged.ends_with(said.trim_start_matches("strait: not reloaded: ").trim_end()));
    let (well, said) = reload(&strait.dir, &["--pid", "1"]);
    assert!(!well && said.contains("process 1 has no control"), "{said}");
    let (well, said) = reload(&scratch("nobody"), &[]);
    assert!(!well && said.contains("no Strait is running"), "{said}");
}

#[test]
fn reloads_under_load_lose_nothing() {
    const ROUNDS: usize = 20;
    for driver in DRIVERS {
        let provider = load::provider();
        let strait = start(&provider.url(), driver);
        let load = Load::on(strait.address);
        let swap = |text: &str| {
            std::fs::write(strait.dir.join("strait.toml"), text).unwrap();
            reload(&strait.dir, &[]).0
        };
        for round in 0..ROUNDS {
            load.wait_for(5);
            let alias = format!("alias-{round}");
            let good = config("127.0.0.1:0", &provider.url(), &[&alias]);
            assert!(swap(&good));
            assert!(!swap(&format!("{good}[nonsense]\n")));
            assert_eq!(status_of(&strait, &alias), 200);
            let old = format!("alias-{}", round.wrapping_sub(1));
            assert_eq!(status_of(&strait, &old), 404);
        }
        let whole = load.end();
        println!("{driver}: {whole} streams whole over {ROUNDS} reloads and as many refused");
        assert!(whole >= 5 * ROUNDS);
    }
}
