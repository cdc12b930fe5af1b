//! What the check costs: real Envoy and real Nginx with nothing, with ours and with what else could do it there, side
//! by side in one run. `cargo xtask bench` builds what it needs and starts it.
//!
//! The order of a run: [`peers`] starts each row and proves that it accepts and refuses as it should, [`measure`] takes
//! the rounds with the callbacks that [`load`] sends, [`report`] prints and writes, [`targets`] judges.

mod load;
mod measure;
mod options;
mod peers;
mod report;
mod results;
mod server;
mod targets;

use std::process::ExitCode;

use anyhow::Result;
use options::{Command, Options};
use secure_callbacks_harness::proxy;

fn main() -> ExitCode {
    let command = match options::parse() {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("{problem}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    let outcome = match command {
        Command::Help => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Command::Verifier { port, head_only } => peers::verifier::serve(port, head_only).map(|()| true),
        Command::Bench(options) => {
            let outcome = bench(&options);
            proxy::finish(outcome.is_err());
            outcome
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("\n{problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark; the answer is whether every target that was asked about is met.
fn bench(options: &Options) -> Result<bool> {
    if let Some(count) = options.memory {
        return measure::growth::run(count);
    }
    if let Some(count) = options.instructions {
        return measure::instructions::run(options, count);
    }
    let results = measure::run(options)?;
    report::terminal(&results);
    report::write_json(&results)?;
    if options.write_docs {
        report::write_docs(&results)?;
    }
    if options.check { Ok(targets::check(&results)) } else { Ok(true) }
}
