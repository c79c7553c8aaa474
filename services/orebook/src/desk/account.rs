//! Registered accounts and settings from what people type.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use orebook::workers::{self, FILE_BYTES_MAX};
use orebook_desk::command::COMMAND_BYTES_MAX;
use orebook_schema::account::{REGISTERED_WORKERS_MAX, Registration, SetBy, Setting, SettingValue};
use orebook_schema::names::{RegisteredName, WorkerName};
use orebook_schema::units::unhex;
use orebook_schema::{Account, At, Event, Hash};
use serde_json::Value;

use super::args::{RegisterArgs, SetCommand};
use super::ban;
use super::make::{place, strange};
use crate::{Failure, keys};

/// Bytes of a command's workers at most: what the rest of the command needs is left.
const BATCH_BYTES_MAX: usize = COMMAND_BYTES_MAX - 512;

/// A name as people type it.
pub(super) fn name(text: &str) -> Result<RegisteredName, Failure> {
    RegisteredName::parse(text).ok_or_else(|| {
        Failure::new(format!("{text} is no name: 1 to 32 of a-z 0-9 _ -"))
            .hint("upper case is read as lower case")
    })
}

/// The account of a name as the desk's state is asked for it.
pub(super) fn account_of(name: &RegisteredName) -> Account {
    Account::Name(name.clone())
}

/// What a name is registered as; none if it is not.
fn registered(state: &Value, name: &RegisteredName) -> Result<Option<Registration>, Failure> {
    let account = state.get("account").ok_or_else(|| strange("account"))?;
    let known = account
        .get("registered")
        .ok_or_else(|| strange("account"))?;
    if known.is_null() {
        return Ok(None);
    }
    let read = || {
        let token = match &known["token"] {
            Value::Null => None,
            text => Some(Hash(unhex(text.as_str()?)?.try_into().ok()?)),
        };
        let workers = known["workers"].as_array()?;
        let workers = workers
            .iter()
            .map(|worker| WorkerName::parse(worker.as_str()?));
        Some(Registration {
            name: name.clone(),
            expects: place(&known["at"])?,
            payout: Account::parse(known["payout"].as_str()?)?,
            threshold: known["threshold"].as_str()?.parse().ok()?,
            token,
            registered_only: known["registered_only"].as_bool()?,
            workers: workers.collect::<Option<Vec<_>>>()?,
        })
    };
    read()
        .map(Some)
        .ok_or_else(|| strange("registered account"))
}

/// What must be registered before.
pub(super) fn known(state: &Value, name: &RegisteredName) -> Result<Registration, Failure> {
    registered(state, name)?.ok_or_else(|| {
        let name = name.as_str();
        Failure::new(format!("no account is registered as {name}")).hint(format!(
            "orebook account register {name} --payout ADDRESS …"
        ))
    })
}

/// One registered account in words.
pub(super) fn words(known: &Registration) -> String {
    let threshold = match known.threshold {
        0 => "the policy's".to_owned(),
        threshold => format!("{threshold} base units"),
    };
    format!(
        "{}\npayout       {}\nthreshold    {threshold}\ntoken        {}\nonly registered workers  {}\nworkers      {}",
        known.name.as_str(),
        known.payout,
        known
            .token
            .map_or_else(|| "none".to_owned(), |hash| format!("SHA-256 {hash}")),
        known.registered_only,
        known.workers.len(),
    )
}

/// A name is registered, or said again with what is given changed.
pub(super) fn register(
    state: &Value,
    name: RegisteredName,
    change: &RegisterArgs,
) -> Result<Event, Failure> {
    if ban::account(state, name.as_str()).is_ok() {
        return Err(Failure::new(format!(
            "{} is an address of the coin: miners use it without being registered",
            name.as_str()
        )));
    }
    let before = registered(state, &name)?;
    let payout = match (&change.payout, &before) {
        (Some(text), _) => payout(state, text)?,
        (None, Some(before)) => before.payout.clone(),
        (None, None) => {
            return Err(Failure::new("a new name needs --payout, where it is paid"));
        }
    };
    let threshold = before.as_ref().map_or(0, |before| before.threshold);
    let registered_only = before.as_ref().is_some_and(|before| before.registered_only);
    Ok(Event::Account(Box::new(Registration {
        expects: before
            .as_ref()
            .map_or_else(At::default, |before| before.expects),
        name,
        payout,
        threshold: change.threshold.unwrap_or(threshold),
        token: before.and_then(|before| before.token),
        registered_only: change.only_registered.unwrap_or(registered_only),
        workers: Vec::new(),
    })))
}

/// Where somebody is paid: an address of the coin, or its canonical text.
fn payout(state: &Value, text: &str) -> Result<Account, Failure> {
    match ban::account(state, text)? {
        Account::Name(_) => Err(Failure::new(format!("{text} is no payout address"))),
        address => Ok(address),
    }
}

