//! Settings that accounts' owners say themselves: by a text signed with the payout address's key, or by a registered account's token.
//!
//! What a command is to operators, a text is here, in the same order from note to answer. Anybody may send one, so that what strangers
//! can cost has limits: [`Rates`](crate::limit::Rates), and a part of the memory that is not theirs.

use std::net::SocketAddr;

use orebook_chain::address::{self, Network};
use orebook_chain::signed;
use orebook_ledger::authority::Authority;
use orebook_ledger::disk::Disk;
use orebook_producer::outbox::locked;
use orebook_replay::engine::SharedReader;
use orebook_schema::account::{SetBy, SettingValue};
use orebook_schema::names::RegisteredName;
use orebook_schema::{Account, Event, Hash};
use serde_json::{Value, json};

use super::{Machine, MachineError, PENDING_MAX, Submitted};
use crate::answer::{Answer, Refusal, place, unknown};
use crate::judge::{Subject, judge};
use crate::memory::{Pending, Standing, is_owners};
use crate::metrics::Counters;
use crate::notes;
use crate::setting::{self, SETTING_LIFE_MS_MAX, TextError, Wanted};
use crate::words::words;

/// How long a text that was asked for is taken, in seconds: time enough to sign it on another machine.
pub const TEXT_LIFE_S: u64 = 3_600;
/// A token changes an address only where the policy's hold is so long, in milliseconds: a thief's address waits at least a day, in which
/// its owner sees it and the operator makes another token and sets the old address.
pub const TOKEN_HOLD_MS_MIN: u64 = 24 * 3_600 * 1_000;
/// What a token may donate, parts per million: a donation holds at once, so whoever finds a token can do no more harm than that.
pub const TOKEN_DONATION_PPM_MAX: u32 = 50_000;

/// What shows that the owner said it. No token is here: its SHA-256 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A signature of the text, as a wallet prints it.
    Signature(String),
    /// SHA-256 of the token.
    Token(Hash),
}

/// What an owner sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The text.
    pub text: String,
    /// What shows that it is his.
    pub shown: Shown,
}

impl Sent {
    const fn by(&self) -> SetBy {
        match self.shown {
            Shown::Signature(_) => SetBy::Signed,
            Shown::Token(_) => SetBy::Token,
        }
    }

    /// Its name: the same text by the same way is the same.
    #[must_use]
    pub fn id(&self) -> Hash {
        setting::id_of(&self.text, self.by())
    }
}

/// What somebody wants to set: a text is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// A payout address, or a registered name.
    pub account: String,
    /// `threshold`, `address`, `donation` or `pay_now`.
    pub what: String,
    /// Base units, an address, parts per million, or nothing.
    pub value: String,
}

/// A setting that its owner said.
struct Owned {
    id: Hash,
    until_ms: u64,
    event: Event,
}

impl<D: Disk + Clone> Machine<D> {
    /// The text of a setting, for its owner to sign.
    pub fn text(
        &mut self,
        mirror: &SharedReader<D>,
        asked: &Asked,
        from: SocketAddr,
        now: u64,
    ) -> Answer {
        if !self.rates.is_open(from.ip(), now) {
            return self.turned_away();
        }
        let reader = locked(mirror);
        let Some(authority) = reader.settled().authority() else {
            return Refusal::NotReady.answer(None);
        };
        match text(authority, asked, now) {
            Ok(body) => Answer { status: 200, body },
            Err(refusal) => refusal.answer(None),
        }
    }

    /// What became of a setting that an owner said.
    pub fn ask_setting(
        &mut self,
        mirror: &SharedReader<D>,
        id: Hash,
        from: SocketAddr,
        now: u64,
    ) -> Answer {
        if !self.rates.is_open(from.ip(), now) {
            return self.turned_away();
        }
        let known = self.memory.commands.get(&id);
        if known.is_some_and(|kept| is_owners(&kept.event)) {
            self.ask(mirror, id)
        } else {
            unknown(id)
        }
    }

