//! Announcements of inactive dust from what people type (docs/rules.md 7.3).

use orebook_schema::dust::{DUST_ACCOUNTS_MAX, DustBook, InactiveDust};
use orebook_schema::{Account, Event};
use serde_json::Value;

use super::args::DustCommand;
use super::ban::{account, reason};
use super::make::{place, strange};
use super::{state, utter};
use crate::Failure;

/// `orebook dust`.
pub(crate) fn dust(command: &DustCommand) -> Result<(), Failure> {
    match command {
        DustCommand::Propose {
            accounts,
            cutoff,
            to,
            reason,
            say,
        } => {
            let state = state(&say.desk)?;
            let named = accounts.iter().map(|text| account(&state, text));
            let named = named.collect::<Result<Vec<Account>, Failure>>()?;
            let event = announced(&state, named, *cutoff, to, reason)?;
            utter(&state, &event, say)
        }
        DustCommand::Withdraw { reason, say } => {
            let state = state(&say.desk)?;
            let to = DustBook::Reserve.name();
            let event = announced(&state, Vec::new(), 0, to, reason)?;
            utter(&state, &event, say)
        }
    }
}

fn announced(
    state: &Value,
    mut accounts: Vec<Account>,
    cutoff: u64,
    to: &str,
    why: &str,
) -> Result<Event, Failure> {
    accounts.sort();
    accounts.dedup();
    if DUST_ACCOUNTS_MAX < accounts.len() {
        return Err(Failure::new(format!(
            "{} accounts, and {DUST_ACCOUNTS_MAX} at most are announced at one time",
            accounts.len()
        ))
        .hint("the next announcement takes the place of one that did not move yet: wait for it"));
    }
    let wrong = || Failure::new(format!("{to} is none of reserve, donation and fee"));
    let expects = state.get("dust").and_then(place);
    Ok(Event::InactiveDust(Box::new(InactiveDust {
        cutoff,
        to: DustBook::parse(to).ok_or_else(wrong)?,
        accounts,
        expects: expects.ok_or_else(|| strange("last announcement of dust"))?,
        reason: reason(why)?,
    })))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_announcement_names_accounts_once_in_their_order_and_expects_the_last() {
        let state = json!({ "dust": [7, 1] });
        let named = |name: &str| Account::parse(&format!("name:{name}")).unwrap();
        let accounts = vec![named("ben"), named("anna"), named("ben")];
        let event = announced(&state, accounts, 5, "fee", "silent").unwrap();
        assert!(event.is_legal());
        let Event::InactiveDust(said) = event else {
            panic!("an announcement");
        };
        assert_eq!(said.accounts, [named("anna"), named("ben")]);
        assert_eq!((said.expects.position, said.expects.index), (7, 1));
        assert_eq!((said.cutoff, said.to), (5, DustBook::Fee));
        let none = announced(&state, Vec::new(), 0, "reserve", "a mistake").unwrap();
        assert!(none.is_legal(), "it withdraws");
        assert!(announced(&state, Vec::new(), 0, "rounding", "x").is_err());
        assert!(announced(&json!({}), Vec::new(), 0, "fee", "x").is_err());
        let many = (0..401).map(|n| named(&format!("a{n}"))).collect();
        assert!(announced(&state, many, 0, "fee", "x").is_err());
    }
}
