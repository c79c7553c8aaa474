//! `orebook replay`: all figures again, from the ledger alone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use orebook_ledger::admit::Trust;
use orebook_projector::Member;
use orebook_replay::digest;
use orebook_replay::engine::{Engine, Progress};
use orebook_replay::fold::Fold;
use orebook_replay::folds::money::{self, Balance, Money};
use orebook_replay::store::Store;
use orebook_schema::{Account, LedgerId};
use orebook_store::{Folder, Limits, Opened, restore};

use crate::cat::Object;
use crate::cli::{Format, ReplayArgs};
use crate::{Failure, ledger, print, say};

/// Accounts read at a time.
const ACCOUNTS_A_PAGE: usize = 1_000;
/// Positions between two looks of the progress bar.
const POSITIONS_A_TURN: u64 = 4_096;

fn failure(error: impl std::fmt::Display) -> Failure {
    Failure::new(error.to_string())
}

/// Every fold with its rows in RocksDB below `dir`.
pub(crate) fn members(dir: &Path, ledger: LedgerId) -> Result<Vec<Member>, Failure> {
    let folder = Folder::open(dir, ledger, Limits::default()).map_err(failure)?;
    members_of(&folder)
}

/// Rows of `money` in a folder of their own, for whoever decides by them.
pub(crate) fn money_store(dir: &Path, ledger: LedgerId) -> Result<Arc<dyn Store>, Failure> {
    let folder = Folder::open(dir, ledger, Limits::default()).map_err(failure)?;
    store_of(&folder, &Money)
}

fn members_of(folder: &Folder) -> Result<Vec<Member>, Failure> {
    if folder.was_emptied() {
        tracing::info!("projections of another layout were removed; they are rebuilt");
    }
    let one = |fold: Box<dyn Fold + Send>| {
        let store = store_of(folder, fold.as_ref())?;
        Ok((fold, store))
    };
    orebook_projector::folds().into_iter().map(one).collect()
}

fn store_of(folder: &Folder, fold: &dyn Fold) -> Result<Arc<dyn Store>, Failure> {
    let (store, opened) = folder.store(fold.name(), fold.version()).map_err(failure)?;
    if let Opened::Dropped { .. } = opened {
        tracing::info!(fold = fold.name(), %opened, "it is rebuilt from the ledger");
    }
    Ok(Arc::new(store))
}

/// Runs `orebook replay`.
pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let (segments, ledger) = ledger::open(&args.place)?;
    let started = Instant::now();
    let below = ledger::final_size(&segments, ledger)?;
    if let Some(snapshot) = &args.from {
        restore(snapshot, &args.into, ledger).map_err(failure)?;
    }
    let folder = Folder::open(&args.into, ledger, Limits::default()).map_err(failure)?;
    let members = members_of(&folder)?;
    let stores: Vec<_> = members
        .iter()
        .map(|(fold, store)| (fold.name(), store.clone()))
        .collect();
    let mut engine =
        Engine::open(ledger, members, Trust::Nothing, &segments, below).map_err(failure)?;
    let bar = ledger::positions_bar(args.format, below);
    bar.set_position(engine.size());
    while engine.size() < below {
        let mut shown = |progress: Progress| bar.set_position(progress.size);
        engine
            .advance(&segments, below, POSITIONS_A_TURN, &mut shown)
            .map_err(|error| failure(error).found())?;
        if let Some((fold, stop)) = engine.stops().next() {
            return Err(Failure::new(format!("fold {fold}: {stop}")));
        }
    }
    if let Some(to) = &args.snapshot {
        folder.snapshot(to).map_err(failure)?;
    }
    report(args, &engine, &stores, &bar, started.elapsed())
}

fn report(
    args: &ReplayArgs,
    engine: &Engine,
    stores: &[(&'static str, Arc<dyn Store>)],
    bar: &ProgressBar,
    took: Duration,
) -> Result<(), Failure> {
    bar.finish_and_clear();
    let mut digests = Vec::new();
    for (name, store) in stores {
        let view = store.view().map_err(failure)?;
        digests.push((*name, digest::newest(view.as_ref()).map_err(failure)?));
    }
    if args.balances {
        return print(&balances(stores)?);
    }
    if args.format == Format::Json {
        let folds: Vec<String> = digests
            .iter()
            .map(|(name, found)| {
                let mut object = Object::new();
                object.text("fold", name);
                if let Some(found) = found {
                    object.raw("size", found.size).text("digest", found.digest);
                }
                object.end()
            })
            .collect();
        let mut object = Object::new();
        object
            .raw("size", engine.size())
            .text("root", engine.state().root())
            .raw("folds", format_args!("[{}]", folds.join(",")));
        return print(&object.end());
    }
    let mut text = format!(
        "positions  {}\nroot       {}\n",
        engine.size(),
        engine.state().root()
    );
    for (name, found) in &digests {
        match found {
            Some(found) => {
                text.push_str(&format!("{name:<10} {} at {}\n", found.digest, found.size));
            }
            None => text.push_str(&format!("{name:<10} no digest point yet\n")),
        }
    }
    text.push_str(&format!("replayed   in {:.1} s", took.as_secs_f64()));
    say("every byte was judged again, nothing was taken on trust");
    print(&text)
}

/// Every balance in sub-units, as the oracle prints them: account or book → sums of debits and credits.
fn balances(stores: &[(&'static str, Arc<dyn Store>)]) -> Result<String, Failure> {
    let store = stores.iter().find(|(name, _)| *name == "money");
    let (_, store) = store.ok_or_else(|| Failure::new("there is no fold of money"))?;
    let view = store.view().map_err(failure)?;
    let sums = |balance: &Balance| {
        let mut object = Object::new();
        object
            .text("debits", balance.debits)
            .text("credits", balance.credits);
        object.end()
    };
    let mut accounts = Object::new();
    let mut after: Option<Account> = None;
    loop {
        let page =
            money::accounts(view.as_ref(), after.as_ref(), ACCOUNTS_A_PAGE).map_err(failure)?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.account.clone());
        for row in &page {
            let held = money::account(view.as_ref(), &row.account).map_err(failure)?;
            let mut books = Object::new();
            for (book, balance) in [
                ("immature", &held.immature),
                ("available", &held.available),
                ("reserved", &held.reserved),
                ("paid", &held.paid),
            ] {
                books.raw(book, sums(balance));
            }
            accounts.raw(&row.account.to_string(), books.end());
        }
    }
    let mut books = Object::new();
    for (book, balance) in money::pool_books(view.as_ref()).map_err(failure)? {
        books.raw(book.name(), sums(&balance));
    }
    let mut object = Object::new();
    object
        .raw("accounts", accounts.end())
        .raw("books", books.end());
    Ok(object.end())
}
