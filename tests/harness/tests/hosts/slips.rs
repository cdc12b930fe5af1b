//! A secret in the wrong place: whatever the slip, what the proxy says of it names the place and the problem, and never
//! the secret.
use crate::bad_policies::ACCOUNT;
use crate::common::policy;
use crate::configuration::{check_envoy, check_nginx};
use anyhow::{Context, Result, ensure};
use secure_callbacks_harness::proxy::{Outcome, envoy};
use secure_callbacks_harness::suite::Tests;
use secure_callbacks_harness::tools::ProxyKind;
use secure_callbacks_support::merged;
use serde_json::{Value, json};

/// Secrets as people have them: text, base64 as long as it comes out (with and without `=`), hex, letters and `_`.
const SECRETS: [&str; 5] = [
    "tHe-s3cret-Of-a1b2c3d",
    "c2VjcmV0IG9mIGExYjJjM2Q=",
    "Zm9yZ2VkIQ",
    "00112233445566778899aabbccddeeff",
    "My_Secret",
];

/// Blocks with a slip in them, and what is said of it. `#` is the secret, `@` a good account line.
const BLOCKS: [(&str, &str); 43] = [
    ("account a1b2c3d #=;", "accounts[0]: expected `part=value`"),
    ("account a1b2c3d #==;", "accounts[0]: expected `part=value`"),
    ("account a1b2c3d #;", "accounts[0]: "),
    ("account a1b2c3d secret #;", "accounts[0]: expected `part=value`"),
    ("account a1b2c3d secret = #;", "accounts[0]: expected `part=value`"),
    ("account a1b2c3d #=secret;", "accounts[0]: unknown field"),
    ("account a1b2c3d secret=text:long-enough #=x;", "accounts[0]: unknown field"),
    ("account a1b2c3d text:#;", "accounts[0]: "),
    ("account a1b2c3d text:#=x;", "accounts[0]: unknown field"),
    ("account a1b2c3d secret:text:#;", "accounts[0]: "),
    ("account a1b2c3d secret:=#;", "accounts[0]: unknown field"),
    ("account a1b2c3d secret=#;", "accounts[0].secrets[0]: expected env:NAME"),
    ("account a1b2c3d secret=env:#;", "accounts[0].secrets[0]: the environment variable is not set"),
    ("account a1b2c3d secret=file:#;", "accounts[0].secrets[0]: the file can't be read"),
    ("account a1b2c3d secret=txt:#;", "accounts[0].secrets[0]: expected env:NAME"),
    ("account a1b2c3d secrets=text:#;", "accounts[0].secrets: unknown field, did you mean `secret`?"),
    ("account a1b2c3d secrt=text:#;", "accounts[0].secrt: unknown field, did you mean `secret`?"),
    ("account #;", "accounts[0].secrets: required, but missing"),
    ("account secret=text:#;", "accounts[0].api_key: write the key itself"),
    ("account api_key=# secret=text:long-enough;", "accounts[0].api_key: write the key itself"),
    ("account # secret=text:long-enough; account # secret=text:long-enough;", "accounts[1].api_key: another account"),
    ("acount a1b2c3d secret=text:#;", "acount: unknown field, did you mean `account`?"),
    ("accounts a1b2c3d secret=text:#;", "accounts: unknown field, did you mean `account`?"),
    ("secret text:#;", "secret: unknown field"),
    ("secret=text:#;", "lines[0]: unknown field"),
    ("@ #;", "lines[1]: unknown field"),
    ("@ # a1b2c3d;", "lines[1]: unknown field"),
    ("@ #=a1b2c3d;", "lines[1]: unknown field"),
    ("@ mode report #;", "mode: expected exactly one value"),
    ("@ mode #;", "mode: expected one of"),
    ("@ payload_hash #;", "payload_hash: expected one of"),
    ("@ max_age #;", "max_age: expected a duration"),
    ("@ max_body_size #;", "max_body_size: expected a size"),
    ("@ replay #;", "replay: expected one of"),
    ("@ replay_capacity #;", "replay_capacity: expected a whole number"),
    ("@ missing_token_status #;", "missing_token_status: expected a whole number"),
    ("@ token_header \"# x\";", "token_header: only the characters"),
    ("@ source_address #;", "source_addresses[0]: "),
    ("@ client_certificate #;", "client_certificate: "),
    ("@ client_certificate #=x;", "client_certificate: unknown field"),
    ("@ client_certificate sha256_fingerprint=#;", "client_certificate.sha256_fingerprints[0]: "),
    // What nginx itself says.
    ("account a1b2c3d secret=text:# {", "unexpected \"{\""),
    ("account a1b2c3d secret=text:# }", "unexpected \"}\""),
];

