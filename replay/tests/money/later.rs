//! What tables say of what comes later.
//!
//! - `passes 90d`: so much more ledger time (`d`, `h`, `s`), and a heartbeat then.
//! - `write-off anna`: what she owes is the reserve's, approved; `late` expects something else than her last one.
//! - `dust anna, ben to fee`: who has dust is announced, approved; `dust nobody to fee` takes back what was announced. The
//!   cut-off is the position before, or with `since=mark` the one before the mark.
//! - `void t of s`: the archiver says that share t is share s once more.

use orebook_schema::desk::Reason;
use orebook_schema::dust::{DustBook, InactiveDust};
use orebook_schema::payout::WriteOff;
use orebook_schema::void::Void;
use orebook_schema::{Account, At, Event};

use crate::pool::{desk_approves, named};
use crate::table::Table;

/// First words of the statements of this file.
pub(crate) const SUBJECTS: [&str; 4] = ["passes", "write-off", "dust", "void"];

pub(crate) fn say(table: &mut Table, subject: &str, rest: &str) {
    match subject {
        "passes" => {
            table.pool.clock += milliseconds(rest);
            table.pool.desk_says(&[Event::Heartbeat]);
        }
        "write-off" => write_off(table, rest),
        "dust" => dust(table, rest),
        _ => void(table, rest),
    }
}

/// Of `90d`, `1h` or `30s`; without a unit, of themselves.
pub(crate) fn milliseconds(text: &str) -> u64 {
    let unit = match text.chars().last().expect("a time") {
        'd' => 86_400_000,
        'h' => 3_600_000,
        's' => 1_000,
        _ => 1,
    };
    let number = text.trim_end_matches(['d', 'h', 's']);
    number.parse::<u64>().expect("a number") * unit
}

fn approved(table: &mut Table, thing: Event) {
    let approval = desk_approves(&thing);
    table.pool.desk_says(&[thing, approval]);
}

fn reason() -> Reason {
    Reason::parse("for a test").expect("a reason")
}

fn write_off(table: &mut Table, rest: &str) {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let account = named(words[0]);
    let authority = table.pool.state.authority().expect("genesis");
    let wrong = At {
        position: 1,
        index: 7,
    };
    let thing = Event::WriteOff(Box::new(WriteOff {
        expects: if words.contains(&"late") {
            wrong
        } else {
            authority.last_write_off(&account)
        },
        account,
        reason: reason(),
    }));
    approved(table, thing);
}

fn dust(table: &mut Table, rest: &str) {
    let (names, to) = rest.split_once(" to ").expect("a book");
    let (to, since) = to.split_once(" since=").unwrap_or((to, "now"));
    let names = names.split(',').map(str::trim);
    let mut accounts: Vec<Account> = names.filter(|name| *name != "nobody").map(named).collect();
    accounts.sort();
    let authority = table.pool.state.authority().expect("genesis");
    let thing = Event::InactiveDust(Box::new(InactiveDust {
        cutoff: match since {
            "mark" => table.mark - 1,
            _ => table.pool.size() - 1,
        },
        to: DustBook::parse(to).expect("a book"),
        accounts,
        expects: authority.last_dust(),
        reason: reason(),
    }));
    approved(table, thing);
}

fn void(table: &mut Table, rest: &str) {
    let (share, first) = rest.split_once(" of ").expect("a share and the first");
    let event = Event::Void(Void {
        share: table.shares[share].0,
        first: table.shares[first].0,
        expects: At::default(),
    });
    let mut pen = table.keeper.clone();
    table.pool.say(&mut pen, &[event]);
    table.keeper = pen;
}
