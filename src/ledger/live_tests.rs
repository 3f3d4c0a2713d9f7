//! What is under way is seen as it goes on.

use super::live::*;
use std::time::{Duration, Instant};

#[test]
fn an_exchange_is_seen_while_it_lasts() {
    let facts = Facts {
        id: "req_1".to_owned(),
        key: "fleet".to_owned(),
        session: String::new(),
        asked: "fast".to_owned(),
        provider: "lab".to_owned(),
        model: "m".to_owned(),
        attempt: 1,
    };
    let live = Live::default();
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let entry = live.enter(facts.clone(), began);
    let second = live.enter(facts, at(5));
    let first = |ms| live.views(at(ms)).remove(0);
    assert_eq!((first(9).phase, first(9).rate), (Phase::Connecting, None));
    entry.waits();
    assert_eq!(first(9).phase.name(), "waiting");
    entry.told(1, at(100));
    entry.sent(30);
    assert_eq!((first(150).rate, first(150).bytes), (None, 30));
    entry.told(7, at(299));
    assert_eq!(first(300).rate, None);
    entry.told(11, at(600));
    let view = first(1000);
    assert_eq!((view.phase, view.events), (Phase::Streaming, 11));
    assert_eq!(view.age, Duration::from_secs(1));
    assert_eq!(view.silent, Some(Duration::from_millis(400)));
    assert_eq!(view.rate, Some(20.0));
    drop(entry);
    assert_eq!((live.count(), first(9).age.as_millis()), (1, 4));
    drop(second);
    assert_eq!(live.views(at(9)), []);
}
