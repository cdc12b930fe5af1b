//! The examples for Istio and Envoy Gateway: what those make of them, put into a bootstrap, is a configuration that the
//! real Envoy takes, and the filter too; and callbacks are verified by it.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test-only code")]

mod gateway;
mod istio;
mod made;

use std::path::PathBuf;
use std::time::Duration;

use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::clock::until;
use secure_callbacks_harness::people::{People, SENDER, SENDER_SUBJECT, Who};
use secure_callbacks_harness::proxy::envoy;
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, tls::Version};
use secure_callbacks_harness::tools::{self, ProxyKind};
use secure_callbacks_proxies::{self as proxies, Artifact};
use serde_json::{Value, json};

use made::Made;

/// What is made of each example, by its name.
fn filters() -> [(&'static str, Made); 2] {
    [("Istio", istio::filter()), ("Envoy Gateway", gateway::filter())]
}

/// The same of the examples with the dynamic module.
fn modules() -> [(&'static str, Made); 2] {
    [("Istio, module", istio::module()), ("Envoy Gateway, module", gateway::module())]
}

/// The Envoy of this run.
fn newest() -> PathBuf {
    tools::program(ProxyKind::Envoy).expect("an Envoy")
}

/// Every Envoy that runs the module.
fn of_the_module() -> impl Iterator<Item = PathBuf> {
    let envoys = proxies::all().iter().filter(|proxy| proxy.takes(Artifact::EnvoyModule));
    envoys.map(|proxy| proxy.program(&tools::target()))
}

#[test]
fn envoy_takes_what_they_make_of_the_examples() {
    for (name, made) in filters().into_iter().chain(modules()) {
        for (field, value) in [
            ("normalize_path", json!(true)),
            ("merge_slashes", json!(true)),
            ("path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
            ("request_timeout", json!("30s")),
        ] {
            assert_eq!(made.connection_manager[field], value, "{name}: {field}");
        }
        assert!(made.filters.iter().all(|filter| filter["disabled"] == true), "{name}");
    }
    for (name, made) in filters() {
        let config = &made.filters[0]["typed_config"]["config"];
        assert_eq!(config["allow_on_headers_stop_iteration"], true, "{name}");
        assert_eq!(config["failure_policy"], "FAIL_RELOAD", "{name}");
        made.validate(&newest()).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
    for (name, made) in modules() {
        for envoy in of_the_module() {
            made.validate(&envoy).unwrap_or_else(|problem| panic!("{name}: {}: {problem}", envoy.display()));
        }
    }
}

/// The check above would see a field that Envoy does not know, a policy that the filter does not, and a file that is not
/// where it is said to be.
#[test]
fn envoy_refuses_what_is_wrong_in_them() {
    let refuses = |mut made: Made, wrong: fn(&mut Made), named: &str| {
        wrong(&mut made);
        let problem = made.validate(&newest()).expect_err(named);
        assert!(problem.contains(named), "{problem}");
    };
    refuses(
        istio::filter(),
        |made| made.filters[0]["typed_config"]["config"]["allow_on_headers_stop"] = json!(true),
        "allow_on_headers_stop",
    );
    refuses(istio::filter(), |made| made.connection_manager["normalise_path"] = json!(true), "normalise_path");
    refuses(
        istio::filter(),
        |made| made.filters[0]["typed_config"]["config"]["configuration"]["value"]["max_agee"] = json!("5m"),
        "max_agee",
    );
    refuses(istio::module(), |made| made.policy()["max_agee"] = json!("5m"), "max_agee");
    refuses(
        istio::module(),
        |made| {
            made.module()["typed_config"]["dynamic_module_config"]["module"]["local"]["filename"] = json!("/none.so")
        },
        "/none.so",
    );
}

#[test]
fn callbacks_are_verified_by_what_they_make() {
    for (name, made) in filters().into_iter().chain(modules()) {
        let site = made.start(&newest());
        let verdict = |callback: &Callback| {
            let status = wait(send::send_to(site.address, &callback.message)).expect(name).status;
            let requests = site.upstream.requests(&callback.id);
            (status, requests.iter().map(|it| it.headers.text("x-callback-verified")).collect::<Vec<_>>())
        };
        assert_eq!(verdict(&Callback::new()), (200, vec![Some("accepted".into())]), "{name}");
        assert_eq!(verdict(&Callback::forged()), (401, vec![]), "{name}");
        // The other routes of the gateway are left alone.
        assert_eq!(verdict(&Callback::below("/other/").without_token()), (200, vec![None]), "{name}");
    }
}

/// Istio leaves out metrics whose names it has not been told of.
#[test]
fn the_module_s_metrics_are_shown_under_their_own_names() {
    for (name, made) in modules() {
        let site = made.start(&newest());
        wait(send::send_to(site.address, &Callback::new().message)).expect(name);
        let line = r#"secure_callbacks_requests_total{policy="video",result="accepted"} 1"#;
        let shown = until(Duration::from_secs(5), || {
            let stats = wait(send::get(site.admin, "/stats/prometheus"))?;
            Ok(stats.lines().any(|shown| shown == line).then_some(()))
        });
        assert!(shown.expect(name).is_some(), "{name}: no {line}");
    }
}

/// With Istio's example a policy may ask for the DNS names of a client certificate, with Envoy Gateway's for the subject:
/// there each callback with a certificate is refused where it asks for names.
#[test]
fn a_client_s_certificate_is_compared_as_far_as_the_examples_say() {
    let names = json!({ "dns_names": [SENDER] });
    let subjects = json!({ "subjects": [SENDER_SUBJECT] });
    let istio: fn() -> Made = istio::module;
    for (name, make, certificate, of_the_sender, of_another) in [
        // The name that is asked for is the second one.
        ("Istio", istio, &names, (Who::SecondName, 200), (Who::OtherName, 401)),
        ("Istio", istio, &subjects, (Who::Sender, 200), (Who::OtherName, 401)),
        ("Envoy Gateway", gateway::module, &subjects, (Who::Sender, 200), (Who::OtherName, 401)),
        ("Envoy Gateway", gateway::module, &names, (Who::Sender, 503), (Who::Nobody, 401)),
    ] {
        let mut made = make();
        made.policy()["client_certificate"] = certificate.clone();
        let people = People::get();
        people.server.write(made.directory.path(), "server").expect("files");
        let file = |name: &str| made.directory.path().join(name);
        made.directory.write("root.pem", people.root.pem()).expect("a file");
        let trusted = json!({ "trusted_ca": { "filename": file("root.pem") } });
        made.transport = envoy::tls((&file("server.pem"), &file("server.key")), trusted, false);
        let site = made.start(&newest());
        for (who, due) in [of_the_sender, of_another] {
            let callback = Callback::new();
            let client = people.client(who, Version::Tls13).expect("a client");
            let reply = wait(client.send(site.address, &callback.message)).expect("a reply");
            assert_eq!(reply.status, due, "{name}: {certificate}: {who:?}");
            assert_eq!(site.upstream.saw(&callback.id), due == 200, "{name}: {certificate}: {who:?}");
        }
    }
}

/// Why `docs/install.md` and the examples say never: where the module can't be fetched, forgeries arrive.
#[test]
fn envoy_leaves_out_a_module_that_it_cannot_fetch() {
    for envoy in of_the_module() {
        let mut made = istio::module();
        // Nobody listens there.
        let address =
            json!({ "uri": "http://127.0.0.1:1/libsecure_callbacks.so", "cluster": "nowhere", "timeout": "1s" });
        made.module()["typed_config"]["dynamic_module_config"]["module"] =
            json!({ "remote": { "http_uri": address, "sha256": "0".repeat(64) } });
        let site = made.start(&envoy);
        let forged = Callback::forged();
        let reply = wait(send::send_to(site.address, &forged.message)).expect("a reply");
        assert_eq!((reply.status, site.upstream.saw(&forged.id)), (200, true), "{}", envoy.display());
    }
}

/// The first that fits.
fn only<'v>(values: &'v Value, fits: impl Fn(&Value) -> bool, what: &str) -> &'v Value {
    let mut fitting = values.as_array().expect(what).iter().filter(|value| fits(value));
    let first = fitting.next().expect(what);
    assert!(fitting.next().is_none(), "more than one {what}");
    first
}
