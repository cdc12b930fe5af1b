//! What only Envoy's module has: its name, policies of routes, secrets in files, a buffer limit that it sets itself.
use crate::common::{Callback, Running, Test, accepted, log_end, policy, refused, untouched};
use crate::configuration::check_envoy;
use crate::envoy::{LEVELS, start};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::ids;
use secure_callbacks_harness::proxy::{Directory, Ports, Process, Proxy, envoy, free_port};
use secure_callbacks_harness::runtime::wait;
use secure_callbacks_harness::send::{self, Message, Reply};
use secure_callbacks_harness::tools;
use secure_callbacks_harness::upstream::Upstream;
use secure_callbacks_support::token::{API_KEY, SECRET};
use secure_callbacks_support::{Framing, Token};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub(crate) fn add(tests: &mut Vec<Test>) {
    tests.push(("the_example_passes_the_check".into(), Box::new(example)));
    tests.push(("another_filter_name_stops_the_start".into(), Box::new(another_name)));
    tests.push(("a_route_s_policy_replaces_the_filter_s_and_no_other_does".into(), Box::new(routes)));
    tests.push(("a_bad_policy_of_a_route_stops_the_start".into(), Box::new(bad_route)));
    tests.push(("a_secret_from_a_file".into(), Box::new(secret_from_file)));
    tests.push(("each_result_is_counted_from_zero".into(), Box::new(from_zero)));
    tests.push(("the_module_is_never_unloaded".into(), Box::new(stays_loaded)));
    tests.push(("a_listener_that_comes_back_remembers".into(), Box::new(removed_and_added)));
    tests.push(("the_policy_s_limit_of_the_body_is_the_only_one".into(), Box::new(limit)));
}

/// Of releases before 1.38.
pub(crate) fn add_refusal(tests: &mut Vec<Test>) {
    tests.push(("a_release_too_old_for_the_module_refuses_it".into(), Box::new(too_old)));
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
    let mut callback = Callback::at(&format!("{path}/{}", ids::unique()), b"{}");
    callback.token = callback.token.secret(secret);
    callback.message = Message::post(&callback.message.path, b"{}", Some(&callback.token.sign()));
    callback
}

fn routes() -> Result<()> {
    let settings = json!({ "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
        routed("/own", json!({ "secure_callbacks": for_route("secure_callbacks", &other_policy()) })),
        // The filter is called otherwise where it stands, so this is nobody's.
        routed("/misspelt", json!({ "secure_callback": for_route("secure_callbacks", &other_policy()) })),
        routed("/", json!({})),
    ] }] } });
    let filter = envoy::filter(&policy(), envoy::Form::Struct, &[]);
    let (running, ports) = start(vec![filter], &settings, LEVELS)?;
    let send = |callback: &Callback| wait(send::send(ports[0], &callback.message));
    for (path, good, bad) in
        [("/own", OTHER_SECRET, SECRET), ("/misspelt", SECRET, OTHER_SECRET), ("/plain", SECRET, OTHER_SECRET)]
    {
        let (good, bad) = (callback(path, good), callback(path, bad));
        accepted(&running.upstream, &good, &send(&good)?, 1).with_context(|| path.to_owned())?;
        refused(&running.upstream, &bad, &send(&bad)?, "signature_invalid").with_context(|| path.to_owned())?;
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

fn bad_route() -> Result<()> {
    for (name, policy, said) in [
        ("secure_callback", other_policy(), "must be \"secure_callbacks\""),
        ("secure_callbacks", json!({ "accounts": [] }), "accounts: "),
    ] {
        let settings = json!({ "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
            routed("/", json!({ "secure_callbacks": for_route(name, &policy) })),
        ] }] } });
        let filter = envoy::filter(&crate::common::policy(), envoy::Form::Struct, &[]);
        let started = start(vec![filter], &settings, LEVELS);
        let problem = started.err().map(|error| format!("{error:#}")).context("taken")?;
        ensure!(problem.contains(said), "no {said:?} in {problem}");
    }
    Ok(())
}

