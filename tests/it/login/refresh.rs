//! How a login is refreshed: once, safely, and with a clear word where it cannot be.

use super::world::{SECRET, Server, World, ask, login, now, text, token};
use crate::client::{Answer as Got, Connection, post_with};
use crate::provider::Answer;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// A gate that the token server stands behind until it is opened.
fn gate() -> (Sender<()>, Mutex<Receiver<()>>) {
    let (open, closed) = channel();
    (open, Mutex::new(closed))
}

fn wait(gate: &Mutex<Receiver<()>>) {
    gate.lock().unwrap().recv().unwrap();
}

/// Sends `each` requests to every server at once; opens the gate when all are sent.
fn at_once(servers: &[&Server], each: usize, open: &Sender<()>) -> Vec<Got> {
    let mut connections = Vec::new();
    for server in servers {
        for _ in 0..each {
            let mut connection = Connection::open(server.address);
            let body = ask().to_string();
            connection.send(post_with("/v1/responses", "", body.as_bytes()));
            connections.push(connection);
        }
    }
    // A second refresh would need it a second time.
    open.send(()).unwrap();
    connections.iter_mut().map(Connection::answer).collect()
}

fn refused(got: &Got, status: u16, said: &str) {
    let shown = String::from_utf8_lossy(&got.body);
    assert_eq!(got.status, status, "{shown}");
    assert!(shown.contains(said), "{said}: {shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn an_expired_token_is_refreshed_once_however_many_wait() {
    for driver in ["io_uring", "epoll"] {
        let (open, closed) = gate();
        let world = World::with(-10, move |_| {
            wait(&closed);
            None
        });
        std::fs::set_permissions(world.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let strait = world.serve(driver);
        for got in at_once(&[&strait], 20, &open) {
            assert_eq!(text(&got), "Hello there");
        }
        let asked = world.refreshes();
        assert_eq!(asked.len(), 1, "{driver}");
        assert_eq!(asked[0]["refresh_reason"], "proactive_expiry");
        assert_eq!(world.taken().len(), 20);

        // The file: new tokens, private, all else as it was, nothing left beside it.
        let file = world.read();
        let state = world.state.lock().unwrap();
        assert_eq!(file["tokens"]["access_token"], state.valid[0].as_str());
        assert_eq!(file["tokens"]["refresh_token"], state.refresh.as_str());
        assert_eq!(file["tokens"]["id_token"], token("id", 2));
        let kept = (&file["outer"], &file["tokens"]["inner"], &file["auth_mode"]);
        assert_eq!(
            kept,
            (
                &json!("kept"),
                &json!({"kept": [1, null]}),
                &json!("chatgpt")
            )
        );
        assert_ne!(file["last_refresh"], "2026-01-01T00:00:00Z");
        let mode = std::fs::metadata(world.file())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let names = std::fs::read_dir(&world.home).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["auth.json", "auth.json.lock"]);
    }
}

#[test]
fn two_processes_refresh_once_between_them() {
    let (open, closed) = gate();
    let world = World::with(-10, move |_| {
        wait(&closed);
        None
    });
    let (one, two) = (world.serve("io_uring"), world.serve("epoll"));
    for got in at_once(&[&one, &two], 5, &open) {
        assert_eq!(text(&got), "Hello there");
    }
    assert_eq!(world.refreshes().len(), 1);
}

#[test]
fn a_token_is_rotated_again_and_again() {
    let world = World::new(-10);
    let strait = world.serve("io_uring");
    for n in 1..=3 {
        assert_eq!(text(&strait.respond(&ask())), "Hello there");
        assert_eq!(world.refreshes().len(), n);
        // It runs out, as it would in an hour.
        let mut file = world.read();
        file["tokens"]["access_token"] = token("old", now() - 5).into();
        world.write(&file);
    }
    let spent: Vec<_> = world
        .refreshes()
        .iter()
        .map(|r| r["refresh_token"].clone())
        .collect();
    let each = [0, 1, 2].map(|n| json!(format!("rt_{SECRET}_{n}")));
    assert_eq!(spent, each);
}

#[test]
fn what_another_program_wrote_is_taken() {
    // Between two requests: nobody is asked.
    let world = World::new(-10);
    let theirs = token("theirs", now() + 3600);
    world.state.lock().unwrap().valid.push(theirs.clone());
    let strait = world.serve("io_uring");
    world.write(&login(&theirs, "rt_theirs"));
    assert_eq!(text(&strait.respond(&ask())), "Hello there");
    assert_eq!(world.refreshes().len(), 0);

    // While we ask: Codex takes no lock, was first, and writes a moment after we are told.
    let theirs = token("theirs", now() + 3600);
    let (file, written) = (Arc::new(Mutex::new(None)), login(&theirs, "rt_theirs"));
    let place: Arc<Mutex<Option<std::path::PathBuf>>> = Arc::clone(&file);
    let world = World::with(-10, move |_| {
        let path = place.lock().unwrap().clone().unwrap();
        let text = written.to_string();
        std::thread::spawn(move || std::fs::write(path, text).unwrap());
        let body = json!({"error": {"code": "refresh_token_reused"}});
        Some(Answer::Plain(401, "", body.to_string()))
    });
    *file.lock().unwrap() = Some(world.file());
    world.state.lock().unwrap().valid.push(theirs);
    let strait = world.serve("epoll");
    assert_eq!(text(&strait.respond(&ask())), "Hello there");
    assert_eq!(world.read()["tokens"]["refresh_token"], "rt_theirs");
}

#[test]
fn a_login_that_has_ended_is_told_and_not_asked_for_again() {
    for (driver, status, body, code) in [
        (
            "io_uring",
            401,
            json!({"error": {"code": "refresh_token_invalidated"}}),
            "refresh_token_invalidated",
        ),
        (
            "epoll",
            400,
            json!({"error": "invalid_grant"}),
            "invalid_grant",
        ),
    ] {
        let body = body.to_string();
        let world = World::with(-10, move |_| Some(Answer::Plain(status, "", body.clone())));
        let strait = world.serve(driver);
        for _ in 0..2 {
            // What Codex shows at once: it retries a 401 six times, and a 5xx thirty times.
            let got = strait.respond(&ask());
            refused(&got, 400, "codex login");
            refused(&got, 400, code);
            assert_eq!(got.json()["error"]["code"], "provider_auth");
        }
        assert_eq!(world.refreshes().len(), 1);
        // The user has run `codex login`.
        let anew = token("anew", now() + 3600);
        world.state.lock().unwrap().valid.push(anew.clone());
        world.write(&login(&anew, "rt_anew"));
        assert_eq!(text(&strait.respond(&ask())), "Hello there");
    }
}

#[test]
fn a_token_server_that_is_down_matters_only_when_the_token_has_run_out() {
    let down = |_: &Value| Some(Answer::Plain(500, "", "<html>".into()));
    let world = World::with(120, down);
    let strait = world.serve("io_uring");
    for _ in 0..2 {
        assert_eq!(text(&strait.respond(&ask())), "Hello there");
    }
    assert_eq!(world.refreshes().len(), 1, "not tried again at once");
    let world = World::with(-10, down);
    let strait = world.serve("epoll");
    refused(&strait.respond(&ask()), 502, "codex login");
    // A connection that is cut is the same.
    let world = World::with(-10, |_| Some(Answer::Short("{".into())));
    let strait = world.serve("io_uring");
    refused(&strait.respond(&ask()), 502, "codex login");
}

#[test]
fn the_token_server_is_asked_over_tls_and_has_to_be_vouched_for() {
    let anew = token("anew", now() + 3600);
    let body = json!({"access_token": anew, "refresh_token": "rt_anew"}).to_string();
    let (address, pem) = crate::tls::serve("application/json", body);
    let world = World::new(-10);
    world.state.lock().unwrap().valid.push(anew);
    let url = format!("https://localhost:{}/oauth/token", address.port());
    let listen = "listen = [\"127.0.0.1:0\"]\n";
    let strait = Server::start(&world.config_with(listen, &url, ""), "io_uring");
    let got = strait.respond(&ask());
    refused(&got, 502, "TLS");
    assert_ne!(world.read()["tokens"]["refresh_token"], "rt_anew");
    let file = world.home.join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let top = format!("{listen}ca_file = {file:?}\n");
    let strait = Server::start(&world.config_with(&top, &url, ""), "io_uring");
    assert_eq!(text(&strait.respond(&ask())), "Hello there");
    assert_eq!(world.read()["tokens"]["refresh_token"], "rt_anew");
}

#[test]
fn a_fresh_token_that_is_refused_is_refreshed_once() {
    for driver in ["io_uring", "epoll"] {
        let world = World::new(3600);
        world.state.lock().unwrap().valid.clear();
        let strait = world.serve(driver);
        for stream in [false, true] {
            let mut body = ask();
            body["stream"] = stream.into();
            let got = strait.respond(&body);
            assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
        }
        let asked = world.refreshes();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0]["refresh_reason"], "unauthorized_recovery");
        assert_eq!(world.state.lock().unwrap().unauthorized, 1);
    }
}

