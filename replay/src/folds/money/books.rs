//! Books and postings: debit, credit, amount. A balance is the difference of two sums that only grow.

use std::collections::BTreeMap;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError as RestError, EncodeError};
use orebook_schema::bytes::{DecodeError, Decoded, Reader};
use orebook_schema::{Account, At, Hash};

use crate::rows::{Field, KeyField, Row as _, Rows, StoreFault, get, put};

use super::tables::{BookRow, PostingRow, TotalsRow};
use super::write_off::note_debt;

/// A book of the money rules, section 7.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Book {
    /// An account's credits of blocks that are not confirmed.
    Immature(Account),
    /// What an account may be paid.
    Available(Account),
    /// What of it lines of payouts hold.
    Reserved(Account),
    /// What an account was paid.
    Paid(Account),
    /// The pool's fees.
    Fee,
    /// Donations.
    Donation,
    /// Remainders of splits.
    Rounding,
    /// What belongs to nobody yet, and what the pool answers for.
    Reserve,
    /// What payouts' lines brought in for the network, less what the chain took.
    NetworkFees,
    /// What left the wallets as network fees.
    Wallet,
    /// What the chain paid: its balance is below zero by all that stands.
    Reward,
}

impl Book {
    /// Lower-case name, without the account.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Immature(_) => "immature",
            Self::Available(_) => "available",
            Self::Reserved(_) => "reserved",
            Self::Paid(_) => "paid",
            Self::Fee => "fee",
            Self::Donation => "donation",
            Self::Rounding => "rounding",
            Self::Reserve => "reserve",
            Self::NetworkFees => "network_fees",
            Self::Wallet => "wallet",
            Self::Reward => "reward",
        }
    }

    /// Whose it is; none for the pool's books.
    #[must_use]
    pub const fn account(&self) -> Option<&Account> {
        match self {
            Self::Immature(account)
            | Self::Available(account)
            | Self::Reserved(account)
            | Self::Paid(account) => Some(account),
            Self::Fee
            | Self::Donation
            | Self::Rounding
            | Self::Reserve
            | Self::NetworkFees
            | Self::Wallet
            | Self::Reward => None,
        }
    }

    /// The pool's books, in their order.
    pub const POOL: [Self; 7] = [
        Self::Fee,
        Self::Donation,
        Self::Rounding,
        Self::Reserve,
        Self::NetworkFees,
        Self::Wallet,
        Self::Reward,
    ];

    /// Keys of all accounts' `available` stand in this range, which another book's never do.
    pub(super) const AVAILABLE_KEYS: std::ops::Range<[u8; 1]> = [2]..[3];

    const fn number(&self) -> u8 {
        match self {
            Self::Immature(_) => 1,
            Self::Available(_) => 2,
            Self::Reserved(_) => 3,
            Self::Paid(_) => 4,
            Self::Fee => 5,
            Self::Donation => 6,
            Self::Rounding => 7,
            Self::Reserve => 8,
            Self::NetworkFees => 9,
            Self::Wallet => 10,
            Self::Reward => 11,
        }
    }
}

/// `immature:script:HEX`, `fee`.
impl std::fmt::Display for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.account() {
            Some(account) => write!(f, "{}:{account}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// Books order by their number, then by account.
impl KeyField for Book {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.push(self.number());
        if let Some(account) = self.account() {
            account.put_key(out);
        }
    }

    fn take_key(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(match reader.u8()? {
            1 => Self::Immature(Account::take_key(reader)?),
            2 => Self::Available(Account::take_key(reader)?),
            3 => Self::Reserved(Account::take_key(reader)?),
            4 => Self::Paid(Account::take_key(reader)?),
            5 => Self::Fee,
            6 => Self::Donation,
            7 => Self::Rounding,
            8 => Self::Reserve,
            9 => Self::NetworkFees,
            10 => Self::Wallet,
            11 => Self::Reward,
            _ => return Err(DecodeError::Value("book")),
        })
    }
}

/// At rest and in digests a book is its key's bytes.
impl Field for Book {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        Field::encode(&self.number(), encoder)?;
        self.account()
            .map_or(Ok(()), |account| Field::encode(account, encoder))
    }

    fn decode<D: Decoder>(decoder: &mut D) -> Result<Self, RestError> {
        let number: u8 = Field::decode(decoder)?;
        Ok(match number {
            1 => Self::Immature(Field::decode(decoder)?),
            2 => Self::Available(Field::decode(decoder)?),
            3 => Self::Reserved(Field::decode(decoder)?),
            4 => Self::Paid(Field::decode(decoder)?),
            other => {
                let mut pool = Self::POOL.into_iter();
                pool.find(|book| book.number() == other)
                    .ok_or(RestError::Other("book"))?
            }
        })
    }

    fn canonical(&self, out: &mut Vec<u8>) {
        self.put_key(out);
    }
}