fn secret_from_file() -> Result<()> {
    let directory = Directory::new("file")?;
    let file = directory.write("secret", format!("{SECRET}\n"))?;
    let (running, ports) = wait(async {
        let upstream = Upstream::start().await?;
        let policy = json!({ "accounts": [{ "api_key": API_KEY, "secrets": [format!("file:{}", file.display())] }] });
        let filter = envoy::filter(&policy, envoy::Form::Struct, &[]);
        let ports = Ports::new(envoy::kind())?;
        let listener = envoy::Listener::new(ports.http1, upstream.address(), filter);
        let proxy = Proxy::envoy(directory, &[listener], &Vec::new()).await?;
        anyhow::Ok((Running { proxy, upstream }, ports))
    })?;
    let callback = Callback::new();
    accepted(&running.upstream, &callback, &wait(send::send(ports, &callback.message))?, 1)?;
    ensure!(!running.proxy.log().contains(SECRET), "the secret is in the log");
    let missing = json!({ "accounts": [{ "api_key": API_KEY, "secrets": ["file:there-is-no-such-file"] }] });
    let outcome = check_envoy(envoy::filter(&missing, envoy::Form::Struct, &[]))?;
    let said = "accounts[0].secrets[0]: the file can't be read: No such file";
    ensure!(!outcome.success && outcome.output.contains(said), "{}", outcome.output);
    Ok(())
}

fn stats(running: &Running) -> Result<String> {
    let mut ask = Message::post("/stats/prometheus", b"", None).framed(Framing::None);
    ask.method = "GET".into();
    Ok(wait(send::send_to(running.proxy.admin().context("an admin port")?, &ask))?.text())
}

fn from_zero() -> Result<()> {
    let (running, _) = start(vec![envoy::filter(&policy(), envoy::Form::Struct, &[])], &json!({}), LEVELS)?;
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
    let mut policy = policy();
    policy["max_body_size"] = json!(LIMIT);
    let (running, ports) = wait(async {
        let upstream = Upstream::start().await?;
        let ports = Ports::new(envoy::kind())?;
        let filter = envoy::filter(&policy, envoy::Form::Struct, &[]);
        let mut listener = envoy::Listener::new(ports.http1, upstream.address(), filter);
        listener.buffer_limit = 16 * 1024;
        let proxy = Proxy::envoy(Directory::new("limit")?, &[listener], &Vec::new()).await?;
        anyhow::Ok((Running { proxy, upstream }, ports))
    })?;
    for framing in [Framing::Length, Framing::Chunked, Framing::ChunkedTrailers, Framing::H2, Framing::H2NoLength] {
        let send = |size: usize| -> Result<(Callback, Reply)> {
            let body = vec![b'x'; size];
            let mut callback = Callback::with_body(&body);
            callback.token = Token::valid(&body, crate::common::now());
            callback.message = callback.message.framed(framing);
            let reply = wait(send::send(ports, &callback.message))?;
            Ok((callback, reply))
        };
        let (callback, reply) = send(LIMIT).with_context(|| format!("{framing:?}"))?;
        accepted(&running.upstream, &callback, &reply, 1).with_context(|| format!("{framing:?}"))?;
        let (callback, reply) = send(LIMIT + 1).with_context(|| format!("{framing:?}, one more"))?;
        ensure!(reply.status == 413 && reply.code().as_deref() == Some("body_too_large"), "{framing:?}: {reply:?}");
        untouched(&running.upstream, &callback)?;
    }
    std::thread::sleep(Duration::from_millis(100));
    ensure!(running.proxy.access_log().contains("body_too_large"), "{}", log_end(&running.proxy));
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
    listens(true)?;
    let callback = Callback::new();
    accepted(&upstream, &callback, &wait(send::send(ports, &callback.message))?, 1)?;
    put(None)?;
    listens(false)?;
    put(Some(500))?;
    listens(true)?;
    let again = wait(send::send(ports, &callback.message))?;
    ensure!(again.code().as_deref() == Some("replayed"), "{} {}", again.status, again.text());
    let next = Callback::new();
    accepted(&upstream, &next, &wait(send::send(ports, &next.message))?, 1)
}
