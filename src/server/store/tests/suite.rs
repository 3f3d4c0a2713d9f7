//! What is asked of each database.

use super::*;

/// Each of these is run with each database.
macro_rules! suite {
    ($($name:ident,)*) => {
        mod sqlite_does {
            $(
                #[test]
                fn $name() {
                    super::$name(&super::super::SqliteWorld::new(stringify!($name)));
                }
            )*
        }

        /// One server for all of them.
        pub(super) const SUITE: &[(&str, fn(&dyn World))] = &[$((stringify!($name), $name)),*];
    };
}

suite! {
    responses_are_their_owners_alone,
    what_is_deleted_stays_away,
    a_final_status_stays,
    a_cancelled_response_stays_cancelled,
    events_come_in_order_and_in_pieces,
    a_silent_worker_has_failed,
    the_old_go,
    the_log_goes_after_the_end,
    the_oldest_go_when_there_is_too_much,
    what_was_asked_is_written_before_the_end,
    two_processes_share_it,
    a_newer_schema_is_refused,
}

fn responses_are_their_owners_alone(world: &dyn World) {
    let store = desk(world, usual());
    let mine = background("resp_1", "me");
    assert_eq!(store.put(&mine), Reply::Kept);
    let theirs = || key("resp_1", "them");
    for ask in [
        Ask::Get(theirs()),
        Ask::Delete(theirs()),
        Ask::Append(theirs(), vec![event(0)]),
        Ask::Events(theirs(), None),
        Ask::Cancel(theirs()),
    ] {
        assert_eq!(store.reply(ask.clone()), Reply::Missing, "{ask:?}");
    }
    assert_eq!(store.found(&mine.key), mine);
    assert_eq!(
        store.events(&mine.key, None),
        (Vec::new(), Status::InProgress)
    );
    // An id that somebody else has, too.
    let other = completed("resp_1", "them");
    assert_eq!(store.put(&other), Reply::Kept);
    assert_eq!(store.found(&other.key), other);
    assert_eq!(store.found(&mine.key), mine);
    store.finish();
}

fn what_is_deleted_stays_away(world: &dyn World) {
    let store = desk(world, usual());
    let done = completed("resp_1", "");
    assert_eq!(store.put(&done), Reply::Kept);
    assert_eq!(store.reply(Ask::Delete(done.key.clone())), Reply::Kept);
    assert!(store.is_missing(&done.key));
    assert_eq!(store.reply(Ask::Delete(done.key.clone())), Reply::Missing);
    // Deleted while its worker still works.
    let mut running = background("resp_2", "");
    running.status = Status::Queued;
    assert_eq!(store.put(&running), Reply::Kept);
    let append = |number| Ask::Append(running.key.clone(), vec![event(number)]);
    assert_eq!(store.reply(append(0)), Reply::Kept);
    assert_eq!(store.reply(Ask::Delete(running.key.clone())), Reply::Kept);
    assert_eq!(store.reply(append(1)), Reply::Missing);
    running.status = Status::Completed;
    assert_eq!(store.put(&running), Reply::Cancelled);
    assert!(store.is_missing(&running.key));
    // One of that name that begins anew has none of the old one's events.
    running.status = Status::Queued;
    assert_eq!(store.put(&running), Reply::Kept);
    assert_eq!(
        store.events(&running.key, None),
        (Vec::new(), Status::Queued)
    );
    store.finish();
}

fn a_final_status_stays(world: &dyn World) {
    let store = desk(world, usual());
    let mut response = background("resp_1", "me");
    response.status = Status::Queued;
    assert_eq!(store.put(&response), Reply::Kept);
    response.status = Status::InProgress;
    assert_eq!(store.put(&response), Reply::Kept);
    assert_eq!(store.found(&response.key).status, Status::InProgress);
    response.status = Status::Incomplete;
    response.response = noise(1, 100_000);
    assert_eq!(store.put(&response), Reply::Kept);
    for status in [Status::InProgress, Status::Completed, Status::Failed] {
        let later = Stored {
            status,
            input: Vec::new(),
            ..response.clone()
        };
        assert_eq!(store.put(&later), Reply::Kept);
        assert_eq!(store.found(&response.key), response);
    }
    let cancel = Ask::Cancel(response.key.clone());
    assert_eq!(store.reply(cancel), Reply::Found(Box::new(response)));
    store.finish();
}

