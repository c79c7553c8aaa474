//! The `orebook` command. Results go to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 differences or
//! damage found.

mod bench;
mod cat;
mod check;
mod cli;
mod dataset;
mod desk;
mod explain;
mod health;
mod init;
mod keys;
mod lanes;
mod ledger;
mod mine;
mod reconcile;
#[cfg(feature = "rocksdb")]
mod replay;
mod up;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::up::Duty;

/// What went wrong, said to a person.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Differences or damage were found.
    pub(crate) fn found(mut self) -> Self {
        self.code = 3;
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hint
            .iter()
            .try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Talk goes to stderr; if nobody listens, nothing is lost.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").unwrap_or_default();
}

/// A result goes to stdout.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        // Who reads our lines may go: `cat | head` is no fault.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Logs to stderr, and a panic on any thread ends the process: what it held half done is in no file, and the spool goes on
/// from what is.
fn observe() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::INFO)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        shown(panic);
        std::process::abort();
    }));
}

/// A role without projections.
fn role(args: &cli::RoleArgs, duty: Duty) -> Result<(), Failure> {
    up::run(&args.up(), up::Stores::Memory, duty)
}

/// A role with rows of folds.
fn with_rows(args: &cli::RoleArgs, duty: Duty) -> Result<(), Failure> {
    #[cfg(feature = "rocksdb")]
    let stores = up::Stores::Rocks;
    #[cfg(not(feature = "rocksdb"))]
    let stores = up::Stores::Memory;
    up::run(&args.up(), stores, duty)
}

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    observe();
    lanes::begin();
    let done = match cli.command {
        #[cfg(feature = "rocksdb")]
        cli::Command::Up(args) => up::run(&args, up::Stores::Rocks, Duty::All),
        #[cfg(not(feature = "rocksdb"))]
        cli::Command::Up(_) => Err(Failure::new("this binary was built without RocksDB")
            .hint("`orebook demo` keeps its projections in memory")),
        cli::Command::Demo(args) => up::run(&args, up::Stores::Memory, Duty::All),
        cli::Command::Gateway(args) => role(&args, Duty::Gateway(args.number)),
        cli::Command::Archiver(args) => role(&args, Duty::Archiver(args.number)),
        cli::Command::Settler(args) => role(&args, Duty::Settler),
        cli::Command::Paymaster(args) => with_rows(&args, Duty::Paymaster),
        cli::Command::Projector(args) => with_rows(&args, Duty::Projector),
        cli::Command::Desk(args) => match (args.command, args.role) {
            (Some(desk::args::DeskCommand::Audit(args)), _) => desk::audit(&args),
            (None, Some(args)) => role(&args, Duty::Desk),
            (None, None) => Err(Failure::new("give --data and --config, or `audit`")),
        },
        cli::Command::Key(command) => desk::key(&command),
        cli::Command::Policy(command) => desk::policy(&command),
        cli::Command::Schema(command) => desk::schema(&command),
        cli::Command::Ban(command) => desk::ban(&command),
        cli::Command::Adjust(args) => desk::adjust(&args),
        cli::Command::Writeoff(args) => desk::pay::write_off(&args),
        cli::Command::Dust(command) => desk::dust::dust(&command),
        cli::Command::Pay(command) => desk::pay::pay(&command),
        cli::Command::Account(command) => desk::account(&command),
        cli::Command::Set(args) => desk::set(&args),
        cli::Command::Setting(command) => desk::setting::run(&command),
        cli::Command::Approve(args) => desk::approve(&args),
        cli::Command::Send(args) => desk::send(&args),
        cli::Command::Mine(args) => mine::run(&args),
        cli::Command::Explain(args) => explain::run(&args),
        cli::Command::Reconcile(args) => reconcile::run(&args),
        cli::Command::Check(args) if !args.command.is_empty() => check::command(&args.command),
        cli::Command::Check(args) => up::check(&args, true),
        cli::Command::Health(args) => health::run(&args),
        #[cfg(feature = "rocksdb")]
        cli::Command::Replay(args) => replay::run(&args),
        cli::Command::Bench(args) => bench::run(&args),
        cli::Command::BenchPart { part } => bench::run_part(part),
        cli::Command::Init(args) => init::run(&args),
        cli::Command::Dataset(args) => dataset::run(&args),
        cli::Command::Ledger(command) => ledger::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::from(failure.code)
        }
    }
}
