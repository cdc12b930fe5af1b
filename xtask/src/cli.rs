//! The command line: what each command is called, what it says of itself, and what it takes.

use lexopt::prelude::{Long, Short, Value};
use lexopt::{Error, Parser};
use secure_callbacks_proxies::{self as proxies, Product, Proxy};

use crate::build::Build;
use crate::suites::Step;

/// What the command line asks for.
#[derive(PartialEq, Eq)]
pub(crate) enum Command {
    /// To be told how it is used: this text.
    Help(String),
    /// What the other commands need.
    Setup,
    /// These artifacts.
    Build(Vec<Build>),
    /// What the images hold.
    BuildDocker,
    /// The packages; made twice, or once.
    Package { twice: bool },
    /// The demo, with the arguments for its program; in containers, or not.
    Demo { docker: bool, arguments: Vec<String> },
    /// These steps; those for further proxies in these alone, if there are any.
    Test(Vec<Step>, Vec<&'static Proxy>),
    /// The count of instructions.
    Instructions,
    /// The benchmark, with the arguments for its program.
    Bench(Vec<String>),
}

/// A command's name, the line about it in the list of all, and all that is to know.
struct About {
    name: &'static str,
    line: &'static str,
    help: &'static str,
}

const COMMANDS: [About; 7] = [
    About {
        name: "demo",
        line: "real Envoy and real Nginx with the example configurations, and callbacks through each",
        help: "\
cargo xtask demo [--keep] [--docker]
cargo xtask demo send [session|archive|sip|composer]

Gets and builds what it shows: Envoy with the filter and with the module, and the system's nginx with its module. Starts
them with envoy/envoy.yaml, envoy/module/envoy.yaml and nginx/nginx.conf and an application behind them, sends each sample
and each kind of forgery through each, and prints one table of what was accepted and refused, and why.

  --keep    leaves them running until Ctrl-C, and prints how to send more
  --docker  the same over mutual TLS, all of it in containers
  send      prints commands that send one genuine callback, freshly signed, through a demo that --keep left running
",
    },
    About {
        name: "test",
        line: "every check and every suite, against the real proxies; `test --help` names the steps",
        help: "\
cargo xtask test [--only STEP]... [--proxy PROXY]... [--docker]

Runs every step, one after the other, and ends with a table, the reasons of what failed, and one count. What it could not
run it names as skipped, with the reason. Where a proxy cannot be had on this machine, SECURE_CALLBACKS_ALLOW_SKIP=1 turns
what needs it from failed into skipped.

  --only STEP    this step alone; may be repeated
  --proxy PROXY  in the steps `envoys` and `nginxes` this proxy alone, and those steps alone if --only names no others;
                 may be repeated
  --docker       the containers alone: the same as --only docker

Steps: {steps}
Proxies: {proxies}
",
    },
    About {
        name: "build",
        line: "the artifacts, into target/dist",
        help: "\
cargo xtask build [envoy] [nginx]
cargo xtask build docker

Gets what the artifacts need and builds them side by side, into target/dist: filter and module for Envoy (`envoy`), the
module for each nginx of proxies.toml (`nginx`), or all. An nginx that is out of reach from here is left out.

  docker  instead what the images of tests/docker hold, into target/docker
",
    },
    About {
        name: "setup",
        line: "what the other commands need; each of them gets that by itself",
        help: "\
cargo xtask setup

Gets beforehand what the other commands get when they need it: Rust's standard library for the filter, the system's packages
(through apt-get, with sudo where you are not root; no service is started), and the Envoys and nginxes of proxies.toml, into
target/tools. What is there already is left alone.
",
    },
    About {
        name: "package",
        line: "what an operator installs, into target/packages",
        help: "\
cargo xtask package [--twice]

Builds the artifacts and packs them: the filter as a file and as an image, and the module in a Debian package for each nginx
that has a `package` in proxies.toml, with lists of what is inside and SHA256SUMS.

  --twice  builds and packs it all again, from nothing, and compares the bytes; takes minutes
",
    },
    About {
        name: "instructions",
        line: "how many the core takes for a callback, against the number noted",
        help: "\
cargo xtask instructions

Counts the instructions that the core takes to accept one callback and to refuse those that anybody can send, and fails if a
number has moved. Needs valgrind (apt-get install valgrind). The numbers are in xtask/src/instructions.rs.
",
    },
    About {
        name: "bench",
        line: "what the check costs, beside what else could do it",
        help: include_str!("../../tests/bench/src/help.txt"),
    },
];

/// Reads the command line.
pub(crate) fn parse(mut line: Parser) -> Result<Command, Error> {
    let name = match line.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Command::Help(list())),
        Some(Value(name)) if name == "help" => return Ok(Command::Help(list())),
        Some(Value(name)) => name.to_string_lossy().into_owned(),
        Some(other) => return Err(other.unexpected()),
    };
    let Some(about) = COMMANDS.iter().find(|about| about.name == name) else {
        return Err(format!("there is no command `{name}`\n\n{}", list()).into());
    };
    arguments(about, &mut line).map_err(|problem| format!("{problem}\n\n{}", help(about)).into())
}