fn a_cancelled_response_stays_cancelled(world: &dyn World) {
    let store = desk(world, usual());
    let mut response = background("resp_1", "me");
    assert_eq!(store.put(&response), Reply::Kept);
    let cancelled = Stored {
        status: Status::Cancelled,
        response: br#"{"id":"resp_1","status":"cancelled","error":null}"#.to_vec(),
        ..response.clone()
    };
    for _ in 0..2 {
        let reply = store.reply(Ask::Cancel(response.key.clone()));
        assert_eq!(reply, Reply::Found(Box::new(cancelled.clone())));
    }
    response.status = Status::Completed;
    assert_eq!(store.put(&response), Reply::Cancelled);
    let append = Ask::Append(response.key.clone(), vec![event(0)]);
    assert_eq!(store.reply(append), Reply::Cancelled);
    assert_eq!(store.found(&response.key), cancelled);
    assert_eq!(
        store.events(&response.key, None),
        (Vec::new(), Status::Cancelled)
    );
    // Who asks for it in the foreground cancels by leaving.
    let mut other = background("resp_2", "me");
    other.background = false;
    assert_eq!(store.put(&other), Reply::Kept);
    let reply = store.reply(Ask::Cancel(other.key.clone()));
    assert_eq!(reply, Reply::Found(Box::new(other)));
    store.finish();
}

fn events_come_in_order_and_in_pieces(world: &dyn World) {
    let store = desk(world, usual());
    let response = background("resp_1", "me");
    let key = &response.key;
    assert_eq!(store.put(&response), Reply::Kept);
    let all: Vec<Event> = (0..600).map(event).collect();
    for piece in all.chunks(7) {
        let append = Ask::Append(key.clone(), piece.to_vec());
        assert_eq!(store.reply(append), Reply::Kept);
    }
    // Told twice, kept once.
    let again = Ask::Append(key.clone(), all[..9].to_vec());
    assert_eq!(store.reply(again), Reply::Kept);
    let heartbeat = Ask::Append(key.clone(), Vec::new());
    assert_eq!(store.reply(heartbeat), Reply::Kept);
    let mut got = Vec::new();
    loop {
        let after = got.last().map(|e: &Event| e.number);
        let (events, status) = store.events(key, after);
        assert_eq!(status, Status::InProgress);
        assert!(events.len() <= limits::STORE_EVENTS_MAX);
        if events.is_empty() {
            break;
        }
        got.extend(events);
    }
    assert_eq!(got, all);
    assert_eq!(store.events(key, Some(590)).0, all[591..]);
    // Large ones come fewer at a time, but they come.
    let large: Vec<Event> = (1000..1004)
        .map(|number| Event {
            number,
            data: noise(number, limits::STORE_EVENTS_BYTES * 2 / 3),
        })
        .collect();
    let append = Ask::Append(key.clone(), large.clone());
    assert_eq!(store.reply(append), Reply::Kept);
    assert_eq!(store.events(key, Some(599)).0, large[..2]);
    assert_eq!(store.events(key, Some(1002)).0, large[3..]);
    store.finish();
}

fn a_silent_worker_has_failed(world: &dyn World) {
    let response = background("resp_1", "me");
    let swept = background("resp_2", "me");
    let foreground = Stored {
        background: false,
        ..background("resp_3", "me")
    };
    let store = desk(world, usual());
    for one in [&response, &swept, &foreground] {
        assert_eq!(store.put(one), Reply::Kept);
    }
    sweep(world, usual());
    assert_eq!(store.found(&response.key), response);
    assert_eq!(store.found(&swept.key), swept);
    store.finish();
    // Here, any silence is too long.
    let impatient = Terms {
        silence: Duration::ZERO,
        ..usual()
    };
    let store = desk(world, impatient);
    assert_eq!(store.events(&response.key, None).1, Status::Failed);
    let failed = store.found(&response.key);
    assert_eq!(failed.status, Status::Failed);
    let object: serde_json::Value = serde_json::from_slice(&failed.response).unwrap();
    assert_eq!(object["status"], "failed");
    assert_eq!(object["error"]["code"], "server_error");
    assert_eq!(store.found(&foreground.key), foreground);
    store.finish();
    sweep(world, impatient);
    // It stays so, and for everybody; what a worker still says comes too late.
    let store = desk(world, usual());
    assert_eq!(store.found(&response.key), failed);
    assert_eq!(store.found(&swept.key).status, Status::Failed);
    let late = Stored {
        status: Status::Completed,
        ..response
    };
    assert_eq!(store.put(&late), Reply::Kept);
    assert_eq!(store.found(&late.key), failed);
    store.finish();
}