    /// Takes a setting that came from `from`: refuses it, or writes it.
    ///
    /// # Errors
    /// [`MachineError`]: nobody knows whether it was written; asking for it after the next start tells.
    pub fn set(
        &mut self,
        mirror: &SharedReader<D>,
        sent: &Sent,
        from: SocketAddr,
        now: u64,
    ) -> Result<Submitted, MachineError> {
        self.memory.forget(now);
        if !self.rates.is_open(from.ip(), now) {
            return Ok(Submitted::Answered(self.turned_away()));
        }
        let owned = match self.recognise(mirror, sent) {
            Ok(owned) => owned,
            Err(refusal) => return self.refuse_setting(sent, None, from, now, &refusal),
        };
        let id = owned.id;
        match self.memory.commands.get(&id).map(|kept| &kept.standing) {
            Some(Standing::Pending) => return Ok(Submitted::Waits(id)),
            Some(Standing::Answered(_)) => return Ok(Submitted::Answered(self.ask(mirror, id))),
            Some(Standing::Lost) | None => {}
        }
        match self.examine_setting(mirror, &owned, now) {
            Ok(pending) => {
                let line = notes::set(&pending, owned.until_ms, &sent.text, from);
                let written = self.write(pending, owned.until_ms, ("set", line), now)?;
                if matches!(written, Submitted::Waits(_)) {
                    Counters::add(&self.counters.settings_said, 1);
                }
                Ok(written)
            }
            Err(refusal) => self.refuse_setting(sent, Some(id), from, now, &refusal),
        }
    }

    fn turned_away(&self) -> Answer {
        Counters::add(&self.counters.settings_turned_away, 1);
        Refusal::TooMany.answer(None)
    }

    /// Whether the account's owner said it.
    fn recognise(&self, mirror: &SharedReader<D>, sent: &Sent) -> Result<Owned, Refusal> {
        let reader = locked(mirror);
        let authority = reader.settled().authority().ok_or(Refusal::NotReady)?;
        let network = network(authority)?;
        let wanted = Wanted::read(&sent.text, network)?;
        if wanted.ledger != self.config.spool.ledger {
            return Err(TextError::Ledger.into());
        }
        let proof = match &sent.shown {
            Shown::Signature(signature) => {
                drop(reader);
                signed::verify(&wanted.account, network, &sent.text, signature)?;
                setting::proof(&sent.text, signature)
            }
            Shown::Token(hash) => {
                let Account::Name(name) = &wanted.account else {
                    return Err(Refusal::Token);
                };
                let token = authority.registered_as(name).and_then(|known| known.token);
                if !token.is_some_and(|token| is_same(&token, hash)) {
                    return Err(Refusal::Token);
                }
                hash.0.to_vec()
            }
        };
        let until_ms = wanted.until_s.saturating_mul(1_000);
        Ok(Owned {
            id: sent.id(),
            until_ms,
            event: Event::Setting(Box::new(wanted.setting(sent.by(), proof))),
        })
    }

    /// Whether a setting that its owner said is written.
    fn examine_setting(
        &mut self,
        mirror: &SharedReader<D>,
        owned: &Owned,
        now: u64,
    ) -> Result<Pending, Refusal> {
        let subject = Subject::of(&owned.event)?;
        if owned.until_ms < now {
            return Err(Refusal::Expired);
        }
        if now.saturating_add(SETTING_LIFE_MS_MAX) < owned.until_ms {
            return Err(Refusal::TooFar);
        }
        let is_busy = self.memory.pending.iter().any(|one| one.subject == subject);
        let is_full = PENDING_MAX <= self.memory.pending.len() || self.memory.is_full();
        if is_busy || is_full || self.memory.is_full_of_settings() {
            return Err(Refusal::Busy);
        }
        let reader = locked(mirror);
        let settled = reader.settled();
        let authority = settled.authority().ok_or(Refusal::NotReady)?;
        if !self.may_say(authority, now) {
            return Err(Refusal::KeyNotInForce);
        }
        may_by_token(authority, &owned.event)?;
        judge(authority, settled.size(), &owned.event)?;
        if let Event::Setting(setting) = &owned.event
            && !self.rates.may_say(&setting.account, now)
        {
            return Err(Refusal::TooOften);
        }
        Ok(Pending {
            id: owned.id,
            subject,
            event: owned.event.clone(),
            thing: None,
            from: settled.size(),
            lost_when: None,
            place: None,
        })
    }

