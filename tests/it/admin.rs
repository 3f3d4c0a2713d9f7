//! The operators' pages, over real sockets.

mod browser;
mod keys;

use crate::client::{Answer, Connection};
use crate::strait::Strait;

const KEYED: &str = "[[keys]]\nname = \"ops\"\nkey = \"right\"\nadmin = true\n[[keys]]\nname = \"fleet\"\nkey = \"plain\"\n";

fn start(more: &str) -> Strait {
    let more = format!("[models]\n\"*\" = \"mock/*\"\n[store]\nurl = \"none\"\n{more}");
    Strait::with("openai-compatible", "http://127.0.0.1:1", "io_uring", &more)
}

fn send(strait: &Strait, line: &str, fields: &str, body: &str) -> Answer {
    let mut connection = Connection::open(strait.address);
    let length = body.len();
    connection.send(format!(
        "{line} HTTP/1.1\r\n{fields}content-length: {length}\r\n\r\n{body}"
    ));
    connection.answer()
}

fn host(strait: &Strait) -> String {
    format!("host: {}\r\n", strait.address)
}

#[test]
fn pages_come_from_a_thread_that_starts_with_the_first_question() {
    let strait = start("");
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", strait.child.id())).unwrap();
        tasks.count()
    };
    let before = threads();
    let page = send(&strait, "GET /admin/models", &host(&strait), "");
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert_eq!(threads(), before + 1);
    let head = {
        let mut connection = Connection::open(strait.address);
        connection.send(format!(
            "HEAD /admin/models HTTP/1.1\r\n{}\r\n",
            host(&strait)
        ));
        connection.head()
    };
    let unnamed = |head: &str| -> Vec<String> {
        let lines = head.lines().filter(|l| !l.starts_with("x-request-id: "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(unnamed(&head), unnamed(&page.head));
}

#[test]
fn a_page_of_the_web_can_do_nothing() {
    let strait = start("");
    let own = host(&strait);
    for (line, fields, status) in [
        (
            "GET /admin/models",
            "host: evil.example\r\n".to_owned(),
            421,
        ),
        (
            "GET /admin/models",
            format!("{own}origin: http://evil.example\r\n"),
            403,
        ),
        (
            "GET /admin/models",
            format!("{own}sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n"),
            403,
        ),
        (
            "POST /admin/sign-out",
            format!("{own}origin: http://evil.example\r\n"),
            403,
        ),
        ("POST /admin/sign-out", own.clone(), 403),
    ] {
        assert_eq!(
            send(&strait, line, &fields, "").status,
            status,
            "{line} {fields}"
        );
    }
}

#[test]
fn an_admin_key_signs_in() {
    let strait = start(KEYED);
    let own = format!("{0}origin: http://{1}\r\n", host(&strait), strait.address);
    let signed_out = send(&strait, "GET /admin/models", &own, "");
    assert_eq!(signed_out.status, 303);
    for wrong in ["key=wrong", "key=plain"] {
        let refused = send(&strait, "POST /admin/sign-in", &own, wrong);
        assert_eq!(refused.status, 401);
    }
    let right = send(
        &strait,
        "POST /admin/sign-in",
        &own,
        "key=right&next=/admin/models",
    );
    assert_eq!(right.status, 303);
    let cookie = right
        .head
        .lines()
        .find_map(|l| l.strip_prefix("set-cookie: "));
    let cookie = cookie.unwrap().split(';').next().unwrap();
    let fields = format!("{own}cookie: {cookie}\r\n");
    assert_eq!(send(&strait, "GET /admin/models", &fields, "").status, 200);
    let bearer = "host: any.example\r\nauthorization: Bearer right\r\n";
    assert_eq!(send(&strait, "GET /admin/models", bearer, "").status, 200);
}
