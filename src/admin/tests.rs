//! Signing in and out, and what is told to whom.

use super::*;
use crate::config::{ClientKey, Snapshot};
use crate::http::head::{Parsed, request};
use crate::ledger::audit;
use crate::ledger::live::View;
use crate::limits;
use crate::provider::Profile;
use std::sync::Arc;
use std::time::Duration;

/// A shell that knows nothing.
struct Nothing;

impl Known for Nothing {
    fn audit(&mut self, _: audit::Question) -> Option<Result<audit::Reply, String>> {
        None
    }

    fn live(&mut self, _: Instant) -> Vec<View> {
        Vec::new()
    }
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot::single(Profile::default(), "http://127.0.0.1:1")
}

pub(super) fn keyed() -> Snapshot {
    let mut snapshot = snapshot();
    let key = ClientKey::new("ops", "right", true);
    snapshot.keys.push(Arc::new(key));
    snapshot
}

pub(super) fn ask_of(snapshot: Snapshot, line: &str, fields: &str, body: &str) -> Ask {
    let text = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:1\r\n{fields}\r\n");
    let Ok(Parsed::Complete { head, .. }) = request(text.as_bytes()) else {
        panic!("{text}")
    };
    let pass = match snapshot.keys.is_empty() {
        true => Pass::Open,
        false => Pass::Session,
    };
    Ask {
        snapshot: Arc::new(snapshot),
        head,
        body: body.as_bytes().to_vec(),
        pass,
        entropy: [7; 32],
        unix_s: 1_760_000_000,
    }
}

fn field<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let found = reply.fields.iter().find(|(own, _)| *own == name);
    found.map_or("", |(_, value)| value)
}

/// Signs in and gives the cookie as a browser sends it back.
fn signed_in(dashboard: &mut Dashboard, now: Instant) -> String {
    let ask = ask_of(
        keyed(),
        "POST /admin/sign-in",
        "",
        "key=right&next=/admin/models",
    );
    let reply = dashboard.answer(&ask, &mut Nothing, now);
    assert_eq!(
        (reply.status, field(&reply, "location")),
        (303, "/admin/models")
    );
    let cookie = field(&reply, "set-cookie").split(';').next().unwrap();
    format!("cookie: a=b; {cookie}\r\n")
}

fn get(dashboard: &mut Dashboard, cookie: &str, now: Instant) -> u16 {
    let ask = ask_of(keyed(), "GET /admin/models", cookie, "");
    dashboard.answer(&ask, &mut Nothing, now).status
}

#[test]
fn a_session_begins_with_a_key_and_ends_with_it() {
    let (mut dashboard, now) = (Dashboard::default(), Instant::now());
    assert_eq!(get(&mut dashboard, "", now), 303);
    let cookie = signed_in(&mut dashboard, now);
    assert_eq!(get(&mut dashboard, &cookie, now), 200);
    let other = ask_of(
        keyed(),
        "GET /admin/models",
        "cookie: strait_session=x\r\n",
        "",
    );
    assert_eq!(dashboard.answer(&other, &mut Nothing, now).status, 303);
    // The key is gone from the configuration.
    let mut revoked = keyed();
    revoked.keys[0] = Arc::new(ClientKey::new("ops", "another", true));
    let ask = ask_of(revoked, "GET /admin/models", &cookie, "");
    assert_eq!(dashboard.answer(&ask, &mut Nothing, now).status, 303);
    assert_eq!(get(&mut dashboard, &cookie, now), 303);
    // Or no operator's any more.
    let cookie = signed_in(&mut dashboard, now);
    let mut plain = keyed();
    plain.keys[0] = Arc::new(ClientKey::new("ops", "right", false));
    let ask = ask_of(plain, "GET /admin/models", &cookie, "");
    assert_eq!(dashboard.answer(&ask, &mut Nothing, now).status, 303);
}

#[test]
fn a_session_ends_by_itself_and_by_signing_out() {
    let (mut dashboard, begin) = (Dashboard::default(), Instant::now());
    let cookie = signed_in(&mut dashboard, begin);
    let mut now = begin;
    while now + limits::ADMIN_IDLE < begin + limits::ADMIN_SESSION {
        now += limits::ADMIN_IDLE;
        assert_eq!(get(&mut dashboard, &cookie, now), 200);
    }
    now = begin + limits::ADMIN_SESSION + Duration::from_secs(1);
    assert_eq!(get(&mut dashboard, &cookie, now), 303);
    let cookie = signed_in(&mut dashboard, now);
    let idle = now + limits::ADMIN_IDLE + Duration::from_secs(1);
    assert_eq!(get(&mut dashboard, &cookie, idle), 303);
    let cookie = signed_in(&mut dashboard, now);
    let ask = ask_of(keyed(), "POST /admin/sign-out", &cookie, "");
    let reply = dashboard.answer(&ask, &mut Nothing, now);
    assert!(field(&reply, "set-cookie").contains("Max-Age=0"));
    assert_eq!(get(&mut dashboard, &cookie, now), 303);
}