    /// `id` is known of a setting that its owner said.
    fn refuse_setting(
        &mut self,
        sent: &Sent,
        id: Option<Hash>,
        from: SocketAddr,
        now: u64,
        refusal: &Refusal,
    ) -> Result<Submitted, MachineError> {
        let answer = refusal.answer(id);
        Counters::add(&self.counters.settings_refused, 1);
        if *refusal == Refusal::NotReady {
            return Ok(Submitted::Answered(answer));
        }
        let is_wrong = matches!(refusal, Refusal::Proof(_) | Refusal::Token);
        if is_wrong {
            Counters::add(&self.counters.settings_wrong, 1);
        }
        if let Some(unwritten) = self.rates.refused(from.ip(), is_wrong, now) {
            // Of what nobody said no word is kept but its hash.
            let line = notes::stranger(sent.text.as_bytes(), from, &answer, unwritten);
            self.note(now, "refused", line)?;
        }
        Ok(Submitted::Answered(answer))
    }
}

fn network(authority: &Authority) -> Result<Network, Refusal> {
    let coin = authority.genesis().coin_name.as_str();
    Network::of_coin(coin).ok_or(Refusal::Text(TextError::Coin))
}

/// Whether two hashes are equal, in a time that does not say where they differ.
fn is_same(one: &Hash, other: &Hash) -> bool {
    let pairs = one.0.iter().zip(other.0);
    let differ = pairs.fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}

/// Whether a token may do this: it lies about in files of rigs' owners, so it may do less than a key.
fn may_by_token(authority: &Authority, event: &Event) -> Result<(), Refusal> {
    let Event::Setting(setting) = event else {
        return Ok(());
    };
    if setting.by != SetBy::Token {
        return Ok(());
    }
    let policy = authority.newest_policy().1.map(|newest| &newest.policy);
    let hold_ms = policy.map_or(0, |policy| policy.address_hold_ms);
    match setting.value {
        SettingValue::Address(_) if hold_ms < TOKEN_HOLD_MS_MIN => Err(Refusal::TokenMay(
            "a token changes an address only where changes wait for a day or more: the pool's operator sets it",
        )),
        SettingValue::Donation(ppm) if TOKEN_DONATION_PPM_MAX < ppm => Err(Refusal::TokenMay(
            "a token donates at most 50000 ppm: the pool's operator sets more",
        )),
        _ => Ok(()),
    }
}

/// A text and what it would do, as JSON.
fn text(authority: &Authority, asked: &Asked, now: u64) -> Result<Value, Refusal> {
    let network = network(authority)?;
    let account = match setting::account(&asked.account, network) {
        Some(account) => account,
        None => RegisteredName::parse(&asked.account)
            .map(Account::Name)
            .ok_or(Refusal::Question(
                "account: give a payout address of this pool's coin, or a registered name",
            ))?,
    };
    if let Account::Name(name) = &account
        && authority.registered_as(name).is_none()
    {
        return Err(Refusal::NotRegistered(name.as_str().to_owned()));
    }
    let value = setting::value_of(&asked.what, &asked.value, network).ok_or(Refusal::Question(
        "what and value: threshold and base units, address and a payout address, donation and parts per million up to \
         1000000, or pay_now and no value",
    ))?;
    let wanted = Wanted {
        ledger: authority.genesis().ledger,
        expects: authority.last_setting(&account),
        until_s: now / 1_000 + TEXT_LIFE_S,
        account,
        value,
    };
    let text = wanted.text(network);
    let by = match wanted.account {
        Account::Name(_) => SetBy::Token,
        _ => SetBy::Signed,
    };
    let policy = authority.newest_policy().1.map(|newest| &newest.policy);
    let shown = address::show_account(&wanted.account, network);
    Ok(json!({
        "text": text,
        "account": wanted.account.to_string(),
        "address": shown,
        "by": by.name(),
        "expects": place(wanted.expects),
        "until": wanted.until_s,
        "address_hold_ms": policy.map(|policy| policy.address_hold_ms),
        "says": words(&Event::Setting(Box::new(wanted.setting(by, Vec::new())))),
    }))
}
