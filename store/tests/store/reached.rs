//! The ways to a store: passwords, users, TLS, a replica, a cluster.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use redis::Value;
use secure_callbacks::Answer;
use secure_callbacks::replay::shared::{Change, Operation};
use secure_callbacks_harness::certificates::{self, Authority, Leaf};
use secure_callbacks_harness::proxy::{Directory, free_port};
use secure_callbacks_harness::tools;
use secure_callbacks_proxies::Engine;
use secure_callbacks_store::{Outcome, Settings};

use crate::Test;
use crate::holder::{Holder, wait};
use crate::server::{Server, TIMEOUT, settings};

pub(crate) const TESTS: &[Test] = &[
    ("by_a_password", by_a_password),
    ("by_a_restricted_user", by_a_restricted_user),
    ("in_another_database", in_another_database),
    ("over_tls", over_tls),
    ("a_replica_takes_nothing", a_replica_takes_nothing),
    ("a_cluster", a_cluster),
];

const PASSWORD: &str = "correct horse";

fn by_a_password(engine: &'static Engine) -> Result<()> {
    let server = Server::with(engine, &["--requirepass", PASSWORD], Some(PASSWORD))?;
    let right = Holder::new(&settings(&server.url(), Some(PASSWORD), TIMEOUT), 1);
    assert_eq!(right.reserve("a", 1), Answer::Fresh);
    right.kept("a", 1);
    for (password, why) in [(Some("battery staple"), "authentication failed"), (None, "its error NOAUTH")] {
        let wrong = Holder::new(&settings(&server.url(), password, TIMEOUT), 2);
        for _ in 0..5 {
            assert_eq!(wrong.reserve("b", 1), Answer::Unavailable);
        }
        wait(|| !wrong.told.changes().is_empty(), || "it opens".into());
        assert_eq!(wrong.told.changes()[0].1, why);
        assert!(wrong.told.calls().iter().all(|call| call.1 == Outcome::Error), "{:?}", wrong.told.calls());
        assert!(!format!("{:?}", wrong.store()).contains("battery"));
    }
    Ok(())
}

/// With what the documents say such a user needs, and nothing else.
fn by_a_restricted_user(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let rules = ["ACL", "SETUSER", "proxy", "on", ">correct horse", "~sc:*", "+set", "+get", "+del", "+eval"];
    let _: Value = server.asked(&rules)?;
    let here = Holder::new(&settings(&format!("redis://proxy@{}", server.address), Some(PASSWORD), TIMEOUT), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    here.kept("a", 1);
    assert_eq!(here.reserve("a", 2), Answer::Seen);
    assert_eq!(here.reserve("b", 1), Answer::Fresh);
    here.released("b", 1);
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 1);
    let denied: Vec<Value> = server.asked(&["ACL", "LOG"])?;
    assert!(denied.is_empty(), "{denied:?}");

    let _: Value = server.asked(&["ACL", "SETUSER", "proxy", "-eval"])?;
    here.keep("b", 1);
    here.told.wait_for(Operation::Keep, Outcome::Error, 1);
    Ok(())
}

fn in_another_database(engine: &'static Engine) -> Result<()> {
    let server = Server::start(engine)?;
    let here = Holder::new(&settings(&format!("{}/3", server.url()), None, TIMEOUT), 1);
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    let keys: String = server.asked(&["INFO", "keyspace"])?;
    assert!(keys.contains("db3:keys=1") && !keys.contains("db0:"), "{keys}");
    Ok(())
}

