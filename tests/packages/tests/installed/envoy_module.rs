//! Envoy's module by `docs/install.md`, its commands as they are printed, with each Envoy that runs it; in a Debian that has
//! no more of a compiler's libraries than an image without a distribution.
use anyhow::{Error, Result, bail, ensure};
use secure_callbacks_harness::tools;
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::package;
use secure_callbacks_proxies::Proxy;

use crate::first_hour::{APPLICATION, INSTALL, script, status};
use secure_callbacks_packages::blocks;

/// What the page leaves out: all but the filter.
const AROUND: &str = r#"static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: 10000 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: callbacks
          use_remote_address: true
          route_config: { virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: application } }] }] }
          http_filters:
LINES
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: application
    load_assignment:
      cluster_name: application
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 8080 } } } }] }]
"#;

pub(crate) fn as_it_is_printed(envoy: &Proxy) -> Result<()> {
    let mut machine = Machine::isolated()?;
    machine.run("find / -xdev -name 'libgcc_s.so*' -delete; mkdir /root/here")?;
    machine.put(&envoy.binary(&tools::target()).map_err(Error::msg)?, "/usr/bin/envoy")?;
    machine.put(&package("libsecure_callbacks-", ".so")?, "/root/here")?;
    let [install, validate, send] = blocks(INSTALL, "sh module")[..] else { bail!("not three blocks of commands") };
    let [lines] = blocks(INSTALL, "yaml module")[..] else { bail!("not one configuration") };
    let lines: Vec<_> = lines.lines().map(|line| format!("          {line}")).collect();
    let mut run = |commands: &str| machine.run(&format!("cd /root/here\n{commands}"));
    run(install)?;
    for (file, text) in [
        ("/etc/envoy/envoy.yaml", AROUND.replace("LINES", &lines.join("\n")).as_str()),
        ("/etc/nginx/conf.d/application.conf", APPLICATION),
        ("send-callback.sh", script()?),
    ] {
        run(&format!("cat > {file} <<'TEXT'\n{text}\nTEXT"))?;
    }
    run("chmod 755 /usr/bin/envoy; nginx")?;
    let said = run(validate)?;
    ensure!(said.contains("OK"), "{said}");
    // This Envoy ends with its parent, which is not the shell of these lines.
    run("sh -c 'envoy -l warning -c /etc/envoy/envoy.yaml; :' > envoy.log 2>&1 &
        for i in $(seq 100); do curl -s http://127.0.0.1:10000/ > /dev/null && exit; sleep 0.1; done; cat envoy.log; exit 1")?;
    let said = run(send)?;
    ensure!(status(&said) == Some("200") && said.contains("taken as accepted"), "signed: {said}");
    let said = run(&format!("{} -d forged", send.trim_end()))?;
    ensure!(status(&said) == Some("401") && !said.contains("taken"), "forged: {said}");
    let said = run("cat envoy.log")?;
    ensure!(said.contains("code=payload_hash_mismatch "), "{said}");
    // Envoy has nothing to say of the module, such as that its binary interface is of another release.
    let complains = |line: &&str| line.contains("dynamic_modules]") && !line.contains("callback refused");
    ensure!(!said.lines().any(|line| complains(&line)), "{said}");
    Ok(())
}
