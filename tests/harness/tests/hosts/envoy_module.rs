//! What only Envoy's module has: its name, policies of routes, secrets in files, a buffer limit that it sets itself.
use crate::common::policy;
use crate::configuration::check_envoy;
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::callback::Callback;
use secure_callbacks_harness::proxy::{Directory, Ports, Process, Proxy, envoy, free_port};
use secure_callbacks_harness::running::{Envoy, Running};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Reply};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools;
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::token::{API_KEY, SECRET};
use secure_callbacks_support::{Framing, merged};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub(crate) fn add(tests: &mut Tests<'_>) {
    tests.add("the_example_passes_the_check", example);
    tests.add("another_filter_name_stops_the_start", another_name);
    tests.add("a_route_s_policy_replaces_the_filter_s_and_no_other_does", routes);
    tests.add("a_route_s_policy_of_another_file_lets_nothing_through", another_file);
    tests.add("a_bad_policy_of_a_route_stops_the_start", bad_route);
    tests.add("a_secret_from_a_file", secret_from_file);
    tests.add("each_result_is_counted_from_zero", from_zero);
    tests.add("the_module_is_never_unloaded", stays_loaded);
    tests.add("a_listener_that_comes_back_remembers", removed_and_added);
    tests.add("the_policy_s_limit_of_the_body_is_the_only_one", limit);
}

/// Of releases before 1.38.
pub(crate) fn add_refusal(tests: &mut Tests<'_>) {
    tests.add("a_release_too_old_for_the_module_refuses_it", too_old);
}

/// 1.36 names a function that it does not have; 1.37 says of any file that it can't load that it does not find it.
fn too_old() -> Result<()> {
    let outcome = check_envoy(envoy::filter(&policy(), envoy::Form::Struct, &[]))?;
    let said =
        ["undefined symbol: envoy_dynamic_module_callback_", "libsecure_callbacks.so not found in any search path"];
    let named = said.iter().any(|said| outcome.output.contains(said));
    ensure!(!outcome.success && named, "{}", outcome.output);
    Ok(())
}

fn plain(policy: &Value) -> Value {
    envoy::configuration(policy, envoy::Form::Struct)
}

fn example() -> Result<()> {
    let mut command = Command::new(tools::program(envoy::kind())?);
    command.current_dir(tools::root()).args(["--mode", "validate", "--config-path", "envoy/module/envoy.yaml"]);
    command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", "target/dist").env("VIDEO_SECRET", SECRET);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn another_name() -> Result<()> {
    let outcome = check_envoy(envoy::module_filter("secure_callback", plain(&policy())))?;
    ensure!(!outcome.success, "taken: {}", outcome.output);
    let said = r#"filter_name is "secure_callback", and must be "secure_callbacks""#;
    ensure!(outcome.output.contains(said), "{}", outcome.output);
    Ok(())
}

/// The route's configuration, as its own filter would have it.
fn for_route(name: &str, policy: &Value) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute",
        "dynamic_module_config": { "name": "secure_callbacks" },
        // 1.40 calls it `filter_name`, and takes this too.
        "per_route_config_name": name,
        "filter_config": plain(policy),
    })
}

const OTHER_SECRET: &str = "the secret of the route's own policy";

fn other_policy() -> Value {
    json!({ "name": "other", "accounts": [{ "api_key": API_KEY, "secrets": [format!("text:{OTHER_SECRET}")] }],
            "expose_reason": true })
}

fn routed(prefix: &str, configurations: Value) -> Value {
    json!({ "match": { "prefix": prefix }, "route": { "cluster": "listener_0" }, "typed_per_filter_config": configurations })
}

fn callback(path: &str, secret: &str) -> Callback {
    Callback::signed(&format!("{path}/"), |token| token.secret(secret))
}

fn routes() -> Result<()> {
    let settings = json!({ "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
        routed("/own", json!({ "secure_callbacks": for_route("secure_callbacks", &other_policy()) })),
        // The filter is called otherwise where it stands, so this is nobody's.
        routed("/misspelt", json!({ "secure_callback": for_route("secure_callbacks", &other_policy()) })),
        routed("/", json!({})),
    ] }] } });
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let running = Envoy { settings, ..Envoy::new([filter])? }.start()?;
    for (path, good, bad) in
        [("/own", OTHER_SECRET, SECRET), ("/misspelt", SECRET, OTHER_SECRET), ("/plain", SECRET, OTHER_SECRET)]
    {
        let (good, bad) = (callback(path, good), callback(path, bad));
        running.accepts(&good, 1).with_context(|| path.to_owned())?;
        running.refuses_with(&bad, "signature_invalid").with_context(|| path.to_owned())?;
    }
    let stats = stats(&running)?;
    for (policy, result, count) in
        [("other", "accepted", 1), ("other", "signature_invalid", 1), ("default", "accepted", 2)]
    {
        let line = format!("secure_callbacks_requests_total{{policy=\"{policy}\",result=\"{result}\"}} {count}");
        ensure!(stats.contains(&line), "no {line} in:\n{stats}");
    }
    Ok(())
}

