//! The command line.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value};

/// What `--help` says; `cargo xtask` says it too, before anything is built.
pub(crate) const HELP: &str = include_str!("help.txt");

/// What the command line asks for.
pub(crate) enum Command {
    Help,
    /// Be the service that `ext_authz` and `auth_request` ask.
    Verifier {
        port: u16,
        head_only: bool,
    },
    Bench(Options),
}

/// How to run the benchmark.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) check: bool,
    pub(crate) write_docs: bool,
    pub(crate) only: Vec<String>,
    pub(crate) against: Option<PathBuf>,
    pub(crate) memory: Option<usize>,
    pub(crate) instructions: Option<usize>,
}

/// How many callbacks `--memory` sends if it is not told.
const MEMORY_COUNT: usize = 1_000_000;

/// How many callbacks `--instructions` sends if it is not told.
const INSTRUCTIONS_COUNT: usize = 1500;

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let mut line = lexopt::Parser::from_env();
    let mut options = Options::default();
    while let Some(argument) = line.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("quick") => options.quick = true,
            Long("check") => options.check = true,
            Long("write-docs") => options.write_docs = true,
            Long("only") => options.only.push(line.value()?.to_string_lossy().into_owned()),
            Long("against") => options.against = Some(line.value()?.into()),
            Long("memory") => options.memory = Some(line.count_or(MEMORY_COUNT)?),
            Long("instructions") => options.instructions = Some(line.count_or(INSTRUCTIONS_COUNT)?),
            Value(value) if value == "verifier" => {
                let port = parse_number(&line.value()?.to_string_lossy())?;
                let head_only = matches!(line.next()?, Some(Long("head-only")));
                return Ok(Command::Verifier { port, head_only });
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Bench(options))
}

fn parse_number<N: std::str::FromStr>(text: &str) -> Result<N, lexopt::Error> {
    text.replace(['_', ','], "").parse().map_err(|_| lexopt::Error::from(format!("`{text}` is not a number")))
}

/// The parser has no look at a value that may be missing.
trait CountOr {
    fn count_or(&mut self, default: usize) -> Result<usize, lexopt::Error>;
}

impl CountOr for lexopt::Parser {
    fn count_or(&mut self, default: usize) -> Result<usize, lexopt::Error> {
        let next = |parser: &mut Self| {
            let mut raw = parser.try_raw_args()?;
            let is_value = raw.peek().is_some_and(|next| !next.to_string_lossy().starts_with('-'));
            if is_value { raw.next() } else { None }
        };
        let count = self.optional_value().or_else(|| next(self));
        count.map_or(Ok(default), |count| parse_number(&count.to_string_lossy()))
    }
}