/// The authority is the one that the environment names; this program is started again with it.
fn over_tls(engine: &'static Engine) -> Result<()> {
    if let Ok(url) = std::env::var(URL) {
        let here = Holder::new(&settings(&url, None, TIMEOUT), 1);
        println!("answer {:?}", here.reserve("a", 1));
        (0..4).for_each(|_| drop(here.reserve("a", 1)));
        println!("changes {:?}", here.told.changes());
        return Ok(());
    }
    let (ours, theirs) = (Authority::root("Ours"), Authority::root("Theirs"));
    let folder = Directory::new("tls")?;
    let folder = folder.path();
    ours.issue(&Leaf::named("store").dns_names(&["localhost"])).write(folder, "server")?;
    for (name, authority) in [("ours.pem", &ours), ("theirs.pem", &theirs)] {
        certificates::write(folder, name, &authority.pem())?;
    }
    let port = free_port()?.port().to_string();
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key, authority) = (path("server.pem"), path("server.key"), path("ours.pem"));
    let server = Server::with(
        engine,
        &[
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ],
        None,
    )?;
    let asked = |host: &str, trusted: &str| -> Result<String> {
        let name = format!("store::{}::over_tls", engine.name);
        let mut again = Command::new(std::env::current_exe()?);
        again.args(["--exact", &name, "--nocapture"]).env("SSL_CERT_FILE", path(trusted)).env_remove("SSL_CERT_DIR");
        let output = again.env(URL, format!("rediss://{host}:{port}")).output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{said}");
        Ok(said)
    };
    let said = asked("localhost", "ours.pem")?;
    assert!(said.contains("answer Fresh") && said.contains("changes []"), "{said}");
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 1);
    for (host, trusted, why) in [
        ("localhost", "theirs.pem", "UnknownIssuer"),
        ("127.0.0.1", "ours.pem", "not valid for name"),
        ("localhost", "missing.pem", "No such file"),
    ] {
        let said = asked(host, trusted)?;
        assert!(said.contains("answer Unavailable") && said.contains(why), "{host} {trusted}: {said}");
    }
    assert_eq!(server.asked::<i64>(&["DBSIZE"])?, 1);
    Ok(())
}

/// Tells the second start of this program that it is one.
const URL: &str = "SECURE_CALLBACKS_STORE_TEST_URL";

/// A fail-over leaves the connection on what is a replica now. What is behind the address is asked again and again.
fn a_replica_takes_nothing(engine: &'static Engine) -> Result<()> {
    let (old, new) = (Server::start(engine)?, Server::start(engine)?);
    let here = Holder::new(&old.settings(), 1);
    let port = |server: &Server| server.address.port().to_string();
    let _: Value = new.asked(&["REPLICAOF", "127.0.0.1", &port(&old)])?;
    let synced = || new.asked::<String>(&["INFO", "replication"]).unwrap().contains("master_link_status:up");
    wait(synced, || "the replica".into());
    assert_eq!(here.reserve("a", 1), Answer::Fresh);
    here.kept("a", 1);
    let _: i64 = old.asked(&["WAIT", "1", "5000"])?;

    let before = old.connections()?;
    let _: Value = new.asked(&["REPLICAOF", "NO", "ONE"])?;
    let _: Value = old.asked(&["REPLICAOF", "127.0.0.1", &port(&new)])?;
    for _ in 0..5 {
        assert_eq!(here.reserve("b", 1), Answer::Unavailable);
    }
    wait(|| !here.told.changes().is_empty(), || "it opens".into());
    assert_eq!(here.told.changes()[0].1, "its error READONLY");
    let after = old.connections()?;
    assert!(after.iter().all(|connection| !before.contains(connection)), "{before:?} {after:?}");
    // A keep waits for better times.
    here.keep("c", 1);
    // What the new one knows is what the old one had told it.
    let there = Holder::new(&new.settings(), 2);
    assert_eq!(there.reserve("a", 1), Answer::Seen);

    let _: Value = old.asked(&["REPLICAOF", "NO", "ONE"])?;
    wait(|| here.reserve("b", 1) == Answer::Fresh, || "it is asked again".into());
    here.told.wait_for(Operation::Keep, Outcome::Answered, 2);
    assert_eq!(here.told.changes().last().unwrap().0, Change::Closed);
    Ok(())
}

