//! Proofs of settings that accounts' owners said themselves, each checked again from the ledger's bytes alone.
//!
//! No money rule asks for a proof, and admission looks at none: a desk's key could say what no owner signed. Here it is found.

use std::collections::{BTreeMap, BTreeSet};

use orebook_chain::address::Network;
use orebook_desk::setting::{ProofError, TextError, check};
use orebook_ledger::segment::Record;
use orebook_schema::account::{SetBy, Setting};
use orebook_schema::names::RegisteredName;
use orebook_schema::{Account, At, Event, Hash, Kind};

use super::{failure, open};
use crate::Failure;
use crate::cli::PlaceArgs;

/// Faults that are named; the others are counted.
const FAULTS_NAMED: usize = 100;
/// Frames with none of these are not opened.
const KINDS: u64 = Kind::Genesis.bit() | Kind::Account.bit() | Kind::Setting.bit();

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Settings by owners.
    pub(super) settings: u64,
    pub(super) faults: u64,
    named: Vec<(At, ProofError)>,
    network: Option<Network>,
    /// Hashes of tokens that a name's registrations said, whether they were obeyed or not.
    tokens: BTreeMap<RegisteredName, BTreeSet<Hash>>,
}

impl Proofs {
    /// Those of a ledger.
    pub(super) fn of(place: &PlaceArgs) -> Result<Self, Failure> {
        let (store, ledger) = open(place)?;
        let mut proofs = Self::default();
        for record in store.records(0) {
            let record = record.map_err(|error| failure(error).found())?;
            let Record::Frame(stored) = record else {
                continue;
            };
            if stored.frame.header().kinds & KINDS == 0 {
                continue;
            }
            let events = stored.frame.decode();
            let events = events.map_err(|error| failure(error).found())?;
            for (index, event) in (0..).zip(events) {
                let position = stored.position;
                proofs.hear(At { position, index }, event, |setting, network| {
                    check(setting, ledger, network)
                });
            }
        }
        Ok(proofs)
    }

    fn hear(
        &mut self,
        at: At,
        event: Event,
        signed: impl Fn(&Setting, Network) -> Result<(), ProofError>,
    ) {
        match event {
            Event::Genesis(genesis) => {
                self.network = Network::of_coin(genesis.coin_name.as_str());
            }
            Event::Account(said) => {
                let known = self.tokens.entry(said.name).or_default();
                known.extend(said.token);
            }
            Event::Setting(setting) if setting.by != SetBy::Operator => {
                let judged = match (setting.by, self.network) {
                    (SetBy::Token, _) => self.by_token(&setting),
                    (_, Some(network)) => signed(&setting, network),
                    (_, None) => Err(TextError::Coin.into()),
                };
                self.settings += 1;
                if let Err(error) = judged {
                    self.faults += 1;
                    if self.named.len() < FAULTS_NAMED {
                        self.named.push((at, error));
                    }
                }
            }
            _ => {}
        }
    }

    /// Its proof is the hash of a token that was the name's before.
    fn by_token(&self, setting: &Setting) -> Result<(), ProofError> {
        let Account::Name(name) = &setting.account else {
            return Err(ProofError::Token);
        };
        let hash = <[u8; 32]>::try_from(setting.proof.as_slice()).map(Hash);
        let known = self.tokens.get(name);
        let is_one = hash.is_ok_and(|hash| known.is_some_and(|known| known.contains(&hash)));
        is_one.then_some(()).ok_or(ProofError::Token)
    }

    /// A line for each fault that is named.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(at, error): &(At, ProofError)| format!("{at}: a setting: {error}");
        self.named.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use orebook_schema::account::{Registration, SettingValue};

    use super::*;

    fn setting(account: &str, by: SetBy, proof: &[u8]) -> Event {
        Event::Setting(Box::new(Setting {
            account: Account::parse(account).unwrap(),
            expects: At::default(),
            by,
            value: SettingValue::PayNow,
            proof: proof.to_vec(),
        }))
    }

    #[test]
    fn a_tokens_hash_holds_for_its_name_and_from_its_registration_on() {
        let mut proofs = Proofs::default();
        let token = Hash::of(&[b"a token"]);
        let registered = Event::Account(Box::new(Registration {
            name: RegisteredName::parse("anna").unwrap(),
            expects: At::default(),
            payout: Account::parse("script:51").unwrap(),
            threshold: 0,
            token: Some(token),
            registered_only: false,
            workers: Vec::new(),
        }));
        let events = [
            (setting("name:anna", SetBy::Token, &token.0), false),
            (registered, true),
            (setting("name:anna", SetBy::Token, &token.0), true),
            (setting("name:ben", SetBy::Token, &token.0), false),
            (setting("name:anna", SetBy::Token, &[1; 32]), false),
            (setting("name:anna", SetBy::Token, &[1]), false),
            (setting("script:51", SetBy::Token, &token.0), false),
            (setting("name:anna", SetBy::Operator, &[]), true),
            // No genesis said the coin.
            (setting("script:51", SetBy::Signed, &[1]), false),
        ];
        for (position, (event, holds)) in (1..).zip(events) {
            let before = proofs.faults;
            let at = At { position, index: 0 };
            proofs.hear(at, event.clone(), |_, _| Ok(()));
            assert_eq!(proofs.faults == before, holds, "{event:?}");
        }
        assert_eq!((proofs.settings, proofs.faults), (7, 6));
        assert_eq!(proofs.lines().len(), 6);
        assert!(proofs.lines()[0].starts_with("1.0: a setting: "));
    }
}