/// A route whose policy is that of another file of the module: nobody here knows it, and nothing passes.
fn another_file() -> Result<()> {
    let directory = Directory::new("copy")?;
    let copy = directory.path().join("libsecure_callbacks_copy.so");
    std::fs::copy(tools::find(envoy::kind())?.filter, &copy)?;
    let mut of_the_copy = for_route("secure_callbacks", &other_policy());
    of_the_copy["dynamic_module_config"] = json!({ "module": { "local": { "filename": copy } } });
    let settings = json!({ "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
        routed("/copy", json!({ "secure_callbacks": of_the_copy })),
        routed("/", json!({})),
    ] }] } });
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let running = Envoy { settings, ..Envoy::new([filter])? }.start()?;
    for secret in [SECRET, OTHER_SECRET] {
        let callback = callback("/copy", secret);
        let reply = running.send(&callback)?;
        ensure!(reply.status == 503, "{} {}", reply.status, reply.text());
        running.untouched(&callback)?;
    }
    ensure!(running.proxy.log().contains("belongs to another module"), "{}", running.log_end());
    running.accepts(&callback("/plain", SECRET), 1)
}

fn bad_route() -> Result<()> {
    for (name, policy, said) in [
        ("secure_callback", other_policy(), "must be \"secure_callbacks\""),
        ("secure_callbacks", json!({ "accounts": [] }), "accounts: "),
    ] {
        let settings = json!({ "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
            routed("/", json!({ "secure_callbacks": for_route(name, &policy) })),
        ] }] } });
        let filter = envoy::filter(&crate::common::policy(), envoy::Form::Struct, &[]);
        let started = Envoy { settings, ..Envoy::new([filter])? }.start();
        let problem = started.err().map(|error| format!("{error:#}")).context("taken")?;
        ensure!(problem.contains(said), "no {said:?} in {problem}");
    }
    Ok(())
}

fn secret_from_file() -> Result<()> {
    let directory = Directory::new("file")?;
    let file = directory.write("secret", format!("{SECRET}\n"))?;
    let policy = json!({ "accounts": [{ "api_key": API_KEY, "secrets": [format!("file:{}", file.display())] }] });
    let filter = envoy::filter(&policy, envoy::Form::Struct, &[]);
    let running = Envoy { directory, ..Envoy::new([filter])? }.start()?;
    running.accepts(&Callback::new(), 1)?;
    ensure!(!running.proxy.log().contains(SECRET), "the secret is in the log");
    let missing = json!({ "accounts": [{ "api_key": API_KEY, "secrets": ["file:there-is-no-such-file"] }] });
    let outcome = check_envoy(envoy::filter(&missing, envoy::Form::Struct, &[]))?;
    let said = "accounts[0].secrets[0]: the file can't be read: No such file";
    ensure!(!outcome.success && outcome.output.contains(said), "{}", outcome.output);
    Ok(())
}

fn stats(running: &Running) -> Result<String> {
    wait(send::get(running.proxy.admin().context("an admin port")?, "/stats/prometheus"))
}

fn from_zero() -> Result<()> {
    let running = Envoy::new([envoy::filter(&policy(), envoy::Form::Struct, &[])])?.start()?;
    let stats = stats(&running)?;
    for result in ["accepted", "signature_invalid", "replayed", "proxy_failed"] {
        let line = format!("secure_callbacks_requests_total{{policy=\"default\",result=\"{result}\"}} 0");
        ensure!(stats.contains(&line), "no {line} in:\n{stats}");
    }
    let line = "secure_callbacks_replay_entries{policy=\"default\"} 0";
    ensure!(stats.contains(line), "no {line} in:\n{stats}");
    Ok(())
}

