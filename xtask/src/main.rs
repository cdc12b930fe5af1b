//! `cargo xtask`: the one entry for people and for CI. Each command sets up what it needs first.

mod bench;
mod build;
mod cli;
mod docker;
mod envoy;
mod floors;
mod instructions;
mod jobs;
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

use cli::Command;
use secure_callbacks_proxies as proxies;
use setup::Part;
use sh::{Cmd, Result};

fn main() -> ExitCode {
    let command = match cli::parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    match proxies::check().and_then(|()| run(command)) {
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
        Command::Help(text) => print!("{text}"),
        Command::Setup => {
            let proxies = proxies::all().iter().map(Part::Proxy);
            let engines = proxies::ENGINES.iter().map(Part::Engine);
            let parts = [Part::Wasm, Part::Packages, Part::TestPackages].into_iter().chain(proxies).chain(engines);
            setup::require(&parts.collect::<Vec<_>>())?;
        }
        Command::Build(builds) => build::together(&builds, Vec::new())?,
        Command::BuildDocker => docker::set_up_and_stage()?,
        Command::Package { twice } => package::run(twice)?,
        Command::Demo { docker: true, arguments } => docker::demo(&arguments)?,
        Command::Demo { docker: false, arguments } => demo(&arguments)?,
        Command::Instructions => instructions::run()?,
        Command::Test(steps, chosen) => return Ok(suites::run(&steps, &chosen)),
        Command::Bench(arguments) => bench::run(&arguments)?,
    }
    Ok(true)
}

/// Gets and builds what the demo shows and nothing else, all of it side by side, and runs it.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    let program = ["-p", "secure-callbacks-harness", "--bin", "demo"];
    // Commands to send are only printed.
    if arguments.first().is_none_or(|argument| argument != "send") {
        let envoy = Part::Proxy(proxies::envoy()?);
        build::together(
            &build::Build::shown(),
            vec![
                Box::new(move || setup::require(&[envoy])),
                Box::new(move || Cmd::cargo(["build"]).args(program).logged("build-demo")),
            ],
        )?;
    }
    Cmd::cargo(["run", "--quiet"]).args(program).arg("--").args(arguments).shown()
}