#[test]
fn many_that_are_refused_at_once_refresh_once() {
    let (open, closed) = gate();
    let world = World::with(3600, move |_| {
        wait(&closed);
        None
    });
    world.state.lock().unwrap().valid.clear();
    let strait = world.serve("io_uring");
    for got in at_once(&[&strait], 20, &open) {
        assert_eq!(text(&got), "Hello there");
    }
    assert_eq!(world.refreshes().len(), 1);
    assert_eq!(world.taken().len(), 20);
}

#[test]
fn what_is_refused_twice_is_told() {
    let refusing = token("refused", now() + 3600);
    let answer = json!({"access_token": refusing, "refresh_token": "rt_next"}).to_string();
    let world = World::with(3600, move |_| Some(Answer::Plain(200, "", answer.clone())));
    world.state.lock().unwrap().valid.clear();
    let strait = world.serve("io_uring");
    refused(&strait.respond(&ask()), 400, "codex login");
    assert_eq!(world.state.lock().unwrap().unauthorized, 2);
    assert_eq!(world.refreshes().len(), 1);
}

#[test]
fn another_target_of_the_chain_serves_where_the_login_cannot() {
    let world = World::with(-10, |_| Some(Answer::Plain(401, "", "{}".into())));
    let other =
        crate::provider::Provider::start(vec![Answer::Stream(crate::provider::text("second"))]);
    let more = format!(
        "[providers.other]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\n[models]\nboth = [\"codex/gpt-5.5\", \"other/m\"]\n",
        other.url()
    );
    let strait = world.serve_with("io_uring", "", &more);
    let got = strait.respond(&json!({"model": "both", "input": "x", "stream": true}));
    assert_eq!(got.status, 200);
    assert_eq!(got.terminals(), ["response.completed"]);
}