/// Envoy's own is far below.
fn limit() -> Result<()> {
    const LIMIT: usize = 300_000;
    let policy = merged(policy(), &json!({ "max_body_size": LIMIT }));
    let ports = Ports::new(envoy::kind())?;
    let running = Running::start(async |application| {
        let mut listener =
            envoy::Listener::new(ports.http1, application, envoy::filter(&policy, envoy::Form::Struct, &[]));
        listener.buffer_limit = 16 * 1024;
        Proxy::envoy(Directory::new("limit")?, &[listener], &Vec::new()).await
    })?;
    let running = running.at(vec![ports]);
    for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength] {
        let send = |size: usize| -> Result<(Callback, Reply)> {
            let callback = Callback::with_body(&vec![b'x'; size]).framed(framing);
            let reply = running.send(&callback)?;
            Ok((callback, reply))
        };
        let (callback, reply) = send(LIMIT).with_context(|| format!("{framing:?}"))?;
        running.accepted(&callback, &reply, 1).with_context(|| format!("{framing:?}"))?;
        let (callback, reply) = send(LIMIT + 1).with_context(|| format!("{framing:?}, one more"))?;
        ensure!(reply.status == 413 && reply.code().as_deref() == Some("body_too_large"), "{framing:?}: {reply:?}");
        running.untouched(&callback)?;
    }
    std::thread::sleep(Duration::from_millis(100));
    ensure!(running.proxy.access_log().contains("body_too_large"), "{}", running.log_end());
    Ok(())
}

/// Linked so that it is never unloaded (`DF_1_NODELETE`): the last configuration that goes would take along what is
/// remembered, and a thread would run code that is gone.
fn stays_loaded() -> Result<()> {
    const FLAGS_1: [u8; 8] = 0x6fff_fffb_u64.to_le_bytes();
    let module = std::fs::read(tools::find(envoy::kind())?.filter)?;
    let (entries, _) = module.as_chunks::<8>();
    let flags = entries.windows(2).find(|entry| entry[0] == FLAGS_1).context("no DT_FLAGS_1")?[1];
    ensure!(u64::from_le_bytes(flags) & 8 != 0, "DT_FLAGS_1 is {flags:?}");
    Ok(())
}

/// With another capacity, too.
fn removed_and_added() -> Result<()> {
    let upstream = wait(Upstream::start())?;
    let (ports, admin) = (Ports::new(envoy::kind())?, free_port()?);
    let directory = Directory::new("removed")?;
    let discovered = directory.path().join("discovered");
    std::fs::create_dir(&discovered)?;
    let put = |capacity: Option<u32>| -> Result<()> {
        let listener = capacity.map(|capacity| {
            let mut policy = policy();
            policy["replay_capacity"] = json!(capacity);
            let filter = envoy::filter(&policy, envoy::Form::Struct, &[]);
            let listener = envoy::Listener::new(ports.http1, upstream.address(), filter);
            let mut listener =
                envoy::bootstrap(admin, Path::new("/dev/null"), &[listener])["static_resources"]["listeners"][0].take();
            listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
            listener
        });
        let resources: Vec<_> = listener.into_iter().collect();
        let aside = directory.write("aside.json", json!({ "resources": resources }).to_string())?;
        Ok(std::fs::rename(aside, discovered.join("listeners.json"))?)
    };
    put(Some(1000))?;
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let listener = envoy::Listener::new(ports.http1, upstream.address(), filter);
    let mut bootstrap = envoy::bootstrap(admin, Path::new("/dev/null"), &[listener]);
    bootstrap["static_resources"]["listeners"] = json!([]);
    bootstrap["dynamic_resources"] = json!({ "lds_config": { "resource_api_version": "V3", "path_config_source": {
        "path": discovered.join("listeners.json"), "watched_directory": { "path": discovered },
    } } });
    let config = directory.write("envoy.json", bootstrap.to_string())?;
    let mut command = Command::new(tools::program(envoy::kind())?);
    command.env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", tools::target().join("dist")).arg("--config-path").arg(config);
    command.args(["--use-dynamic-base-id", "--concurrency", "2", "--drain-time-s", "1", "--log-level", "warning"]);
    command.args(["--service-node", "harness", "--service-cluster", "harness"]);
    let process = Process::start(command, &directory.path().join("error.log"))?;
    let listens = |due: bool| {
        let found = || TcpStream::connect(ports.http1).is_ok() == due;
        let seen = (0..300).any(|_| {
            found() || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
        ensure!(seen, "the listener is there: {}; {}", !due, process.output());
        // The configuration goes when its last connection has.
        std::thread::sleep(Duration::from_secs(if due { 0 } else { 2 }));
        Ok(())
    };
    let taken = |callback: &Callback| {
        let reply = wait(send::send(ports, &callback.message))?;
        let deliveries = upstream.deliveries(&callback.id);
        ensure!((reply.status, deliveries) == (200, 1), "{} {}, {deliveries} times", reply.status, reply.text());
        Ok(())
    };
    listens(true)?;
    let callback = Callback::new();
    taken(&callback)?;
    put(None)?;
    listens(false)?;
    put(Some(500))?;
    listens(true)?;
    wait(send::send(ports, &callback.message))?.is(401, "replayed")?;
    taken(&Callback::new())
}
