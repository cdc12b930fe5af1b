//! The first hour of somebody who has the package and the documents: the commands of `docs/install.md` and the lines of
//! the README, as they are printed, on Debian as it is installed, with its default server on port 80.
use anyhow::{Context, Result, ensure};
use secure_callbacks_packages::machine::Machine;
use secure_callbacks_packages::{blocks, package_for_system};

/// The page.
pub(crate) const INSTALL: &str = include_str!("../../../../docs/install.md");
const README: &str = include_str!("../../../../README.md");

/// An application on the port that the example names; it says what it was told.
pub(crate) const APPLICATION: &str = "server { listen 127.0.0.1:8080; access_log off; \
                           return 200 \"taken as $http_x_callback_verified\\n\"; }";

/// What no document says, because it is about this machine: apt may not change its user here.
pub(crate) const PREPARE: &str = "echo 'APT::Sandbox::User \"root\";' > /etc/apt/apt.conf.d/50-here; mkdir /root/here";

/// The script that signs and sends a callback.
pub(crate) fn script() -> Result<&'static str> {
    let [script] = blocks(INSTALL, "sh send-callback.sh")[..] else { anyhow::bail!("not one script") };
    Ok(script)
}

/// The status in what `curl -i` printed.
pub(crate) fn status(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.split(' ').next())
}

pub(crate) fn as_it_is_printed() -> Result<()> {
    let ours = package_for_system()?;
    let mut machine = Machine::isolated()?;
    machine.run(PREPARE)?;
    machine.put(&ours, "/root/here")?;
    let script = script()?;
    machine.run(&format!("cat > /root/here/send-callback.sh <<'TEXT'\n{script}\nTEXT"))?;
    machine.run(&format!("cat > /etc/nginx/conf.d/application.conf <<'TEXT'\n{APPLICATION}\nTEXT"))?;
    let [install, restart, unsigned, signed, forged, logs] = blocks(INSTALL, "sh debian")[..] else {
        anyhow::bail!("{} blocks instead of six", blocks(INSTALL, "sh debian").len());
    };
    let mut run = |commands: &str| machine.run(&format!("cd /root/here\n{commands}"));
    run(install)?;
    run(restart)?;
    // What the page says of an answer that is not from here: Debian's default server has the port too.
    let said = run(&unsigned.replace("callbacks.example.com", "other.example.com"))?;
    ensure!(status(&said) == Some("404"), "another name: {said}");

    let said = run(unsigned)?;
    ensure!(status(&said) == Some("401") && said.contains("www-authenticate: Bearer realm=\"callbacks\""), "{said}");
    let said = run(signed)?;
    ensure!(status(&said) == Some("200") && said.contains("taken as accepted"), "signed: {said}");
    let said = run(forged)?;
    ensure!(said.matches("HTTP/1.1 401").count() == 2 && !said.contains("taken"), "forged: {said}");

    let said = run(logs)?;
    let results: Vec<_> = said.split_whitespace().filter_map(|word| word.strip_prefix("result=")).collect();
    ensure!(results == ["token_missing", "accepted", "payload_hash_mismatch", "signature_invalid"], "{said}");
    for code in ["token_missing", "payload_hash_mismatch", "signature_invalid"] {
        ensure!(said.contains(&format!("code={code} ")), "{code} is not in the error log: {said}");
    }
    report_mode(&mut machine, unsigned)
}

/// Report mode, as the example has it ready: forwarded, and both logs say what would have been refused.
fn report_mode(machine: &mut Machine, unsigned: &str) -> Result<()> {
    let said = machine.run(
        "sed -i 's/# mode report;/mode report;/' /etc/nginx/conf.d/callbacks.conf && nginx -t && service nginx restart",
    )?;
    ensure!(!said.contains("are not logged"), "{said}");
    let said = machine.run(unsigned)?;
    ensure!(status(&said) == Some("200") && said.contains("taken as token_missing"), "report mode: {said}");
    let said = machine.run("tail -n 1 /var/log/nginx/callbacks-access.log /var/log/nginx/callbacks-error.log")?;
    ensure!(said.contains("result=token_missing") && said.contains("callback reported"), "report mode: {said}");
    Ok(())
}

/// The README's block for Nginx, in the place of Debian's own configuration.
pub(crate) fn of_the_readme() -> Result<()> {
    let ours = package_for_system()?;
    let mut machine = Machine::isolated()?;
    machine.run(PREPARE)?;
    machine.put(&ours, "/root/here/ours.deb")?;
    machine.run("cd /root/here && apt install ./ours.deb && install -d -m 700 /etc/nginx/secrets")?;
    machine.run("echo secret-of-the-readme | install -m 600 /dev/stdin /etc/nginx/secrets/video")?;
    let [lines] = blocks(README, "nginx")[..] else { anyhow::bail!("not one block for Nginx") };
    let lines = lines.strip_suffix('}').context("the block of http comes last")?;
    let file = format!("{lines}\n{APPLICATION}\n}}\nevents {{}}\npid /run/nginx.pid;");
    machine.run(&format!("cat > /etc/nginx/nginx.conf <<'TEXT'\n{file}\nTEXT\nnginx -t && nginx"))?;
    let script = script()?;
    machine.run(&format!("cat > /tmp/send-callback.sh <<'TEXT'\n{script}\nTEXT"))?;
    let mut answer = |more: &str| {
        machine.run(&format!(
            "sh /tmp/send-callback.sh /etc/nginx/secrets/video a1b2c3d http://127.0.0.1/callbacks/test {more}"
        ))
    };
    let (signed, forged) = (answer("")?, answer("-d forged")?);
    ensure!(status(&signed) == Some("200") && signed.contains("taken as accepted"), "{signed}");
    ensure!(status(&forged) == Some("401"), "{forged}");
    Ok(())
}