fn arguments(about: &About, line: &mut Parser) -> Result<Command, Error> {
    let mut words = Vec::new();
    // The benchmark reads its own.
    if about.name == "bench" {
        words.extend(line.raw_args()?.map(|word| word.to_string_lossy().into_owned()));
        let asks = words.iter().any(|word| word == "--help" || word == "-h");
        return Ok(if asks { Command::Help(help(about)) } else { Command::Bench(words) });
    }
    let (mut flags, mut steps, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(argument) = line.next()? {
        match (about.name, argument) {
            (_, Short('h') | Long("help")) => return Ok(Command::Help(help(about))),
            ("package", Long(flag @ "twice")) | ("demo", Long(flag @ ("keep" | "docker"))) => {
                flags.push(flag.to_owned())
            }
            ("test", Long("docker")) => steps.push(Step::Docker),
            ("test", Long("only")) => steps.push(step(&line.value()?.to_string_lossy())?),
            ("test", Long("proxy")) => chosen.push(further(&line.value()?.to_string_lossy())?),
            ("build" | "demo", Value(word)) => words.push(word.to_string_lossy().into_owned()),
            (_, other) => return Err(other.unexpected()),
        }
    }
    let has = |flag: &str| flags.iter().any(|given| given == flag);
    Ok(match about.name {
        "demo" => demo(has("docker"), has("keep"), words)?,
        "test" if steps.is_empty() && !chosen.is_empty() => Command::Test(vec![Step::Envoys, Step::Nginxes], chosen),
        "test" if steps.is_empty() => Command::Test(Step::ALL.into(), chosen),
        "test" => Command::Test(steps, chosen),
        "build" => build(&words)?,
        "package" => Command::Package { twice: has("twice") },
        "instructions" => Command::Instructions,
        _ => Command::Setup,
    })
}

fn demo(docker: bool, keep: bool, mut arguments: Vec<String>) -> Result<Command, Error> {
    const SAMPLES: [&str; 4] = ["session", "archive", "sip", "composer"];
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] if keep => arguments.push("--keep".into()),
        [] => {}
        ["send"] if !docker && !keep => {}
        ["send", sample] if !docker && !keep && SAMPLES.contains(sample) => {}
        ["send", ..] => return Err(format!("`send` takes one of {}", SAMPLES.join(", ")).into()),
        [other, ..] => return Err(format!("the demo knows no `{other}`").into()),
    }
    Ok(Command::Demo { docker, arguments })
}

fn build(words: &[String]) -> Result<Command, Error> {
    let mut builds = Vec::new();
    for word in words {
        let product = match word.as_str() {
            "envoy" => Product::Envoy,
            "nginx" => Product::Nginx,
            "docker" if words.len() == 1 => return Ok(Command::BuildDocker),
            other => {
                return Err(
                    format!("`{other}` can't be built{}", if other == "docker" { " with others" } else { "" }).into()
                );
            }
        };
        builds.extend(Build::all().into_iter().filter(|build| build.product() == product));
    }
    Ok(Command::Build(if words.is_empty() { Build::all() } else { builds }))
}