pub(crate) fn add(tests: &mut Tests<'_>) {
    let kind = tests.kind;
    let name = "no_slip_shows_a_secret";
    if kind.is_nginx() {
        tests.add(name, move || blocks(kind));
        tests.add("no_slip_in_a_policy_s_name_shows_a_secret", move || names(kind));
    } else {
        for (index, slip) in objects(kind).into_iter().enumerate() {
            tests.add(format!("{name}_{index}"), move || object(index, &slip));
        }
        tests.add("no_slip_in_the_text_shows_a_secret", texts);
    }
}

fn blocks(kind: ProxyKind) -> Result<()> {
    for (block, said) in BLOCKS {
        for secret in SECRETS {
            let lines = block.replace('#', secret).replace('@', &format!("{ACCOUNT}\n"));
            let policy = format!("    secure_callbacks_policy bad {{ {lines} }}\n");
            told(&check_nginx(kind, &policy, "bad")?, secret, said).with_context(|| block.to_owned())?;
        }
    }
    Ok(())
}

fn names(kind: ProxyKind) -> Result<()> {
    for secret in SECRETS {
        let policy = |name: &str, lines: &str| format!("    secure_callbacks_policy {name} {{ {lines} }}\n");
        let good = policy("good", ACCOUNT);
        for (policies, used, said) in [
            (good.clone(), secret, "unknown secure_callbacks_policy in"),
            (good.clone(), "goood", "unknown secure_callbacks_policy \"goood\", did you mean \"good\"?"),
            (policy(secret, ACCOUNT).repeat(2), "good", "secure_callbacks_policy"),
            (policy(secret, "mode report;"), "good", "secure_callbacks_policy: "),
            (policy(&format!("\"{secret} x\""), ACCOUNT), "good", "secure_callbacks_policy: name: only"),
            (policy("bad", "mode report;"), "bad", "secure_callbacks_policy \"bad\": accounts: required"),
        ] {
            told(&check_nginx(kind, &policies, used)?, secret, said)?;
        }
    }
    Ok(())
}

