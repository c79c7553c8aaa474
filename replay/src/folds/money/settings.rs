//! Registered accounts and settings (money rules, section 10): where an account is paid, from which balance on, what it donates.
//! Whether one is obeyed, and where, is admission's to say ([`orebook_ledger::authority`]); here it is written down. None of
//! it moves money by itself: splits and payouts ask.

use orebook_ledger::authority::{ObeyedRegistration, ObeyedSetting};
use orebook_schema::account::SettingValue;
use orebook_schema::{Account, At, Hash};

use crate::fold::FinalFrame;
use crate::row;
use crate::rows::{KeyField, Order, Rows, Span, StoreFault, View, collect, first, get, put};

row! {
    /// A registered account, as its last obeyed registration says. Settings may say otherwise since: see [`SettingsRow`].
    pub struct RegisteredRow in table 45 {
        key {
            /// `name:NAME`.
            account: Account,
        }
        value {
            /// Where its first registration took effect.
            since: At,
            /// Place of the last registration: what the next must expect.
            last: At,
            /// The payout address that it names.
            payout: Account,
            /// The threshold that it says, base units; 0: the policy's.
            threshold: u128,
            /// SHA-256 of the account's secret token.
            token: Option<Hash>,
            /// Whether only registered workers may mine for it.
            registered_only: bool,
        }
    }
}

row! {
    /// How an account is paid, where that was ever said.
    pub struct SettingsRow in table 46 {
        key {
            /// Whose.
            account: Account,
        }
        value {
            /// Place of the last setting: what the next must expect; zero if there was none.
            last: At,
            /// The address in force when something of the address took effect last; none of a registered name that none did of.
            address: Option<Account>,
            /// What waits for its time, or came into force by it since: see [`SettingsRow::address_at`].
            waiting: Option<Waiting>,
            /// Threshold, base units; 0: that of the policy in force where it is asked.
            threshold: u128,
            /// Where payment at once was asked for last.
            pay_now: Option<At>,
        }
    }
}

row! {
    /// What an account donates of its credits, from a place on until the next such row.
    pub struct DonationRow in table 48 {
        key {
            /// Whose.
            account: Account,
            /// Where it took effect.
            from: At,
        }
        value {
            /// Parts per million.
            ppm: u32,
        }
    }
}

row! {
    /// An account's address from a place on until the next such row: what blocks that pay by their coinbase ask for later.
    pub struct AddressRow in table 92 {
        key {
            /// Whose.
            account: Account,
            /// Where something of it took effect.
            from: At,
        }
        value {
            /// The address in force there; none of a registered name that none was.
            address: Option<Account>,
            /// What waits for its time.
            waiting: Option<Waiting>,
        }
    }
}

/// A change of address that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The new address.
    pub address: Account,
    /// Where it took effect: its time counts from there.
    pub said: At,
    /// Ledger time from which on it is in force, milliseconds since 1970.
    pub until_ms: u64,
}

super::tables::struct_field!(Waiting {
    address,
    said,
    until_ms
});

impl SettingsRow {
    /// Of an account of which nothing was ever said: a script or an EVM address is paid at itself, a name nowhere.
    fn new(account: &Account) -> Self {
        let address = match account {
            Account::Script(_) | Account::Evm(_) => Some(account.clone()),
            Account::Name(_) => None,
        };
        Self {
            account: account.clone(),
            last: At::default(),
            address,
            waiting: None,
            threshold: 0,
            pay_now: None,
        }
    }

    /// The address in force at a position of this ledger time, which is not before that of the row (money rules, 10.4).
    #[must_use]
    pub fn address_at(&self, ledger_time: u64) -> Option<&Account> {
        in_force(&self.address, &self.waiting, ledger_time)
    }

    /// What still waits at a position of this ledger time.
    #[must_use]
    pub fn waiting_at(&self, ledger_time: u64) -> Option<&Waiting> {
        let waits = self.waiting.as_ref();
        waits.filter(|waiting| ledger_time < waiting.until_ms)
    }

    /// A change of address takes effect at `said`, at a ledger time, under a policy that asks to hold it.
    fn change_address(&mut self, new: &Account, said: At, ledger_time: u64, hold_ms: u64) {
        if let Some(due) = self
            .waiting
            .take_if(|waiting| waiting.until_ms <= ledger_time)
        {
            self.address = Some(due.address);
        }
        let waits = self.waiting.as_ref();
        if waits.is_some_and(|waiting| waiting.address == *new) {
            return;
        }
        let is_in_force = self.address.as_ref() == Some(new);
        if is_in_force || self.address.is_none() || hold_ms == 0 {
            self.address = Some(new.clone());
            self.waiting = None;
            return;
        }
        self.waiting = Some(Waiting {
            address: new.clone(),
            said,
            until_ms: ledger_time.saturating_add(hold_ms),
        });
    }
}

fn in_force<'a>(
    address: &'a Option<Account>,
    waiting: &'a Option<Waiting>,
    ledger_time: u64,
) -> Option<&'a Account> {
    let due = waiting.as_ref();
    let due = due.filter(|waiting| waiting.until_ms <= ledger_time);
    due.map(|waiting| &waiting.address).or(address.as_ref())
}

/// Writes down the registrations and settings that took effect in a frame, each where it did.
pub(super) fn taken(frame: &FinalFrame<'_>, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let Some(authority) = frame.authority() else {
        return Ok(());
    };
    // Both kinds move one account's address: they are taken in the order of their effects.
    let mut settings = authority.settings_taken_at(frame.position).peekable();
    for registration in authority.registrations_taken_at(frame.position) {
        while let Some(setting) =
            settings.next_if(|setting| setting.effective < registration.effective)
        {
            set(setting, frame.ledger_time, rows)?;
        }
        register(registration, frame.ledger_time, rows)?;
    }
    settings.try_for_each(|setting| set(setting, frame.ledger_time, rows))
}

