//! `orebook check -- COMMAND…`: a whole command line and the configuration it names, as a service file has them, parsed and
//! judged without starting anything.

use clap::Parser as _;

use crate::cli::{Cli, Command, UpArgs};
use crate::up::{self, Duty};
use crate::{Failure, print};

/// What the words would do.
pub(crate) fn command(words: &[String]) -> Result<(), Failure> {
    let program = std::iter::once("orebook".to_owned());
    let cli = Cli::try_parse_from(program.chain(words.iter().cloned())).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        Failure::new(first.trim_start_matches("error: ")).hint("`orebook help` names the commands")
    })?;
    match &cli.command {
        Command::Up(args) | Command::Demo(args) => role(args, Duty::All),
        Command::Gateway(args) => role(&args.up(), Duty::Gateway(args.number)),
        Command::Archiver(args) => role(&args.up(), Duty::Archiver(args.number)),
        Command::Settler(args) => role(&args.up(), Duty::Settler),
        Command::Paymaster(args) => role(&args.up(), Duty::Paymaster),
        Command::Projector(args) => role(&args.up(), Duty::Projector),
        Command::Desk(args) => match &args.role {
            Some(args) => role(&args.up(), Duty::Desk),
            None => understood(),
        },
        Command::Check(args) => up::check(args, false),
        // These read no configuration: that their words are understood is all there is to say.
        _ => understood(),
    }
}

fn understood() -> Result<(), Failure> {
    print("ok: the command is understood")
}

fn role(args: &UpArgs, duty: Duty) -> Result<(), Failure> {
    let (gateways, http) = up::judge(args, duty)?;
    let ports = gateways.iter().flat_map(|(_, gateway)| &gateway.port);
    let ports: Vec<String> = ports.map(|port| port.listen.to_string()).collect();
    let miners = match ports.len() {
        0 => "no miners".to_owned(),
        _ => format!("miners on {}", ports.join(", ")),
    };
    print(&format!(
        "ok: {duty:?}, {miners}, health and metrics on {http}"
    ))
}
