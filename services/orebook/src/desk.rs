//! People's commands: made from what the desk says is in force, shown in words, signed here, sent to the desk.
//!
//! Nothing is sent without `--yes`. A secret key is read from its file and goes nowhere: with `--print` the signed command
//! is printed instead, so that it can be signed on one machine and sent from another.

mod account;
pub(crate) mod args;
mod ban;
pub(crate) mod client;
pub(crate) mod dust;
mod make;
pub(crate) mod pay;
pub(crate) mod setting;

use std::path::Path;

use orebook_archiver::now_ms;
use orebook_desk::audit::{AuditError, verify};
use orebook_desk::command::{COMMAND_BYTES_MAX, COMMAND_LIFE_MS_MAX, Command, Signed};
use orebook_desk::words::words;
use orebook_ledger::disk::real::RealDisk;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Account, Event, Hash, LedgerId};
use serde_json::Value;

use self::args::{
    AccountCommand, AdjustArgs, ApproveArgs, AuditArgs, BanCommand, KeyCommand, PolicyCommand,
    SayArgs, SchemaCommand, SendArgs, SetArgs,
};
use self::client::{get, post};
use crate::cat::Object;
use crate::cli::Format;
use crate::{Failure, keys, print, say};

/// Folder of the desk's files, in the pool's.
pub(crate) const DESK: &str = "desk";
/// Most bytes of a file with a command: its hex and a line's end.
const FILE_BYTES_MAX: u64 = 2 * COMMAND_BYTES_MAX as u64 + 2;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600 * 1_000;
/// Milliseconds of a day.
const DAY_MS: u64 = 24 * HOUR_MS;
const _: () = assert!(args::DAYS_MAX as u64 * DAY_MS <= COMMAND_LIFE_MS_MAX);

/// `orebook key`.
pub(crate) fn key(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::New(args) => {
            let signer = keys::create(&args.file)?;
            print(&format!("{}", signer.key()))
        }
        KeyCommand::Show(args) => {
            let state = state(&args.desk)?;
            shown(&state, "keys", args.format, make::key_words)
        }
        KeyCommand::Add { public, role, say } => {
            let state = state(&say.desk)?;
            let event = make::key_added(&state, public, *role)?;
            utter(&state, &event, say)
        }
        KeyCommand::Revoke { public, say } => {
            let state = state(&say.desk)?;
            let event = make::key_revoked(&state, public)?;
            utter(&state, &event, say)
        }
    }
}

/// `orebook policy`.
pub(crate) fn policy(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Show(args) => {
            let state = state(&args.desk)?;
            if args.format == Format::Json {
                return print(&state.get("policy").unwrap_or(&Value::Null).to_string());
            }
            let policy = make::policy_in_force(&state)?;
            print(&orebook_desk::words::policy(&policy))
        }
        PolicyCommand::Set { change, say: how } => {
            let state = state(&how.desk)?;
            let event = make::policy_changed(&state, change)?;
            let now = make::policy_in_force(&state)?;
            say(&format!("now: {}", orebook_desk::words::policy(&now)));
            utter(&state, &event, how)
        }
    }
}

/// `orebook ban`.
pub(crate) fn ban(command: &BanCommand) -> Result<(), Failure> {
    match command {
        BanCommand::List(args) => {
            let state = state(&args.desk)?;
            shown(&state, "bans", args.format, ban::words)
        }
        BanCommand::Add {
            target,
            hours,
            reason,
            say,
        } => {
            let state = state(&say.desk)?;
            let until = hours.map(|hours| now_ms().saturating_add(u64::from(hours) * HOUR_MS));
            let event = ban::added(&state, target, until, reason)?;
            utter(&state, &event, say)
        }
        BanCommand::Lift {
            target,
            reason,
            say,
        } => {
            let state = state(&say.desk)?;
            let event = ban::lifted(&state, target, reason)?;
            utter(&state, &event, say)
        }
    }
}

/// `orebook adjust`.
pub(crate) fn adjust(args: &AdjustArgs) -> Result<(), Failure> {
    let account = ban::account(&state(&args.say.desk)?, &args.account)?;
    let state = state_of(&args.say.desk, &account)?;
    let event = ban::adjusted(&state, account, args)?;
    utter(&state, &event, &args.say)
}