fn step(name: &str) -> Result<Step, Error> {
    let step = Step::ALL.into_iter().find(|step| step.name() == name);
    step.ok_or_else(|| format!("there is no step `{name}`").into())
}

fn further(name: &str) -> Result<&'static Proxy, Error> {
    match proxies::named(name)? {
        proxy if proxy.suites.is_some() => Ok(proxy),
        _ => Err(format!("{name} takes every suite: it runs in every step, not in one of its own").into()),
    }
}

/// All commands, a line each.
fn list() -> String {
    let lines = COMMANDS.iter().map(|about| format!("  {:<13} {}\n", about.name, about.line));
    format!(
        "cargo xtask COMMAND\n\n{}\nEach command gets what it needs by itself. `cargo xtask COMMAND --help` says more.\n",
        lines.collect::<String>()
    )
}

/// What a command says of itself.
fn help(about: &About) -> String {
    let steps: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
    let further = proxies::all().iter().filter(|proxy| proxy.suites.is_some()).map(Proxy::name);
    about.help.replace("{steps}", &steps.join(", ")).replace("{proxies}", &further.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Command, Error> {
        parse(Parser::from_args(words.split_whitespace()))
    }

    #[test]
    fn every_command_says_how_it_is_used() {
        for about in &COMMANDS {
            for asked in ["--help", "-h"] {
                let Ok(Command::Help(text)) = parsed(&format!("{} {asked}", about.name)) else {
                    panic!("{} {asked}", about.name)
                };
                assert!(text.starts_with(&format!("cargo xtask {}", about.name)) && text.lines().count() > 3, "{text}");
                assert!(text.lines().all(|line| line.len() <= 125), "{text}");
                assert!(!text.contains('{'), "{text}");
            }
            assert!(list().contains(&format!("  {} ", about.name)), "{}", about.name);
        }
        for asked in ["", "help", "--help", "-h"] {
            assert!(parsed(asked).is_ok_and(|command| command == Command::Help(list())), "{asked:?}");
        }
    }

    #[test]
    fn a_slip_is_told_with_what_would_have_been_right() {
        for (words, told, with) in [
            ("tset", "there is no command `tset`", "cargo xtask COMMAND"),
            ("test --only proxy", "there is no step `proxy`", "Steps: fmt, "),
            ("test --proxy nginx-1.0", "has no `nginx-1.0`, but envoy-", "--proxy PROXY"),
            ("test --proxy nginx-1.22.1", "takes every suite", "--proxy PROXY"),
            ("demo --kepp", "invalid option '--kepp'", "--keep"),
            ("demo send telephone", "`send` takes one of session", "cargo xtask demo send"),
            ("build apache", "`apache` can't be built", "cargo xtask build"),
            ("setup now", "unexpected argument", "cargo xtask setup"),
            ("package --thrice", "invalid option '--thrice'", "--twice"),
        ] {
            let problem = parsed(words).err().map(|problem| problem.to_string()).unwrap_or_default();
            assert!(problem.starts_with(told) || problem.contains(told), "{words}: {problem}");
            assert!(problem.contains(with), "{words}: {problem}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let envoy = Build::all().into_iter().filter(|build| build.product() == Product::Envoy).collect();
        let demo = |docker, arguments: &[&str]| Command::Demo {
            docker,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        for (words, expected) in [
            ("build", Command::Build(Build::all())),
            ("build envoy", Command::Build(envoy)),
            ("build docker", Command::BuildDocker),
            ("demo", demo(false, &[])),
            ("demo --docker --keep", demo(true, &["--keep"])),
            ("demo send sip", demo(false, &["send", "sip"])),
            ("test", Command::Test(Step::ALL.into(), Vec::new())),
            ("test --only fmt --docker", Command::Test(vec![Step::Fmt, Step::Docker], Vec::new())),
            ("package --twice", Command::Package { twice: true }),
            ("bench --quick", Command::Bench(vec!["--quick".into()])),
        ] {
            assert!(parsed(words).is_ok_and(|command| command == expected), "{words}");
        }
    }
}