/// Two sums of sub-units; the balance is credits − debits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Balance {
    /// Taken out, sub-units.
    pub debits: u128,
    /// Put in, sub-units.
    pub credits: u128,
}

impl Balance {
    /// Whether more was taken out than put in.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.credits < self.debits
    }

    /// Distance from zero, sub-units.
    #[must_use]
    pub const fn magnitude(&self) -> u128 {
        self.credits.abs_diff(self.debits)
    }

    /// Sub-units that may be used: zero below zero.
    #[must_use]
    pub const fn positive(&self) -> u128 {
        self.credits.saturating_sub(self.debits)
    }
}

/// Names a posting: the event that made it, and its number there.
pub type PostingId = (At, u32);

/// Writes the postings of one event. Balances are read once and written once, at the end.
pub(super) struct Entries<'r> {
    rows: &'r mut dyn Rows,
    /// The event.
    at: At,
    /// The block it is about.
    block: Hash,
    /// Postings so far.
    count: u32,
    /// Sub-units posted.
    posted: u128,
    /// Whether each posting has a row.
    kept: bool,
    /// By book: its balance before the event, and now.
    books: BTreeMap<Book, (Balance, Balance)>,
}

impl<'r> Entries<'r> {
    pub(super) fn new(rows: &'r mut dyn Rows, at: At, block: Hash) -> Self {
        Self {
            rows,
            at,
            block,
            count: 0,
            posted: 0,
            kept: true,
            books: BTreeMap::new(),
        }
    }

    /// Postings that have no rows, since there are as many as shares: only the books have them.
    pub(super) fn summed(rows: &'r mut dyn Rows, at: At) -> Self {
        Self {
            kept: false,
            ..Self::new(rows, at, Hash::ZERO)
        }
    }

    /// Moves `amount` sub-units from one book to another; zero is no posting. The caller made sure that no sum overflows
    /// ([`room`]).
    pub(super) fn post(
        &mut self,
        debit: &Book,
        credit: &Book,
        amount: u128,
        cites: Option<PostingId>,
    ) -> Result<(), StoreFault> {
        if amount == 0 {
            return Ok(());
        }
        if self.kept {
            let row = PostingRow {
                at: self.at,
                number: self.count,
                block: self.block,
                debit: debit.clone(),
                credit: credit.clone(),
                amount,
                cites,
            };
            put(self.rows, &row)?;
        }
        self.balance(debit)?.debits += amount;
        self.balance(credit)?.credits += amount;
        self.count += 1;
        self.posted += amount;
        Ok(())
    }

    /// Posts the opposite of every posting of an event, the last one first, citing it.
    pub(super) fn oppose(&mut self, event: At) -> Result<(), StoreFault> {
        for posting in super::read::postings_of(&*self.rows, event)?
            .into_iter()
            .rev()
        {
            let id = (posting.at, posting.number);
            self.post(&posting.credit, &posting.debit, posting.amount, Some(id))?;
        }
        Ok(())
    }

    /// The rows beside the books, which are written at the end.
    pub(super) fn rows(&mut self) -> &mut dyn Rows {
        &mut *self.rows
    }

    /// The event.
    pub(super) const fn at(&self) -> At {
        self.at
    }

    /// Writes the balances, who owes, and the running totals. Returns the sub-units posted.
    pub(super) fn finish(self) -> Result<u128, StoreFault> {
        let mut totals = totals(&*self.rows)?;
        for (book, (before, balance)) in self.books {
            note_debt(self.rows, self.at, &book, before, balance)?;
            totals.debits += balance.debits - before.debits;
            totals.credits += balance.credits - before.credits;
            put(
                self.rows,
                &BookRow {
                    book,
                    debits: balance.debits,
                    credits: balance.credits,
                },
            )?;
        }
        assert!(totals.debits == totals.credits, "debits equal credits");
        put(self.rows, &totals)?;
        Ok(self.posted)
    }

    fn balance(&mut self, book: &Book) -> Result<&mut Balance, StoreFault> {
        if !self.books.contains_key(book) {
            let found = balance_of(&*self.rows, book)?;
            self.books.insert(book.clone(), (found, found));
        }
        let (_, balance) = self.books.get_mut(book).ok_or(StoreFault::Damaged {
            table: BookRow::TABLE,
            what: "a book that was just read",
        })?;
        Ok(balance)
    }
}

/// Balance of a book; zero if nothing was ever posted to it.
pub(super) fn balance_of(
    view: &(impl crate::rows::View + ?Sized),
    book: &Book,
) -> Result<Balance, StoreFault> {
    let row: Option<BookRow> = get(view, &BookRow::key_of(book))?;
    Ok(row.map_or_else(Balance::default, |row| row.balance()))
}

/// Running totals over all books.
pub(super) fn totals(view: &(impl crate::rows::View + ?Sized)) -> Result<TotalsRow, StoreFault> {
    let none = TotalsRow {
        debits: 0,
        credits: 0,
    };
    Ok(get(view, &TotalsRow::key_of())?.unwrap_or(none))
}