fn the_old_go(world: &dyn World) {
    let day = Duration::from_secs(86_400);
    let terms = Terms {
        max_age: 2 * day,
        sweep_every: Duration::ZERO,
        ..usual()
    };
    let store = desk(world, usual());
    let aged = |n: usize, days: u64| Stored {
        created_at: now() - days * day.as_secs() - 10,
        ..completed(&format!("resp_{n}_{days}"), "me")
    };
    let young: Vec<Stored> = (0..3).map(|n| aged(n, 1)).collect();
    let old: Vec<Stored> = (0..80).map(|n| aged(n, 2)).collect();
    for one in young.iter().chain(&old) {
        drop(store.desk.ask(Ask::Put(Box::new(one.clone()))));
    }
    store.finish();
    // The thread itself does it, between questions.
    let store = desk(world, terms);
    let until = Instant::now() + Duration::from_secs(20);
    while !old.iter().all(|one| store.is_missing(&one.key)) {
        assert!(Instant::now() < until);
    }
    assert!(young.iter().all(|one| !store.is_missing(&one.key)));
    store.finish();
}

fn the_log_goes_after_the_end(world: &dyn World) {
    let store = desk(world, usual());
    let mut done = background("resp_1", "me");
    let running = background("resp_2", "me");
    for one in [&done, &running] {
        assert_eq!(store.put(one), Reply::Kept);
        let events = (0..2500).map(event).collect();
        let append = Ask::Append(one.key.clone(), events);
        assert_eq!(store.reply(append), Reply::Kept);
    }
    done.status = Status::Completed;
    assert_eq!(store.put(&done), Reply::Kept);
    sweep(world, usual());
    assert_eq!(store.events(&done.key, None).0.len(), 256);
    sweep(
        world,
        Terms {
            events_kept: Duration::ZERO,
            ..usual()
        },
    );
    assert_eq!(
        store.events(&done.key, None),
        (Vec::new(), Status::Completed)
    );
    assert_eq!(store.found(&done.key), done);
    assert_eq!(store.events(&running.key, None).0.len(), 256);
    store.finish();
}

fn the_oldest_go_when_there_is_too_much(world: &dyn World) {
    let store = desk(world, usual());
    let running = Stored {
        created_at: now() - 2000,
        ..background("resp_running", "me")
    };
    assert_eq!(store.put(&running), Reply::Kept);
    let many: Vec<Stored> = (0..100)
        .map(|n| Stored {
            created_at: now() - 1000 + n,
            input: noise(n, 100_000),
            ..completed(&format!("resp_{n}"), "me")
        })
        .collect();
    for one in &many {
        assert_eq!(store.put(one), Reply::Kept);
    }
    let terms = Terms {
        max_bytes: 2_500_000,
        ..usual()
    };
    sweep(world, terms);
    let kept: Vec<bool> = many.iter().map(|s| !store.is_missing(&s.key)).collect();
    let first = kept.iter().position(|kept| *kept).unwrap();
    assert!((75..80).contains(&first), "{first}");
    assert!(kept[first..].iter().all(|kept| *kept));
    assert_eq!(store.found(&many[99].key), many[99]);
    assert_eq!(store.found(&running.key), running);
    store.finish();
}

fn what_was_asked_is_written_before_the_end(world: &dyn World) {
    let store = desk(world, usual());
    let all: Vec<Stored> = (0..600)
        .map(|n| completed(&format!("resp_{n}"), "me"))
        .collect();
    for one in &all {
        // Nobody waits for the answer.
        drop(store.desk.ask(Ask::Put(Box::new(one.clone()))));
    }
    store.finish();
    let store = desk(world, usual());
    for one in &all {
        assert_eq!(store.found(&one.key), *one);
    }
    store.finish();
}

fn two_processes_share_it(world: &dyn World) {
    let name = |process: usize, n: usize| format!("resp_{process}_{n}");
    std::thread::scope(|scope| {
        for process in 0..2 {
            scope.spawn(move || {
                let store = desk(world, usual());
                for n in 0..50 {
                    assert_eq!(store.put(&background(&name(process, n), "me")), Reply::Kept);
                }
                store.finish();
            });
        }
    });
    let (one, other) = (desk(world, usual()), desk(world, usual()));
    for n in 0..50 {
        let mut response = background(&name(1, n), "me");
        let found = one.found(&response.key);
        // It was made some seconds before this one.
        response.created_at = found.created_at;
        assert_eq!(found, response);
        let Reply::Found(seen) = other.reply(Ask::Cancel(response.key.clone())) else {
            panic!("not found");
        };
        response.status = Status::Completed;
        assert_eq!(one.put(&response), Reply::Cancelled);
        assert_eq!(one.found(&response.key), *seen);
    }
    one.finish();
    other.finish();
}

fn a_newer_schema_is_refused(world: &dyn World) {
    let store = desk(world, usual());
    let response = completed("resp_1", "me");
    assert_eq!(store.put(&response), Reply::Kept);
    store.finish();
    world.age_of_tomorrow();
    let store = desk(world, usual());
    for ask in [Ask::Get(response.key.clone()), Ask::Put(Box::new(response))] {
        match store.reply(ask) {
            Reply::Failed(why) => assert!(why.contains("newer"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    store.finish();
}