/// Fields with a slip in them, put into a good policy, and what is said of it. `#` is the secret.
fn objects(kind: ProxyKind) -> Vec<(Value, &'static str)> {
    let file = match kind {
        ProxyKind::Envoy => "accounts[0].secrets[0]: file: is not available",
        _ => "accounts[0].secrets[0]: the file can't be read",
    };
    let account = |more: Value| json!({ "accounts": [merged(json!({ "api_key": "a1b2c3d", "secrets": ["text:long-enough"] }), &more)] });
    let mut slips = vec![
        (json!({ "#": "text:long-enough" }), "configuration: unknown field"),
        (json!({ "account": [{ "api_key": "#" }] }), "account: unknown field, did you mean `accounts`?"),
        (account(json!({ "#": 1 })), "accounts[0]: unknown field"),
        (account(json!({ "secret": "text:#" })), "accounts[0].secret: unknown field, did you mean `secrets`?"),
        (account(json!({ "text:#": 1 })), "accounts[0]: unknown field"),
        (account(json!({ "secrets": "#" })), "accounts[0].secrets: expected a list"),
        (account(json!({ "secrets": { "#": 1 } })), "accounts[0].secrets: expected a list"),
        (account(json!({ "secrets": ["#"] })), "accounts[0].secrets[0]: expected env:NAME"),
        (account(json!({ "secrets": ["env:#"] })), "accounts[0].secrets[0]: the environment variable is not set"),
        (account(json!({ "secrets": ["file:#"] })), file),
        (account(json!({ "secrets": [{ "text": "#" }] })), "accounts[0].secrets[0]: expected text"),
        (account(json!({ "secrets": [{ "#": 1 }] })), "accounts[0].secrets[0]: expected text"),
        (account(json!({ "api_key": { "#": 1 } })), "accounts[0].api_key: expected text"),
        (account(json!({ "applications": [["#"]] })), "accounts[0].applications[0]: expected text"),
        (json!({ "accounts": { "#": 1 } }), "accounts: expected a list"),
        (json!({ "accounts": ["#"] }), "accounts[0]: expected an object"),
        (json!({ "client_certificate": { "#": ["x"] } }), "client_certificate: unknown field"),
        (json!({ "client_certificate": "#" }), "client_certificate: expected an object"),
        (
            json!({ "client_certificate": { "sha256_fingerprints": ["#"] } }),
            "client_certificate.sha256_fingerprints[0]: ",
        ),
        (json!({ "source_addresses": ["#"] }), "source_addresses[0]: "),
        (json!({ "name": "# x" }), "name: only"),
    ];
    for field in ["mode", "payload_hash", "max_age", "max_body_size", "replay", "replay_capacity"] {
        slips.push((json!({ field: "#" }), "expected "));
        slips.push((json!({ field: { "#": 1 } }), "expected "));
    }
    slips
}

fn object(index: usize, (fields, said): &(Value, &str)) -> Result<()> {
    // Each is another's turn: Envoy takes a while to start.
    let secret = SECRETS[index % SECRETS.len()];
    let form = if index.is_multiple_of(2) { envoy::Form::Struct } else { envoy::Form::Text };
    let fields: Value = serde_json::from_str(&fields.to_string().replace('#', secret))?;
    told(&check_envoy(envoy::filter(&merged(policy(), &fields), form, &[]))?, secret, said)
}

/// What is no JSON, or not as this policy's reader takes it.
fn texts() -> Result<()> {
    for (index, (text, said)) in [
        (r##"{"#": 1, "#": 2}"##, "configuration: expected each name of an object once"),
        (
            r##"{"accounts": [{"api_key": "k", "secrets": ["text:#"], "secrets": ["text:#"]}]}"##,
            "secrets: given more than once",
        ),
        (r##"{"accounts": [{"api_key": "k", "secrets": ["text:#}]}"##, "not a JSON object (line 1"),
        (r##"{"accounts": [{"api_key": "k", "secrets": [#]}]}"##, "not a JSON object (line 1"),
        (r##""#""##, "configuration: expected an object"),
        ("#", "not a JSON object (line 1"),
    ]
    .into_iter()
    .enumerate()
    {
        let secret = SECRETS[index % SECRETS.len()];
        let mut filter = envoy::filter(&json!({}), envoy::Form::Text, &[]);
        envoy::configuration_of(&mut filter)["value"] = text.replace('#', secret).into();
        told(&check_envoy(filter)?, secret, said).with_context(|| text.to_owned())?;
    }
    Ok(())
}

/// It is refused, for this reason, and nothing that was said holds the secret, nor most of it.
fn told(outcome: &Outcome, secret: &str, said: &str) -> Result<()> {
    ensure!(!outcome.success, "taken: {}", outcome.output);
    ensure!(outcome.output.contains(said), "no {said:?} in: {}", outcome.output);
    let part = secret.get(..8).context("a long secret")?;
    let line = outcome.output.lines().find(|line| line.contains(part));
    ensure!(line.is_none(), "{secret} is in: {}", line.unwrap_or_default());
    Ok(())
}