/// A token in a new file; the registration that says its hash.
pub(super) fn token(known: Registration, file: &Path) -> Result<Event, Failure> {
    let token = keys::create_token(file)?;
    Ok(Event::Account(Box::new(Registration {
        token: Some(Hash::of(&[&token])),
        workers: Vec::new(),
        ..known
    })))
}

/// The workers that a file names, in the order of their bytes.
pub(super) fn workers_of(file: &Path) -> Result<Vec<WorkerName>, Failure> {
    let shown = file.display();
    let failed = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
    let opened = File::open(file).map_err(failed)?;
    let mut bytes = Vec::new();
    // One byte more than is taken: the parser says that it is too long.
    let mut limited = opened.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    workers::parse(&bytes).map_err(|faults| {
        let lines: Vec<String> = faults
            .iter()
            .map(|fault| format!("{shown}: {fault}"))
            .collect();
        Failure::new(lines.join("\n")).hint("nothing was sent")
    })
}

/// The workers that are not registered yet, as they are said: some hundred at a time.
pub(super) fn batches(known: &Registration, named: Vec<WorkerName>) -> Vec<Vec<WorkerName>> {
    let mut batches: Vec<Vec<WorkerName>> = Vec::new();
    let mut bytes = 0;
    for worker in named {
        if known.workers.binary_search(&worker).is_ok() {
            continue;
        }
        let len = 1 + worker.as_str().len();
        let full = |batch: &&mut Vec<WorkerName>| batch.len() < REGISTERED_WORKERS_MAX;
        match batches
            .last_mut()
            .filter(full)
            .filter(|_| bytes + len <= BATCH_BYTES_MAX)
        {
            Some(batch) => batch.push(worker),
            None => {
                bytes = 0;
                batches.push(vec![worker]);
            }
        }
        bytes += len;
    }
    batches
}

/// A batch of workers behind the registration at a place.
pub(super) fn batch(known: &Registration, expects: At, workers: Vec<WorkerName>) -> Event {
    Event::Account(Box::new(Registration {
        expects,
        workers,
        ..known.clone()
    }))
}

/// Whose settings: a registered name, an address or a canonical text.
pub(super) fn whose(state: &Value, text: &str) -> Result<Account, Failure> {
    match (ban::account(state, text), RegisteredName::parse(text)) {
        (Ok(account), _) => Ok(account),
        (Err(_), Some(name)) => Ok(Account::Name(name)),
        (Err(failure), None) => Err(failure),
    }
}

/// A setting by the operator.
pub(super) fn set(state: &Value, account: Account, what: &SetCommand) -> Result<Event, Failure> {
    if let Account::Name(name) = &account {
        known(state, name)?;
    }
    let value = match what {
        SetCommand::Threshold { threshold, .. } => SettingValue::Threshold(*threshold),
        SetCommand::Address { address, .. } => SettingValue::Address(payout(state, address)?),
        SetCommand::Donation { ppm, .. } => SettingValue::Donation(*ppm),
        SetCommand::PayNow { .. } => SettingValue::PayNow,
    };
    let expects = state.pointer("/account/set").and_then(place);
    Ok(Event::Setting(Box::new(Setting {
        account,
        expects: expects.ok_or_else(|| strange("last setting of the account"))?,
        by: SetBy::Operator,
        value,
        proof: Vec::new(),
    })))
}

#[cfg(test)]
mod tests {
    use orebook_schema::units::hex;
    use serde_json::json;

    use super::super::args::SayArgs;
    use super::*;

    const ADDRESS: &str = "ob1q2aul8m749aphmnrea66ajddz0ga2mxea5venuu";

    fn state(registered: &Value) -> Value {
        json!({
            "coin": "dev",
            "account": { "adjusted": [0, 0], "set": [9, 1], "registered": registered },
        })
    }

    fn anna() -> Value {
        json!({
            "at": [7, 2], "payout": "script:51", "threshold": "20", "token": "05".repeat(32),
            "registered_only": true, "workers": ["a", "b"],
        })
    }

    fn said(event: Result<Event, Failure>) -> Registration {
        match event {
            Ok(Event::Account(said)) => *said,
            other => panic!("{other:?}"),
        }
    }

    fn say() -> SayArgs {
        SayArgs {
            desk: String::new(),
            key: "k".into(),
            yes: false,
            print: false,
            days: 1,
            format: crate::cli::Format::Text,
        }
    }

    fn nothing() -> RegisterArgs {
        RegisterArgs {
            payout: None,
            threshold: None,
            only_registered: None,
        }
    }