#[test]
fn without_a_usable_login_the_error_says_what_helps() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let key = json!({"auth_mode": "apikey", "OPENAI_API_KEY": format!("sk-{SECRET}")});
    let no_refresh = login(&token("old", now() - 5), "");
    for (file, said) in [
        (None, "does not exist"),
        (Some("{".to_owned()), "is no JSON object"),
        (Some(key.to_string()), "apikey"),
        (
            Some(json!({"auth_mode": "chatgpt"}).to_string()),
            "no usable access token",
        ),
        (Some(no_refresh.to_string()), "no refresh token"),
    ] {
        match file {
            Some(text) => std::fs::write(world.file(), text).unwrap(),
            None => std::fs::remove_file(world.file()).unwrap(),
        }
        let got = strait.respond(&ask());
        refused(&got, 400, said);
        refused(&got, 400, "codex login");
    }
    assert_eq!((world.refreshes().len(), world.taken().len()), (0, 0));
}

#[test]
fn a_refresh_under_way_outlives_the_order_to_stop() {
    let (open, closed) = gate();
    let (tell, asked) = channel();
    let tell = Mutex::new(tell);
    let world = World::with(-10, move |_| {
        tell.lock().unwrap().send(()).unwrap();
        wait(&closed);
        None
    });
    let strait = world.serve_with("io_uring", "", "[timeouts]\ndrain_s = 0.05\n");
    let mut connection = Connection::open(strait.address);
    connection.send(post_with("/v1/responses", "", ask().to_string().as_bytes()));
    asked.recv().unwrap();
    let pid = strait.child.id().to_string();
    let stopped = std::process::Command::new("kill")
        .args(["-s", "TERM", &pid])
        .status();
    assert!(stopped.unwrap().success());
    // The drain time is over, and the request is told so.
    refused(&connection.answer(), 503, "shutting down");
    open.send(()).unwrap();
    let log = strait.log(Some("CONT"));
    assert!(
        log.contains("refreshed") && log.contains("stopped"),
        "{log}"
    );
    let spent_for = world.state.lock().unwrap().refresh.clone();
    assert_eq!(world.read()["tokens"]["refresh_token"], spent_for);
}

#[test]
fn new_tokens_that_cannot_be_written_are_kept_and_written_later() {
    let home = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let place = Arc::clone(&home);
    let world = World::with(-10, move |_| {
        // The directory goes away while the tokens are on their way.
        let home = place.lock().unwrap().clone().unwrap();
        std::fs::rename(&home, home.with_extension("away")).unwrap();
        None
    });
    *home.lock().unwrap() = Some(world.home.clone());
    let strait = world.serve("epoll");
    assert_eq!(text(&strait.respond(&ask())), "Hello there");
    std::fs::rename(world.home.with_extension("away"), &world.home).unwrap();
    let old = world.read()["tokens"]["refresh_token"].clone();
    assert_eq!(text(&strait.respond(&ask())), "Hello there");
    let new = world.read()["tokens"]["refresh_token"].clone();
    assert_ne!(old, new);
    assert_eq!(new, world.state.lock().unwrap().refresh.as_str());
    assert_eq!(world.refreshes().len(), 1);
}
