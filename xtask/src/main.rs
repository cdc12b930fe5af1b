//! `cargo xtask`: the one entry for people and for CI. Each command sets up what it needs first.

mod bench;
mod build;
mod code;
mod docker;
mod envoy;
mod floors;
mod instructions;
mod nginx;
mod package;
mod purity;
mod runner;
mod setup;
mod sh;
mod suite;
mod suites;
mod wasm;

use std::process::ExitCode;

use lexopt::prelude::{Long, Short, Value};
use sh::Result;

const HELP: &str = "\
cargo xtask <command>

  setup                  get what the other commands need: the wasm target, Envoy, nginx and its headers
  build [envoy|envoy-module|nginx]
                         the artifacts, into target/dist
  build docker           what the images of tests/docker hold, into target/docker
  package [--twice]      what an operator installs, into target/packages; built twice, to compare the bytes
  demo [--keep]          real Envoy and real Nginx with the example configurations, and callbacks through both
  demo --docker [--keep] the same over mutual TLS, all of it in containers
  test [--only STEP]...  every suite; STEP is one of:
                         {steps}
  test --docker          the containers alone: the tables over mutual TLS, then the faults
  instructions           how many the core takes to accept a callback, against the number noted (needs valgrind)
  bench [--quick]        what the check costs, beside what else could do it; `bench --help` says more

Each command gets what it needs by itself; `setup` alone is only for doing that beforehand.
";

/// What the command line asks for.
enum Command {
    Help,
    Setup,
    Build(Vec<build::Artifact>),
    BuildDocker,
    Package(bool),
    Demo(Vec<String>),
    Instructions,
    Test(Vec<suites::Step>),
    Bench(Vec<String>),
}

fn main() -> ExitCode {
    let command = match parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", help());
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("\n{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well; an error is still to be told.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Help => {
            print!("{}", help());
        }
        Command::Setup => setup::require(&setup::Part::ALL)?,
        Command::Build(artifacts) => build::set_up_and_build(&artifacts)?,
        Command::BuildDocker => docker::set_up_and_stage()?,
        Command::Demo(mut arguments) if arguments.iter().any(|argument| argument == "--docker") => {
            arguments.retain(|argument| argument != "--docker");
            docker::missing().map_or(Ok(()), Err)?;
            docker::set_up_and_stage()?;
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            docker::run(&[["demo"].as_slice(), &arguments].concat())?;
        }
        Command::Package(twice) => package::run(twice)?,
        Command::Demo(arguments) => {
            setup::require(&setup::Part::PROXIES)?;
            build::Artifact::ALL.into_iter().try_for_each(build::Artifact::build)?;
            sh::Cmd::cargo(["run", "--quiet", "-p", "secure-callbacks-harness", "--bin", "demo", "--"])
                .args(arguments)
                .shown()?;
        }
        Command::Instructions => instructions::run()?,
        Command::Test(steps) => return Ok(suites::run(&steps)),
        Command::Bench(arguments) => bench::run(&arguments)?,
    }
    Ok(true)
}

fn help() -> String {
    let steps: Vec<_> = suites::Step::ALL.iter().map(|step| step.name()).collect();
    HELP.replace("{steps}", &steps.join(", "))
}

fn parse(mut line: lexopt::Parser) -> std::result::Result<Command, lexopt::Error> {
    let Some(first) = line.next()? else { return Ok(Command::Help) };
    let name = match first {
        Value(name) => name.to_string_lossy().into_owned(),
        Short('h') | Long("help") => return Ok(Command::Help),
        other => return Err(other.unexpected()),
    };
    let command = match name.as_str() {
        "help" => Command::Help,
        "setup" => Command::Setup,
        "instructions" => Command::Instructions,
        "package" => match line.next()? {
            Some(Long("twice")) => Command::Package(true),
            Some(other) => return Err(other.unexpected()),
            None => Command::Package(false),
        },
        "build" => {
            let (mut artifacts, mut docker) = (Vec::new(), false);
            while let Some(argument) = line.next()? {
                match argument {
                    Value(value) if value == "envoy" => artifacts.push(build::Artifact::Envoy),
                    Value(value) if value == "envoy-module" => artifacts.push(build::Artifact::EnvoyModule),
                    Value(value) if value == "nginx" => artifacts.push(build::Artifact::Nginx),
                    Value(value) if value == "docker" => docker = true,
                    other => return Err(other.unexpected()),
                }
            }
            if docker {
                return Ok(Command::BuildDocker);
            }
            if artifacts.is_empty() {
                artifacts.extend(build::Artifact::ALL);
            }
            Command::Build(artifacts)
        }
        "bench" => Command::Bench(line.raw_args()?.map(|value| value.to_string_lossy().into_owned()).collect()),
        "demo" => Command::Demo(line.raw_args()?.map(|value| value.to_string_lossy().into_owned()).collect()),
        "test" => {
            let mut steps = Vec::new();
            while let Some(argument) = line.next()? {
                match argument {
                    Long("only") => {
                        let value = line.value()?.to_string_lossy().into_owned();
                        let step = suites::Step::ALL.into_iter().find(|step| step.name() == value);
                        steps.push(step.ok_or_else(|| lexopt::Error::from(format!("there is no step `{value}`")))?);
                    }
                    Long("docker") => steps.push(suites::Step::Docker),
                    other => return Err(other.unexpected()),
                }
            }
            if steps.is_empty() {
                steps.extend(suites::Step::ALL);
            }
            Command::Test(steps)
        }
        other => return Err(format!("there is no command `{other}`").into()),
    };
    match line.next()? {
        Some(extra) => Err(extra.unexpected()),
        None => Ok(command),
    }
}
