//! What is asked of each database.

use super::*;
use crate::ledger::audit::Class;

/// Each of these is run with each database.
macro_rules! suite {
    ($($name:ident,)*) => {
        mod sqlite_does {
            $(
                #[test]
                fn $name() {
                    super::$name(&super::World::sqlite(stringify!($name)));
                }
            )*
        }

        /// One server for all of them.
        const SUITE: &[(&str, fn(&World))] = &[$((stringify!($name), $name)),*];
    };
}

suite! {
    a_row_comes_back_as_it_went,
    filters_leave_out_what_they_say,
    pages_stay_whole_while_rows_arrive,
    words_are_found_and_nothing_typed_is_a_command,
    what_was_said_comes_back_without_secrets,
    sums_are_kept_by_hour_and_group,
    the_old_go_and_sums_stay,
    the_oldest_go_when_there_is_too_much,
    two_processes_write_at_once,
    nobody_reads_what_a_newer_one_wrote,
}

#[test]
fn postgres_does_the_same_and_comes_back() {
    let Some(mut cluster) = Cluster::start() else {
        return server::skip("PostgreSQL is not installed");
    };
    for (name, test) in SUITE {
        println!("{name}");
        test(&World::postgres(server::fresh(&cluster, name)));
    }
    // Stopped between two rows: the second is refused, and taken once it is there again.
    let world = World::postgres(server::fresh(&cluster, "stopped"));
    let mut backend = world.backend(usual());
    backend.write(&rows(1)).unwrap();
    cluster.end();
    assert!(matches!(backend.write(&rows(2)), Err(Trouble::Away(_))));
    cluster.begin();
    let until = Instant::now() + Duration::from_secs(20);
    while backend.write(&rows(2)).is_err() {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    assert_eq!(backend.ids(&Filter::default()).len(), 3);
}

fn a_row_comes_back_as_it_went(world: &World) {
    let mut backend = world.backend(usual());
    let mut odd = record(1);
    odd.usage = None;
    odd.cost_nanos = None;
    odd.first_event = None;
    odd.tries = Vec::new();
    odd.detail = "it said \"no\" \0 \u{1f980} '); DROP".to_owned();
    odd.background = Some("yes");
    let written = [entry(record(0), DAY), entry(odd, DAY + 5)];
    backend.write(&written).unwrap();
    let page = backend.page(&Filter::default(), None, 10);
    assert_eq!(page.next, None);
    let [newest, oldest] = page.rows.as_slice() else {
        panic!("{page:?}")
    };
    assert!(newest.number > oldest.number && oldest.number > 0);
    for (found, entry) in [(oldest, &written[0]), (newest, &written[1])] {
        let row = Row {
            number: found.number,
            ..entry.row.clone()
        };
        assert_eq!(*found, row);
        let detail = backend.detail(found.number).unwrap();
        assert_eq!((detail.row, detail.bodies), (row, None));
    }
    assert_eq!(backend.detail(newest.number + 1), None);
    assert_eq!(backend.detail(u64::MAX), None);
}

fn filters_leave_out_what_they_say(world: &World) {
    let mut backend = world.backend(usual());
    let mut other = record(1);
    other.key = "other".to_owned();
    other.model = "claude".to_owned();
    other.tries[0].provider = "else".to_owned();
    other.session = "s-2".to_owned();
    (other.status, other.outcome) = (429, "rate_limited");
    backend
        .write(&[entry(record(0), DAY), entry(other, DAY + 1000)])
        .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let all = Filter::default();
    for filter in [
        Filter {
            from_ms: Some(DAY + 1000),
            ..all.clone()
        },
        Filter {
            key: text("other"),
            ..all.clone()
        },
        Filter {
            model: text("claude"),
            ..all.clone()
        },
        Filter {
            provider: text("else"),
            ..all.clone()
        },
        Filter {
            session: text("s-2"),
            ..all.clone()
        },
        Filter {
            thread: text("t-1"),
            ..all.clone()
        },
        Filter {
            id: text("req_1"),
            ..all.clone()
        },
        Filter {
            class: Some(Class::Failed),
            ..all.clone()
        },
        Filter {
            status: Some(400..=499),
            ..all.clone()
        },
        Filter {
            text: "rate limit".to_owned(),
            ..all.clone()
        },
    ] {
        assert_eq!(backend.ids(&filter), ["req_1"], "{filter:?}");
    }
    let before = Filter {
        until_ms: Some(DAY + 1000),
        ..all.clone()
    };
    assert_eq!(backend.ids(&before), ["req_0"]);
    for nothing in [
        Filter {
            key: text("team' OR 'a'='a"),
            ..all.clone()
        },
        Filter {
            key: text("te\0am"),
            ..all.clone()
        },
        Filter {
            class: Some(Class::Left),
            ..all.clone()
        },
        Filter {
            from_ms: Some(u64::MAX),
            ..all.clone()
        },
    ] {
        assert!(backend.ids(&nothing).is_empty(), "{nothing:?}");
    }
}

fn pages_stay_whole_while_rows_arrive(world: &World) {
    let mut backend = world.backend(usual());
    // Several began in the same millisecond.
    let mut written = rows(25);
    written.extend((25..30).map(|n| entry(record(n), DAY)));
    backend.write(&written).unwrap();
    let mut seen: Vec<String> = Vec::new();
    let mut after = None;
    loop {
        let page = backend.page(&Filter::default(), after, 4);
        assert!(page.rows.len() <= 4);
        seen.extend(page.rows.into_iter().map(|row| row.id));
        // Newer ones, and one that took long.
        let late = 100 + seen.len() as u64;
        backend
            .write(&[
                entry(record(late), DAY + HOUR),
                entry(record(late), DAY + 24_000),
            ])
            .unwrap();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut expected: Vec<String> = (0..25).rev().map(|n| format!("req_{n}")).collect();
    expected.pop();
    expected.extend((25..30).rev().map(|n| format!("req_{n}")));
    expected.push("req_0".to_owned());
    assert_eq!(seen, expected);
}

fn words_are_found_and_nothing_typed_is_a_command(world: &World) {
    let mut backend = world.backend(usual());
    let mut first = record(0);
    first.detail = "The provider's Straße is closed; code E42.".to_owned();
    let mut second = record(1);
    second.model = "模型-5.6".to_owned();
    backend
        .write(&[entry(first, DAY), entry(second, DAY + 1000)])
        .unwrap();
    for (text, found) in [
        ("straße", vec!["req_0"]),
        ("STRA closed", vec!["req_0"]),
        ("e42 e4 e", vec!["req_0"]),
        ("closed 模", vec![]),
        ("模型", vec!["req_1"]),
        ("5.6", vec!["req_1"]),
        ("team", vec!["req_1", "req_0"]),
        ("top_logprobs", vec!["req_1", "req_0"]),
        ("req t 1", vec!["req_1", "req_0"]),
        ("losed", vec![]),
        ("  ", vec!["req_1", "req_0"]),
        ("--", vec![]),
    ] {
        assert_eq!(backend.found(text), found, "{text:?}");
    }
    for evil in [
        "\"",
        "'",
        "*",
        "\" OR 1 --",
        "'); DROP TABLE exchanges; --",
        "NEAR(team gpt)",
        "words: team",
        "NOT team",
        "team:*",
        "team & | ! <->",
        "\\",
        "%",
        "\0",
        "^team",
        "(",
        "{}",
        "team\" AND \"x",
    ] {
        backend.found(evil);
    }
    assert_eq!(backend.found("NOT team"), Vec::<String>::new());
    assert_eq!(backend.found("team").len(), 2);
}

fn what_was_said_comes_back_without_secrets(world: &World) {
    let key = "sk-proj-Ab3dEf6hIj9lMn0pQr";
    let own = "the-providers-own-key";
    let raw = |text: String| Raw {
        bytes: text.into_bytes(),
        cut: 0,
    };
    let mut saying = record(0);
    saying.detail = format!("the provider said: wrong key {own}");
    saying.saying = Some(Box::new(Saying {
        max: 1000,
        fields: vec![
            ("authorization".to_owned(), "Bearer client-key-1".to_owned()),
            ("originator".to_owned(), "codex_exec".to_owned()),
        ],
        request: raw(format!(
            r#"{{"input":"my key\n{key} and client-key-1, pelican"}}"#
        )),
        sent: raw(format!(
            "POST /x HTTP/1.1\r\nauthorization: Bearer {own}\r\nhost: h\r\n\r\n{{\"a\":\"{key}\"}}"
        )),
        received: raw(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n{:x}\r\n {own}\r\n0\r\n\r\n",
            own.len() + 1
        )),
        answer: Raw {
            bytes: b"\x81\x05hello\x81\x7e\x00\x80pelic".to_vec(),
            cut: 123,
        },
    }));
    let mut backend = world.backend(usual());
    backend.write(&[entry(saying, DAY)]).unwrap();
    let found = backend.page(&Filter::default(), None, 1).rows;
    assert!(found[0].has_bodies);
    assert_eq!(found[0].detail, "the provider said: wrong key [redacted]");
    let bodies = backend.detail(found[0].number).unwrap().bodies.unwrap();
    let said = |head: &str, body: &str, cut: u64| Said {
        head: head.to_owned(),
        body: body.as_bytes().to_vec(),
        cut,
    };
    let expected = Bodies {
        request: said(
            "POST /v1/responses\nauthorization: [redacted]\noriginator: codex_exec",
            r#"{"input":"my key\n[redacted] and [redacted], pelican"}"#,
            0,
        ),
        sent: said(
            "POST /x HTTP/1.1\nauthorization: [redacted]\nhost: h",
            r#"{"a":"[redacted]"}"#,
            0,
        ),
        received: said(
            "HTTP/1.1 200 OK\ntransfer-encoding: chunked",
            "hello [redacted]",
            0,
        ),
        answer: said("", "hello\npelic\n", 123),
    };
    assert_eq!(bodies, expected);
    assert_eq!(backend.found("pelican").len(), 1);
    assert!(backend.found("Ab3dEf6hIj9lMn0pQr").is_empty());
}

fn sums_are_kept_by_hour_and_group(world: &World) {
    let mut backend = world.backend(usual());
    let mut failed = record(2);
    failed.outcome = "failed";
    failed.model = "other".to_owned();
    failed.cost_nanos = None;
    failed.usage = Some(Usage {
        input: u64::MAX,
        ..Usage::default()
    });
    backend
        .write(&[entry(record(0), DAY), entry(record(1), DAY + HOUR)])
        .unwrap();
    backend
        .write(&[entry(failed, DAY + HOUR), entry(record(3), DAY + 24 * HOUR)])
        .unwrap();
    let whole = backend.usage(0, u64::MAX, Step::Whole, By::All);
    assert_eq!(whole.len(), 1);
    let totals = whole[0].totals;
    assert_eq!((totals.requests, totals.errors, totals.unpriced), (4, 1, 1));
    assert_eq!((totals.cost_nanos, totals.usage.output), (3_000, 30));
    assert_eq!(totals.usage.input, 1_000_000_000_300);
    assert_eq!(
        (
            totals.usage.cached,
            totals.usage.cache_write,
            totals.usage.reasoning
        ),
        (180, 15, 9)
    );
    let shown = |buckets: Vec<Bucket>| -> Vec<(u64, String, u64)> {
        let shown = |b: Bucket| (b.from_ms, b.name, b.totals.requests);
        buckets.into_iter().map(shown).collect()
    };
    let name = |name: &str| name.to_owned();
    assert_eq!(
        shown(backend.usage(DAY, DAY + 48 * HOUR, Step::Day, By::Model)),
        [
            (DAY, name("gpt-x"), 2),
            (DAY, name("other"), 1),
            (DAY + 24 * HOUR, name("gpt-x"), 1)
        ]
    );
    assert_eq!(
        shown(backend.usage(DAY + 1, DAY + HOUR + 1, Step::Hour, By::Provider)),
        [(DAY, name("mock"), 1), (DAY + HOUR, name("mock"), 2)]
    );
    assert_eq!(
        shown(backend.usage(DAY + HOUR, DAY + 2 * HOUR, Step::Hour, By::Key)),
        [(DAY + HOUR, name("team"), 2)]
    );
}

fn swept(backend: &mut dyn Backend, now_ms: u64) {
    while backend.sweep(now_ms).unwrap() {}
}

fn the_old_go_and_sums_stay(world: &World) {
    let terms = Terms {
        max_age: Duration::from_secs(100),
        usage_max_age: Duration::from_secs(7200),
        ..usual()
    };
    let mut backend = world.backend(terms);
    // More than a step takes.
    backend.write(&rows(1200)).unwrap();
    swept(&mut *backend, DAY + 1_200_000);
    let left = backend.ids(&Filter::default());
    assert_eq!(left.len(), 99);
    assert_eq!(left[98], "req_1101");
    assert_eq!(backend.found("team").len(), 99);
    let sums = |backend: &mut dyn Backend| backend.usage(0, u64::MAX, Step::Whole, By::All);
    assert_eq!(sums(&mut *backend)[0].totals.requests, 1200);
    swept(&mut *backend, DAY + 3 * HOUR);
    assert!(sums(&mut *backend).is_empty());
}

fn the_oldest_go_when_there_is_too_much(world: &World) {
    let terms = Terms {
        max_bytes: 1_000_000,
        ..usual()
    };
    let mut backend = world.backend(terms);
    let mut first = record(0);
    first.detail = "pelican".to_owned();
    backend.write(&[entry(first, DAY)]).unwrap();
    assert_eq!(backend.found("pelican").len(), 1);
    for batch in rows(3000).chunks(1000) {
        backend.write(batch).unwrap();
    }
    swept(&mut *backend, DAY);
    let left = backend.ids(&Filter::default());
    assert!(left.len() > 100, "{}", left.len());
    assert_eq!(left[0], "req_2999");
    assert!(backend.found("pelican").is_empty());
}

fn two_processes_write_at_once(world: &World) {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                let mut backend = world.backend(usual());
                for n in 0..20 {
                    let entry = entry(record(half * 100 + n), DAY + n);
                    backend.write(&[entry]).unwrap();
                }
            });
        }
    });
    let mut backend = world.backend(usual());
    assert_eq!(backend.ids(&Filter::default()).len(), 40);
    let whole = backend.usage(0, u64::MAX, Step::Whole, By::All);
    assert_eq!(whole[0].totals.requests, 40);
}

fn nobody_reads_what_a_newer_one_wrote(world: &World) {
    world.backend(usual()).write(&rows(1)).unwrap();
    match &world.place {
        Place::Sqlite(path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            let version = SCHEMA.version + 1;
            connection
                .pragma_update(None, "user_version", version)
                .unwrap();
        }
        Place::Postgres(database) => server::connect(database)
            .batch_execute("UPDATE strait_audit_schema SET version = version + 1")
            .unwrap(),
        Place::Nowhere => {}
    }
    match world.backend(usual()).write(&rows(1)) {
        Err(Trouble::Away(why)) => assert!(why.contains("written by a newer one"), "{why}"),
        other => panic!("{other:?}"),
    }
}