fn register(
    obeyed: &ObeyedRegistration,
    ledger_time: u64,
    rows: &mut dyn Rows,
) -> Result<(), StoreFault> {
    let said = &obeyed.registration;
    let account = Account::Name(said.name.clone());
    let before = registered(&*rows, &account)?;
    let mut terms = settings(&*rows, &account)?;
    // What it repeats of the one before undoes no setting (10.3).
    if before.as_ref().map(|row| &row.payout) != Some(&said.payout) {
        terms.change_address(&said.payout, obeyed.effective, ledger_time, obeyed.hold_ms);
        put_address(&terms, obeyed.effective, rows)?;
    }
    if before.as_ref().map(|row| row.threshold) != Some(said.threshold) {
        terms.threshold = said.threshold;
    }
    put(rows, &terms)?;
    put(
        rows,
        &RegisteredRow {
            account,
            since: before.map_or(obeyed.effective, |row| row.since),
            last: obeyed.at,
            payout: said.payout.clone(),
            threshold: said.threshold,
            token: said.token,
            registered_only: said.registered_only,
        },
    )
}

fn set(obeyed: &ObeyedSetting, ledger_time: u64, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let said = &obeyed.setting;
    let mut terms = settings(&*rows, &said.account)?;
    terms.last = obeyed.at;
    match &said.value {
        SettingValue::Threshold(threshold) => terms.threshold = *threshold,
        SettingValue::Address(address) => {
            terms.change_address(address, obeyed.effective, ledger_time, obeyed.hold_ms);
            put_address(&terms, obeyed.effective, rows)?;
        }
        SettingValue::Donation(ppm) => {
            let row = DonationRow {
                account: said.account.clone(),
                from: obeyed.effective,
                ppm: *ppm,
            };
            put(rows, &row)?;
        }
        SettingValue::PayNow => terms.pay_now = Some(obeyed.effective),
    }
    put(rows, &terms)
}

fn put_address(terms: &SettingsRow, from: At, rows: &mut dyn Rows) -> Result<(), StoreFault> {
    let row = AddressRow {
        account: terms.account.clone(),
        from,
        address: terms.address.clone(),
        waiting: terms.waiting.clone(),
    };
    put(rows, &row)
}

/// The address of an account by what took effect at positions below `size`, at the ledger time of the last of them (money
/// rules, 11.4).
///
/// # Errors
/// [`StoreFault`].
pub fn address_before(
    view: &(impl View + ?Sized),
    account: &Account,
    size: u64,
    ledger_time: u64,
) -> Result<Option<Account>, StoreFault> {
    Ok(match change_before(view, account, size)? {
        Some(row) => in_force(&row.address, &row.waiting, ledger_time).cloned(),
        None => SettingsRow::new(account).address,
    })
}

/// Accounts of which a change of address took effect at positions below `size`, ascending, with the address that each has
/// by these, at the ledger time of the last of them.
pub(super) fn changed_before(
    view: &(impl View + ?Sized),
    size: u64,
    ledger_time: u64,
) -> Result<Vec<(Account, Account)>, StoreFault> {
    let all: Vec<SettingsRow> = collect(view, &Span::all(), Order::Forward, usize::MAX)?;
    let mut changed = Vec::new();
    for terms in all {
        let Some(row) = change_before(view, &terms.account, size)? else {
            continue;
        };
        if let Some(address) = in_force(&row.address, &row.waiting, ledger_time) {
            changed.push((terms.account, address.clone()));
        }
    }
    changed.sort();
    Ok(changed)
}

/// What changed an account's address last at positions below `size`.
fn change_before(
    view: &(impl View + ?Sized),
    account: &Account,
    size: u64,
) -> Result<Option<AddressRow>, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let end = At {
        position: size,
        index: 0,
    };
    let span = Span::prefix_to(&prefix, AddressRow::key_of(account, &end));
    first(view, &span, Order::Backward)
}

/// What the last registration of an account says; none if it is not registered.
///
/// # Errors
/// [`StoreFault`].
pub fn registered(
    view: &(impl View + ?Sized),
    account: &Account,
) -> Result<Option<RegisteredRow>, StoreFault> {
    get(view, &RegisteredRow::key_of(account))
}

/// How an account is paid; its beginnings where nothing was ever said.
///
/// # Errors
/// [`StoreFault`].
pub fn settings(view: &(impl View + ?Sized), account: &Account) -> Result<SettingsRow, StoreFault> {
    let row = get(view, &SettingsRow::key_of(account))?;
    Ok(row.unwrap_or_else(|| SettingsRow::new(account)))
}

/// What an account donates of what it is credited at a place, parts per million (money rules, 10.6).
///
/// # Errors
/// [`StoreFault`].
pub fn donation_at(
    view: &(impl View + ?Sized),
    account: &Account,
    at: At,
) -> Result<u32, StoreFault> {
    let mut prefix = Vec::new();
    account.put_key(&mut prefix);
    let mut after = DonationRow::key_of(account, &at);
    // No key is the beginning of another, so this is right behind it.
    after.push(0);
    let row: Option<DonationRow> = first(view, &Span::prefix_to(&prefix, after), Order::Backward)?;
    Ok(row.map_or(0, |row| row.ppm))
}