    #[test]
    fn a_registration_repeats_what_is_not_given() {
        let name = || name("Anna").unwrap();
        let again = said(register(&state(&anna()), name(), &nothing()));
        assert_eq!(again.name.as_str(), "anna");
        assert_eq!((again.expects.position, again.expects.index), (7, 2));
        assert_eq!(
            (again.payout.to_string().as_str(), again.threshold),
            ("script:51", 20)
        );
        assert_eq!(
            (again.token, again.registered_only),
            (Some(Hash([5; 32])), true)
        );
        assert!(again.workers.is_empty());
        let change = RegisterArgs {
            payout: Some(ADDRESS.to_owned()),
            threshold: Some(0),
            only_registered: Some(false),
        };
        let changed = said(register(&state(&anna()), name(), &change));
        assert!(changed.payout.to_string().starts_with("script:0014"));
        assert_eq!((changed.threshold, changed.registered_only), (0, false));
        let new = said(register(&state(&Value::Null), name(), &change));
        assert_eq!((new.expects, new.token), (At::default(), None));
        for (state, name, change) in [
            // A new name without an address, an address that is none, a name that is an address.
            (state(&Value::Null), name(), nothing()),
            (
                state(&Value::Null),
                name(),
                RegisterArgs {
                    payout: Some("name:ben".to_owned()),
                    ..nothing()
                },
            ),
            (
                state(&Value::Null),
                name(),
                RegisterArgs {
                    payout: Some("nobody".to_owned()),
                    ..nothing()
                },
            ),
        ] {
            assert!(
                register(&state, name.clone(), &change).is_err(),
                "{name:?} {change:?}"
            );
        }
    }

    #[test]
    fn a_list_is_said_in_batches_without_those_that_are_registered() {
        let known = known(&state(&anna()), &name("anna").unwrap()).unwrap();
        let worker = |text: &str| WorkerName::parse(text).unwrap();
        let list = |count: usize, width: usize| -> Vec<WorkerName> {
            (0..count)
                .map(|number| worker(&format!("{number:0width$}")))
                .collect()
        };
        let sizes = |named| -> Vec<usize> { batches(&known, named).iter().map(Vec::len).collect() };
        assert_eq!(sizes(vec![worker("a"), worker("b")]), [0; 0]);
        assert_eq!(sizes(vec![worker("a"), worker("c")]), [1]);
        assert_eq!(sizes(list(400, 5)), [400]);
        assert_eq!(sizes(list(801, 5)), [400, 400, 1]);
        // Long names: by bytes, and each command is within its limit.
        let long = batches(&known, list(300, 64));
        assert_eq!(long.iter().map(Vec::len).sum::<usize>(), 300);
        for workers in long {
            let event = batch(&known, At::default(), workers);
            assert!(event.is_legal());
            assert!(event.to_bytes(0).len() + 200 <= COMMAND_BYTES_MAX);
        }
    }

    #[test]
    fn a_setting_expects_the_accounts_last_one_and_a_name_is_registered_before() {
        let pay = SetCommand::Donation { ppm: 5, say: say() };
        let anna_is = whose(&state(&anna()), "ANNA").unwrap();
        assert_eq!(anna_is.to_string(), "name:anna");
        let Ok(Event::Setting(said)) = set(&state(&anna()), anna_is.clone(), &pay) else {
            panic!("a setting");
        };
        assert_eq!((said.expects.position, said.expects.index), (9, 1));
        assert_eq!(
            (said.by, said.value),
            (SetBy::Operator, SettingValue::Donation(5))
        );
        assert!(set(&state(&Value::Null), anna_is, &pay).is_err());
        let address = whose(&state(&Value::Null), ADDRESS).unwrap();
        assert!(set(&state(&Value::Null), address, &pay).is_ok());
        assert!(whose(&state(&Value::Null), "an address?").is_err());
    }

    #[test]
    fn a_list_with_faults_names_each_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("workers.csv");
        std::fs::write(&file, "worker\na\n?\na\n").unwrap();
        let why = workers_of(&file).unwrap_err().to_string();
        assert!(why.contains("line 3: a worker's name"), "{why}");
        assert!(why.contains("line 4: a stands in line 2"), "{why}");
        std::fs::write(&file, "worker\nb\na\n").unwrap();
        assert_eq!(workers_of(&file).unwrap().len(), 2);
    }

    #[test]
    fn a_token_is_in_its_file_only_and_its_hash_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("anna.token");
        let known = || known(&state(&anna()), &name("anna").unwrap()).unwrap();
        let made = said(token(known(), &file));
        let text = std::fs::read_to_string(&file).unwrap();
        let bytes = unhex(text.trim()).unwrap();
        assert_eq!(made.token, Some(Hash::of(&[&bytes])));
        assert!(!hex(&Event::Account(Box::new(made)).to_bytes(0)).contains(text.trim()));
        assert!(token(known(), &file).is_err(), "it is never overwritten");
    }
}