/// `orebook account`.
pub(crate) fn account(command: &AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::Show { name, ask } => {
            let name = account::name(name)?;
            let state = state_of(&ask.desk, &account::account_of(&name))?;
            if ask.format == Format::Json {
                let known = state.pointer("/account/registered");
                return print(&known.unwrap_or(&Value::Null).to_string());
            }
            print(&account::words(&account::known(&state, &name)?))
        }
        AccountCommand::Register { name, change, say } => {
            let name = account::name(name)?;
            let state = state_of(&say.desk, &account::account_of(&name))?;
            let event = account::register(&state, name, change)?;
            utter(&state, &event, say)
        }
        AccountCommand::Import { name, file, say } => import(name, file, say),
        AccountCommand::Token {
            name,
            file,
            say: how,
        } => {
            let name = account::name(name)?;
            let state = state_of(&how.desk, &account::account_of(&name))?;
            let known = account::known(&state, &name)?;
            if !how.yes && !how.print {
                say(&format!(
                    "a token of {} would be made in {}; nothing was made: --yes makes it and says its hash",
                    name.as_str(),
                    file.display()
                ));
                return Ok(());
            }
            let event = account::token(known, file)?;
            say(&format!("the token is in {}", file.display()));
            utter(&state, &event, how)
        }
    }
}

/// Registers the workers of a file, batch behind batch: each expects the one before, so it waits until that is final.
fn import(name: &str, file: &Path, how: &SayArgs) -> Result<(), Failure> {
    let named = account::workers_of(file)?;
    let name = account::name(name)?;
    let state = state_of(&how.desk, &account::account_of(&name))?;
    let known = account::known(&state, &name)?;
    let count = named.len();
    let batches = account::batches(&known, named);
    let new: usize = batches.iter().map(Vec::len).sum();
    say(&format!(
        "{}: {count} workers, of which {} are registered already; {new} in {} events",
        file.display(),
        count - new,
        batches.len()
    ));
    if how.print && 1 < batches.len() {
        return Err(Failure::new(
            "each batch expects the place of the one before: --print prints one only",
        )
        .hint("sign near the desk, with --yes"));
    }
    let mut place = known.expects;
    let count = batches.len();
    for (number, workers) in (1..).zip(batches) {
        let event = account::batch(&known, place, workers);
        let Some(answer) = said_in(make::ledger(&state)?, &event, how)? else {
            // Only shown, or printed.
            return Ok(());
        };
        let at = answer.get("at").and_then(make::place);
        let is_obeyed = answer
            .get("outcome")
            .is_some_and(|outcome| outcome == "obeyed");
        match at.filter(|_| is_obeyed) {
            Some(at) => place = at,
            None => {
                told(&answer, how.format)?;
                return Err(Failure::new(format!(
                    "batch {number} of {count} is not in effect: {}",
                    message(&answer)
                ))
                .hint("when it is, run the import again: what is registered is left out"));
            }
        }
        say(&format!(
            "batch {number} of {count} is registered at {place}"
        ));
        if number == count {
            told(&answer, how.format)?;
        }
    }
    Ok(())
}

/// `orebook set`.
pub(crate) fn set(args: &SetArgs) -> Result<(), Failure> {
    let how = args.what.say();
    let account = account::whose(&state(&how.desk)?, &args.account)?;
    let state = state_of(&how.desk, &account)?;
    let event = account::set(&state, account, &args.what)?;
    utter(&state, &event, how)
}

/// `orebook schema`.
pub(crate) fn schema(command: &SchemaCommand) -> Result<(), Failure> {
    let SchemaCommand::Announce { say } = command;
    let state = state(&say.desk)?;
    let event = make::schema_set(&state)?;
    utter(&state, &event, say)
}

/// `orebook approve`.
pub(crate) fn approve(args: &ApproveArgs) -> Result<(), Failure> {
    let thing = make::hash(&args.thing)?;
    let signer = keys::read(&args.say.key)?;
    let ledger = match &args.ledger {
        Some(text) => LedgerId::parse(text)
            .ok_or_else(|| Failure::new(format!("{text} is no ledger's uuid")))?,
        None => {
            let state = state(&args.say.desk)?;
            match make::thing_words(&state, thing)? {
                Some(words) => say(&format!("the thing: {words}")),
                None => say(
                    "no thing of this digest waits at the desk: if it is not a batch that `orebook pay status` shows, or a resume whose digest \
                     `orebook pay resume` printed, you approve what is not shown",
                ),
            }
            make::ledger(&state)?
        }
    };
    let event = make::approval(ledger, thing, &signer);
    utter_in(ledger, &event, &args.say)
}

/// `orebook send`.
pub(crate) fn send(args: &SendArgs) -> Result<(), Failure> {
    let shown = args.file.display();
    let failed = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
    let len = std::fs::metadata(&args.file).map_err(failed)?.len();
    let text = if len <= FILE_BYTES_MAX {
        std::fs::read_to_string(&args.file).map_err(failed)?
    } else {
        String::new()
    };
    let bytes = unhex(text.trim())
        .filter(|bytes| Signed::read(bytes).is_ok())
        .ok_or_else(|| Failure::new(format!("{shown}: no command that --print printed")))?;
    let answer = deliver(&bytes, &args.desk)?;
    told(&answer, args.format)
}