#[test]
fn wrong_keys_are_counted() {
    let (mut dashboard, now) = (Dashboard::default(), Instant::now());
    let attempt = |dashboard: &mut Dashboard, key: &str, now: Instant| {
        let ask = ask_of(keyed(), "POST /admin/sign-in", "", &format!("key={key}"));
        let reply = dashboard.answer(&ask, &mut Nothing, now);
        assert!(reply.status == 303 || field(&reply, "set-cookie").is_empty());
        reply.status
    };
    for _ in 0..10 {
        assert_eq!(attempt(&mut dashboard, "wrong", now), 401);
    }
    assert_eq!(attempt(&mut dashboard, "right", now), 429);
    let later = now + Duration::from_secs(60);
    assert_eq!(attempt(&mut dashboard, "right", later), 303);
}

#[test]
fn the_cookie_is_for_our_pages_alone() {
    for (origin, secure) in [("http://a", false), ("https://a", true)] {
        let fields = format!("origin: {origin}\r\n");
        let ask = ask_of(keyed(), "POST /admin/sign-in", &fields, "key=right");
        let reply = Dashboard::default().answer(&ask, &mut Nothing, Instant::now());
        let cookie = field(&reply, "set-cookie");
        for part in ["HttpOnly", "SameSite=Strict", "Path=/admin;"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert_eq!(cookie.ends_with("; Secure"), secure, "{cookie}");
        let token = cookie.split(['=', ';']).nth(1).unwrap();
        assert_eq!(token.len(), 43);
    }
}

#[test]
fn signing_in_leads_to_our_pages_alone() {
    for (next, location) in [
        ("/admin/audit?q=a%26b", "/admin/audit?q=a&b"),
        ("//evil.example", "/admin"),
        ("/admin/../x", "/admin/../x"),
        ("/administrator", "/admin"),
        ("https://evil.example/admin/", "/admin"),
        ("/admin/%0d%0aset-cookie:%20a", "/admin"),
        ("/admin/%5c", "/admin"),
        ("", "/admin"),
    ] {
        let body = format!("key=right&next={next}");
        let ask = ask_of(keyed(), "POST /admin/sign-in", "", &body);
        let reply = Dashboard::default().answer(&ask, &mut Nothing, Instant::now());
        assert_eq!(field(&reply, "location"), location, "{next}");
    }
}

#[test]
fn the_api_tells_programs_and_pages_tell_people() {
    let (mut dashboard, now) = (Dashboard::default(), Instant::now());
    let reply = dashboard.answer(
        &ask_of(keyed(), "GET /admin/api/v1/live", "", ""),
        &mut Nothing,
        now,
    );
    assert_eq!(
        (reply.status, reply.content_type),
        (401, "application/json")
    );
    let reply = dashboard.answer(
        &ask_of(keyed(), "GET /admin/models?a=b", "", ""),
        &mut Nothing,
        now,
    );
    let location = "/admin/sign-in?next=%2Fadmin%2Fmodels%3Fa%3Db";
    assert_eq!((reply.status, field(&reply, "location")), (303, location));
    let reply = dashboard.answer(
        &ask_of(snapshot(), "GET /admin/nothing", "", ""),
        &mut Nothing,
        now,
    );
    assert_eq!(reply.status, 404);
}

#[test]
fn browsers_are_told_to_be_strict() {
    let ask = ask_of(snapshot(), "GET /admin/models", "", "");
    let reply = Dashboard::default().answer(&ask, &mut Nothing, Instant::now());
    let policy = field(&reply, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(field(&reply, "cache-control"), "no-store");
    let page = String::from_utf8(reply.body).unwrap();
    assert!(
        !page.contains(" style=") && !page.contains("onclick"),
        "{page}"
    );
    for asset in [&assets::paths().0, &assets::paths().1] {
        assert!(page.contains(asset.as_str()));
        // Also before anybody is signed in.
        let ask = ask_of(keyed(), &format!("GET {asset}"), "", "");
        assert_eq!(
            Dashboard::default()
                .answer(&ask, &mut Nothing, Instant::now())
                .status,
            200
        );
    }
}

#[test]
fn every_page_is_shown_with_and_without_an_audit() {
    for path in [
        "/admin",
        "/admin/audit",
        "/admin/audit?class=x",
        "/admin/usage",
        "/admin/usage?days=1&by=key",
        "/admin/providers",
        "/admin/models",
        "/admin/keys",
        "/admin/audit/7",
        "/admin/audit/7?view=wire",
    ] {
        let show = |known: &mut dyn Known| {
            let ask = ask_of(snapshot(), &format!("GET {path}"), "", "");
            let reply = Dashboard::default().answer(&ask, known, Instant::now());
            (reply.status, String::from_utf8(reply.body).unwrap())
        };
        let (status, full) = show(&mut super::api_tests::One);
        assert_eq!(
            status,
            if path.ends_with("=x") { 400 } else { 200 },
            "{path}"
        );
        assert!(
            full.contains("</html>") && !full.contains(" style="),
            "{path}"
        );
        let (_, bare) = show(&mut Nothing);
        let says = ["/admin/p", "/admin/m", "/admin/k"];
        let needs_none = says.iter().any(|p| path.starts_with(p)) || path.ends_with("=x");
        assert!(needs_none || bare.contains("No audit is kept"), "{path}");
    }
}