fn a_cluster(engine: &'static Engine) -> Result<()> {
    let node = || -> Result<Server> {
        let bus = free_port()?.port().to_string();
        Server::with(
            engine,
            &["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"],
            None,
        )
    };
    let nodes = [node()?, node()?, node()?];
    let addresses: Vec<SocketAddr> = nodes.iter().map(|node| node.address).collect();
    let output = Command::new(engine.program(&tools::target(), "cli"))
        .args(["--cluster", "create"])
        .args(addresses.iter().map(SocketAddr::to_string))
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let is_up =
        |node: &Server| node.asked::<String>(&["CLUSTER", "INFO"]).is_ok_and(|info| info.contains("cluster_state:ok"));
    wait(|| nodes.iter().all(is_up), || "the cluster".into());

    // Two of its nodes are enough to find all of them.
    let urls = addresses.iter().take(2).map(|address| format!("redis://{address}")).collect();
    let of = Settings::new(urls, None, TIMEOUT)?;
    let (here, there) = (Holder::new(&of, 1), Holder::new(&of, 2));
    let ids: Vec<_> = (0..300).map(|number| format!("{number}")).collect();
    for id in &ids {
        here.ask(id, 1).unwrap();
        here.keep(id, 1);
    }
    here.told.wait_for(Operation::Keep, Outcome::Answered, ids.len());
    assert_eq!(here.told.count(Operation::Reserve, Outcome::Answered), ids.len());
    for node in &nodes {
        let held: i64 = node.asked(&["DBSIZE"])?;
        assert!((50..=150).contains(&held), "one node has {held}");
    }
    assert!(ids.iter().all(|id| there.reserve(id, 1) == Answer::Seen));
    // One server of it, asked as if it were alone, has only its own keys.
    let alone = Holder::new(&nodes[0].settings(), 3);
    let answers: Vec<_> = ids.iter().take(40).map(|id| alone.reserve(id, 1)).collect();
    assert!(answers.contains(&Answer::Unavailable), "{answers:?}");
    assert!(alone.told.calls().iter().any(|call| call.1 == Outcome::Error), "its error MOVED");

    // A slot moves to another node that nobody here was told of.
    let slot_of = |id: &str| nodes[0].asked::<u16>(&["CLUSTER", "KEYSLOT", &here.key(id)]);
    let taken = ids.iter().map(|id| slot_of(id)).collect::<Result<Vec<_>>>()?;
    let moved = (0..).map(|number| format!("moved {number}")).find(|id| !taken.contains(&slot_of(id).unwrap()));
    let moved = moved.context("no free slot")?;
    let slot = slot_of(&moved)?;
    let from = owner_of(&nodes, slot)?;
    let to = nodes.iter().find(|node| node.address != from.address).context("another node")?;
    let id: String = to.asked(&["CLUSTER", "MYID"])?;
    for node in &nodes {
        let _: Value = node.asked(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &id])?;
    }
    assert_eq!(here.reserve(&moved, 1), Answer::Fresh);
    here.kept(&moved, 1);
    assert_eq!(there.reserve(&moved, 1), Answer::Seen);
    assert_eq!(to.asked::<String>(&["GET", &here.key(&moved)])?, "kept");
    assert_eq!(here.told.changes(), []);
    Ok(())
}

fn owner_of(nodes: &[Server; 3], slot: u16) -> Result<&Server> {
    let asked = |node: &&Server| node.asked::<i64>(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]).is_ok();
    let owns = |node: &&Server| {
        let slots: Vec<Vec<Value>> = node.asked(&["CLUSTER", "SLOTS"]).unwrap_or_default();
        slots.iter().any(|range| match range.as_slice() {
            [Value::Int(from), Value::Int(to), Value::Array(owner), ..] => {
                let port = owner.get(1).and_then(|port| redis::from_redis_value::<u16>(port.clone()).ok());
                (*from..=*to).contains(&i64::from(slot)) && port == Some(node.address.port())
            }
            _ => false,
        })
    };
    nodes.iter().filter(asked).find(owns).context("no owner")
}
