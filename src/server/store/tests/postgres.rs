//! The suite with PostgreSQL, and what only PostgreSQL can do.

use super::cluster::Cluster;
use super::suite::SUITE;
use super::*;
use crate::auth::secret::Secret;
use crate::config::Database;
use std::path::Path;

fn world(cluster: &Cluster, name: &str) -> PostgresWorld {
    PostgresWorld(fresh(cluster, name))
}

/// A database of its own for a test, reached by the Unix socket.
pub(in crate::server) fn fresh(cluster: &Cluster, name: &str) -> Database {
    let mut client = connect(&database(cluster, "postgres", false));
    let create = format!("CREATE DATABASE {name}");
    client.batch_execute(&create).unwrap();
    database(cluster, name, false)
}

/// By TCP if `tls`.
pub(in crate::server) fn database(cluster: &Cluster, name: &str, tls: bool) -> Database {
    let host = match tls {
        true => "localhost".to_owned(),
        false => cluster.dir.display().to_string().replace('/', "%2F"),
    };
    Database {
        url: Secret::new(cluster.url(&host, name)),
        shown: format!("postgres://test/{name}"),
        tls,
    }
}

pub(in crate::server) fn connect(database: &Database) -> ::postgres::Client {
    ::postgres::Client::connect(database.url.expose(), ::postgres::NoTls).unwrap()
}

struct PostgresWorld(Database);

impl World for PostgresWorld {
    fn backend(&self, terms: Terms) -> Box<dyn Backend> {
        Box::new(Postgres::new(&self.0, None, terms).unwrap())
    }

    fn age_of_tomorrow(&self) {
        let update = "UPDATE strait_schema SET version = version + 1";
        connect(&self.0).batch_execute(update).unwrap();
    }
}

/// Says why a test cannot run here; in CI that is a failure.
pub(in crate::server) fn skip(why: &str) {
    let required =
        std::env::var_os("CI").is_some() || std::env::var_os("STRAIT_REQUIRE_ALL").is_some();
    assert!(!required, "in CI nothing is skipped: {why}");
    eprintln!("skipped: {why}");
}

#[test]
fn postgres_does_the_same_away_or_not_and_over_tls() {
    let Some(mut cluster) = Cluster::start() else {
        return skip("PostgreSQL is not installed");
    };
    for (name, test) in SUITE {
        println!("{name}");
        test(&world(&cluster, name));
    }
    only_who_is_trusted_is_spoken_to(&cluster);
    a_name_with_a_nul_is_nobodys(&world(&cluster, "nul"));
    it_comes_back(&mut cluster);
}

fn only_who_is_trusted_is_spoken_to(cluster: &Cluster) {
    drop(world(cluster, "over_tls"));
    let database = database(cluster, "over_tls", true);
    let store = |ca_file: Option<&Path>| {
        let backend = Postgres::new(&database, ca_file, usual()).unwrap();
        start(Box::new(backend), usual())
    };
    let response = completed("resp_1", "me");
    let trusting = store(Some(&cluster.ca_file()));
    assert_eq!(trusting.put(&response), Reply::Kept);
    assert_eq!(trusting.found(&response.key), response);
    trusting.finish();
    let other = cluster.ca_file().with_file_name("other.pem");
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&other, issued.cert.pem()).unwrap();
    let wary = store(Some(&other));
    match wary.put(&response) {
        Reply::Failed(why) => assert!(why.contains("certificate"), "{why}"),
        reply => panic!("{reply:?}"),
    }
    wary.finish();
}

fn a_name_with_a_nul_is_nobodys(world: &dyn World) {
    let store = desk(world, usual());
    assert!(store.is_missing(&key("resp_\0", "me")));
    store.finish();
}

fn it_comes_back(cluster: &mut Cluster) {
    let world = world(cluster, "comes_back");
    let store = desk(&world, usual());
    let mut response = background("resp_1", "me");
    assert_eq!(store.put(&response), Reply::Kept);
    // Restarted while nobody asked: nobody notices.
    cluster.end();
    cluster.begin();
    assert_eq!(store.found(&response.key), response);
    cluster.end();
    response.status = Status::Completed;
    for _ in 0..3 {
        match store.put(&response) {
            Reply::Failed(why) => assert!(why.starts_with("postgres://test/comes_back: "), "{why}"),
            reply => panic!("{reply:?}"),
        }
    }
    cluster.begin();
    let until = Instant::now() + Duration::from_secs(20);
    while store.put(&response) != Reply::Kept {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    assert_eq!(store.found(&response.key), response);
    store.finish();
}