/// `orebook desk audit`.
pub(crate) fn audit(args: &AuditArgs) -> Result<(), Failure> {
    let disk = RealDisk::new(args.data.clone());
    let trail = verify(&disk, DESK, &mut |_| {}).map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            AuditError::Damaged { .. } => failure.found(),
            AuditError::Disk(_) => failure,
        }
    })?;
    if args.format == Format::Json {
        let mut object = Object::new();
        object
            .raw("lines", trail.lines)
            .raw("first", trail.first)
            .raw("torn_bytes", trail.torn_bytes)
            .text("last", trail.last);
        return print(&object.end());
    }
    let kept = if 1 < trail.first {
        format!(
            "lines {} to {} (older files were dropped)",
            trail.first, trail.lines
        )
    } else {
        format!("{} lines", trail.lines)
    };
    print(&format!(
        "{kept}, each follows the one before it; the last one's SHA-256 is {}; {} bytes of a torn line behind it",
        trail.last, trail.torn_bytes
    ))
}

/// What is in force, as the desk says.
fn state(desk: &str) -> Result<Value, Failure> {
    state_at(desk, "/state")
}

/// The same, with what the desk knows of an account.
fn state_of(desk: &str, account: &Account) -> Result<Value, Failure> {
    state_at(desk, &format!("/state?account={account}"))
}

fn state_at(desk: &str, path: &str) -> Result<Value, Failure> {
    let (status, body) = get(desk, path)?;
    if status == 200 {
        Ok(body)
    } else {
        Err(Failure::new(message(&body)))
    }
}

fn shown(
    state: &Value,
    what: &str,
    format: Format,
    words: fn(&Value) -> String,
) -> Result<(), Failure> {
    let list = state.get(what).and_then(Value::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    if format == Format::Json {
        return print(&Value::from(list).to_string());
    }
    let lines: Vec<String> = list.iter().map(words).collect();
    print(&lines.join("\n"))
}

/// Says what would be said, and with `--yes` says it.
fn utter(state: &Value, event: &Event, how: &SayArgs) -> Result<(), Failure> {
    utter_in(make::ledger(state)?, event, how)
}

fn utter_in(ledger: LedgerId, event: &Event, how: &SayArgs) -> Result<(), Failure> {
    match said_in(ledger, event, how)? {
        Some(answer) => told(&answer, how.format),
        None => Ok(()),
    }
}

/// Says what would be said, and with `--yes` says it: its answer; with `--print` prints it instead.
fn said_in(ledger: LedgerId, event: &Event, how: &SayArgs) -> Result<Option<Value>, Failure> {
    say(&format!("to be said: {}", words(event)));
    if !how.yes && !how.print {
        say("nothing was sent: --yes sends it, --print prints it signed for `orebook send`");
        return Ok(None);
    }
    let signer = keys::read(&how.key)?;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let command = Command {
        ledger,
        operator: signer.key(),
        nonce,
        until_ms: now_ms().saturating_add(u64::from(how.days).saturating_mul(DAY_MS)),
        event: event.clone(),
    };
    let bytes = command.sign(&signer);
    if how.print {
        return print(&hex(&bytes)).map(|()| None);
    }
    deliver(&bytes, &how.desk).map(Some)
}

/// Sends a command: its answer. Who does not get one asks by the command's id, or sends the same bytes again.
fn deliver(bytes: &[u8], desk: &str) -> Result<Value, Failure> {
    let id = Signed::read(bytes).map_or(Hash::ZERO, |signed| signed.id);
    let (status, body) = post(desk, "/commands", bytes).map_err(|failure| {
        failure.hint(format!(
            "whether it was taken: GET /commands/{id} of the desk"
        ))
    })?;
    if status != 200 {
        return Err(refused(&body));
    }
    Ok(body)
}

/// Why something was not done, as the desk says.
fn refused(body: &Value) -> Failure {
    let named = |name| body.get(name).and_then(Value::as_str);
    let cause = named("cause").or_else(|| named("outcome"));
    let cause = cause.unwrap_or("no answer");
    Failure::new(format!("{cause}: {}", message(body)))
}

/// Shows an answer.
fn told(body: &Value, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return print(&body.to_string());
    }
    let place = body.get("at").and_then(Value::as_array);
    let place = place.map_or_else(String::new, |at| {
        let numbers: Vec<String> = at.iter().map(ToString::to_string).collect();
        format!(" (at {})", numbers.join("."))
    });
    let thing = body.pointer("/thing/digest").and_then(Value::as_str);
    let thing = thing.map_or_else(String::new, |thing| {
        let wants = ["waits", "said"]
            .map(Value::from)
            .contains(&body["outcome"]);
        let next = if wants {
            format!("\nnext     orebook approve --thing {thing} --key FILE --yes")
        } else {
            String::new()
        };
        format!("\nthing    {thing}{next}")
    });
    let id = body["id"].as_str().unwrap_or("?");
    print(&format!("{}{place}{thing}\ncommand  {id}", message(body)))
}

fn message(body: &Value) -> String {
    body["message"].as_str().unwrap_or("no answer").to_owned()
}
