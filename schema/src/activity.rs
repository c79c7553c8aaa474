//! The activity log (`ACTIVITY-FORMAT.md`): what happened at the doors of gateways. Sessions one by one, failed logins, bans
//! and refused shares as counts. It is no part of the ledger: no money depends on it and it has no digest.

use crate::bytes::{DecodeError, Decoded, Reader, Write};
use crate::names::{Account, Key, LedgerId, WorkerName};

/// First bytes of a report.
pub const ACTIVITY_MAGIC: [u8; 4] = *b"OREA";
/// What precedes the signed bytes of a report.
pub const ACTIVITY_DOMAIN: &[u8] = b"orebook/activity/0\n";
/// Bytes of a report before its entries.
pub const REPORT_HEAD_BYTES: usize = 102;
/// Bytes of a report's signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Most entries of a report.
pub const REPORT_ENTRIES_MAX: usize = 512;
/// Most bytes of a report: a gateway cuts before, a reader refuses above.
pub const REPORT_BYTES_MAX: usize = 65_536;
/// Most bytes of what a miner says it runs; the rest is cut off.
pub const AGENT_BYTES_MAX: usize = 32;
/// Most bytes of an entry: a session that opens.
pub const ENTRY_BYTES_MAX: usize = 1 + 4 + 2 + 4 + 7 + 66 + 65 + 1 + AGENT_BYTES_MAX;
/// Most groups of a kind that counts in one report; what is beyond them is one [`Entry::Rest`] with the exact count.
pub const GROUPS_MAX: usize = 64;
/// Most bytes of a node's name; the rest is cut off.
pub const NODE_BYTES_MAX: usize = 64;
/// Most bytes of an entry about a node.
pub const NODE_ENTRY_BYTES_MAX: usize = 1 + 1 + 1 + NODE_BYTES_MAX + 16;
/// Most entries about nodes in one report; what is beyond them is one [`Entry::Rest`].
pub const NODE_GROUPS_MAX: usize = 32;
/// Most bytes of a report without sessions and nodes: all that strangers who do no work can make a gateway write at once.
pub const FLOOD_REPORT_BYTES_MAX: usize =
    REPORT_HEAD_BYTES + GROUPS_MAX * (25 + 24 + 85) + 5 * 10 + SIGNATURE_BYTES;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $code,)+
        }

        impl $name {
            /// All of them, ascending.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As people and JSON read it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
                match reader.u8()? {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(DecodeError::Value($what)),
                }
            }
        }
    };
}

codes! {
    /// Why a login failed (section 3).
    LoginFault, "reason of failed logins" {
        /// No payout address and no name of an account.
        Name = 1, "name";
        /// The connection has as many workers as it may have.
        Workers = 2, "too_many_workers";
        /// The policy has no pot for the port.
        Pot = 3, "no_pot";
        /// The request was malformed or came at the wrong time.
        Request = 4, "request";
        /// The account is banned by the operators.
        Banned = 5, "banned";
        /// The account takes registered workers only, and this is none of them.
        Unregistered = 6, "unregistered_worker";
    }
}

codes! {
    /// Why a share was refused (section 3).
    Reject, "reason of rejects" {
        /// Malformed, out of range, or no room to remember it (20).
        Other = 1, "other";
        /// Of no job that is known any more (21).
        UnknownJob = 2, "unknown_job";
        /// Sent before (22).
        Duplicate = 3, "duplicate";
        /// Below its difficulty (23).
        Low = 4, "low_difficulty";
        /// Of no authorized worker (24).
        Unauthorized = 5, "unauthorized";
        /// Before the subscription (25).
        NotSubscribed = 6, "not_subscribed";
        /// Checked, and not recorded for want of room (20).
        Unrecorded = 7, "unrecorded";
    }
}

codes! {
    /// Why a session ended (section 3).
    Closing, "cause of a closing" {
        /// It left, or its socket failed.
        Left = 1, "left";
        /// What it sent was no Stratum.
        Protocol = 2, "protocol";
        /// It did not read.
        SlowReader = 3, "slow_reader";
        /// Too many failed logins.
        FailedLogins = 4, "failed_logins";
        /// Too many refused shares in a row.
        BadShares = 5, "bad_shares";
        /// There was no work for it.
        NoWork = 6, "no_work";
        /// The gateway stopped.
        Stopped = 7, "stopped";
        /// Another cause.
        Other = 8, "other";
        /// An operator banned its account or its network.
        Banned = 9, "banned";
    }
}

codes! {
    /// Kind of an entry (section 3).
    EntryKind, "kind of an entry" {
        /// [`Entry::Opened`].
        Opened = 1, "opened";
        /// [`Entry::Closed`].
        Closed = 2, "closed";
        /// [`Entry::FailedLogins`].
        FailedLogins = 3, "failed_logins";
        /// [`Entry::Bans`].
        Bans = 4, "bans";
        /// [`Entry::Rejects`].
        Rejects = 5, "rejects";
        /// [`Entry::Rest`].
        Rest = 6, "rest";
        /// [`Entry::Node`].
        Node = 7, "node";
    }
}

codes! {
    /// What happened to a chain node (section 3).
    NodeSaid, "what is said of a node" {
        /// It is preferred to later ones of the list again.
        Well = 1, "well";
        /// It does not answer, or not with what was asked.
        Dead = 2, "dead";
        /// Its work is not on its own newest block.
        OldWork = 3, "old_work";
        /// Its height is not that of the others.
        WrongHeight = 4, "wrong_height";
        /// It is on another chain.
        OtherChain = 5, "other_chain";
        /// Its blocks pay somebody else.
        OtherPayee = 6, "other_payee";
        /// Its work cannot be used.
        Unusable = 7, "unusable_work";
        /// It took one block of ours as new twice.
        AcceptedTwice = 8, "accepted_twice";
        /// Work comes from it from now on.
        Source = 9, "source";
    }
}

/// Where a connection comes from, never more exact: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// A /24.
    V4([u8; 3]),
    /// A /48.
    V6([u8; 6]),
}

impl Network {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::V4(prefix) => {
                out.push(4);
                out.put(&prefix);
            }
            Self::V6(prefix) => {
                out.push(6);
                out.put(&prefix);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        match reader.u8()? {
            4 => reader.array().map(Self::V4),
            6 => reader.array().map(Self::V6),
            _ => Err(DecodeError::Value("network")),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c, d, e, g]) => {
                let pair = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
                write!(f, "{:x}:{:x}:{:x}::/48", pair(a, b), pair(c, d), pair(e, g))
            }
        }
    }
}

/// What a miner says it runs: at most [`AGENT_BYTES_MAX`] of printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentText(Box<str>);

impl AgentText {
    /// Makes any text harmless: what is not printable ASCII becomes `?`, what is too long is cut off.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(harmless(text, AGENT_BYTES_MAX))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The program without its version: what stands before the first `/` or space.
    #[must_use]
    pub fn family(&self) -> &str {
        self.0.split(['/', ' ']).next().unwrap_or_default()
    }

    fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        printable(reader, AGENT_BYTES_MAX, "agent").map(Self)
    }
}

/// A count of equal things, and when the first and the last of them happened: milliseconds after the report's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// First, at most `last`.
    pub first_ms: u32,
    /// Last, at most the report's span.
    pub last_ms: u32,
    /// How many, at least 1.
    pub count: u64,
}

impl Group {
    const fn is_legal(&self, span_ms: u32) -> bool {
        self.first_ms <= self.last_ms && self.last_ms <= span_ms && 1 <= self.count
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put(&self.first_ms.to_le_bytes());
        out.put(&self.last_ms.to_le_bytes());
        out.put(&self.count.to_le_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self {
            first_ms: reader.u32()?,
            last_ms: reader.u32()?,
            count: reader.u64()?,
        })
    }
}

/// A worker of a session, with its first accepted share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Session number, unique within the run while the session lives.
    pub session: u32,
    /// Number of the worker in the session, from 0.
    pub user: u16,
    /// When, milliseconds after the report's beginning.
    pub at_ms: u32,
    /// Where it comes from.
    pub network: Network,
    /// Who is paid.
    pub account: Account,
    /// The rig.
    pub worker: WorkerName,
    /// What it says it runs.
    pub agent: AgentText,
}

/// A session that had an accepted share and ended, with all its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Session number.
    pub session: u32,
    /// When, milliseconds after the report's beginning.
    pub at_ms: u32,
    /// Why.
    pub cause: Closing,
    /// Shares that were answered `true`.
    pub accepted: u64,
    /// Shares that were refused.
    pub rejected: u64,
}

/// One line of a report (section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A worker's first accepted share in a session.
    Opened(Box<Opened>),
    /// The end of a session that had one.
    Closed(Closed),
    /// Failed logins.
    FailedLogins {
        /// Why.
        reason: LoginFault,
        /// From where.
        network: Network,
        /// How many.
        group: Group,
    },
    /// Addresses that are kept out for a while, since too many of their logins failed.
    Bans {
        /// From where.
        network: Network,
        /// How many addresses, each time it was banned.
        group: Group,
    },
    /// Refused shares.
    Rejects {
        /// Whose; none if nobody had logged in for it.
        account: Option<Account>,
        /// Why.
        reason: Reject,
        /// How many.
        group: Group,
    },
    /// Something about a chain node that the gateway's process asks.
    Node {
        /// What.
        said: NodeSaid,
        /// Its configured name.
        node: NodeText,
        /// How often.
        group: Group,
    },
    /// What found no entry of its own.
    Rest {
        /// Of which kind; not of this one.
        of: EntryKind,
        /// How many things, at least 1.
        count: u64,
    },
}

impl Entry {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::Opened(_) => EntryKind::Opened,
            Self::Closed(_) => EntryKind::Closed,
            Self::FailedLogins { .. } => EntryKind::FailedLogins,
            Self::Bans { .. } => EntryKind::Bans,
            Self::Rejects { .. } => EntryKind::Rejects,
            Self::Rest { .. } => EntryKind::Rest,
            Self::Node { .. } => EntryKind::Node,
        }
    }

    /// How many things it says: 1 of a session, else its count.
    #[must_use]
    pub const fn count(&self) -> u64 {
        match self {
            Self::Opened(_) | Self::Closed(_) => 1,
            Self::FailedLogins { group, .. }
            | Self::Bans { group, .. }
            | Self::Rejects { group, .. }
            | Self::Node { group, .. } => group.count,
            Self::Rest { count, .. } => *count,
        }
    }

    fn is_legal(&self, span_ms: u32) -> bool {
        match self {
            Self::Opened(opened) => opened.at_ms <= span_ms,
            Self::Closed(closed) => closed.at_ms <= span_ms,
            Self::FailedLogins { group, .. }
            | Self::Bans { group, .. }
            | Self::Rejects { group, .. }
            | Self::Node { group, .. } => group.is_legal(span_ms),
            Self::Rest { of, count } => *of != EntryKind::Rest && 1 <= *count,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind() as u8);
        match self {
            Self::Opened(opened) => {
                out.put(&opened.session.to_le_bytes());
                out.put(&opened.user.to_le_bytes());
                out.put(&opened.at_ms.to_le_bytes());
                opened.network.write(out);
                opened.account.write(out);
                out.put_bytes8(opened.worker.as_str().as_bytes());
                out.put_bytes8(opened.agent.as_str().as_bytes());
            }
            Self::Closed(closed) => {
                out.put(&closed.session.to_le_bytes());
                out.put(&closed.at_ms.to_le_bytes());
                out.push(closed.cause as u8);
                out.put(&closed.accepted.to_le_bytes());
                out.put(&closed.rejected.to_le_bytes());
            }
            Self::FailedLogins {
                reason,
                network,
                group,
            } => {
                out.push(*reason as u8);
                network.write(out);
                group.write(out);
            }
            Self::Bans { network, group } => {
                network.write(out);
                group.write(out);
            }
            Self::Rejects {
                account,
                reason,
                group,
            } => {
                out.push(u8::from(account.is_some()));
                if let Some(account) = account {
                    account.write(out);
                }
                out.push(*reason as u8);
                group.write(out);
            }
            Self::Node { said, node, group } => {
                out.push(*said as u8);
                out.put_bytes8(node.as_str().as_bytes());
                group.write(out);
            }
            Self::Rest { of, count } => {
                out.push(*of as u8);
                out.put(&count.to_le_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(match EntryKind::read(reader)? {
            EntryKind::Opened => Self::Opened(Box::new(Opened {
                session: reader.u32()?,
                user: reader.u16()?,
                at_ms: reader.u32()?,
                network: Network::read(reader)?,
                account: Account::read(reader)?,
                worker: read_worker(reader)?,
                agent: AgentText::read(reader)?,
            })),
            EntryKind::Closed => Self::Closed(Closed {
                session: reader.u32()?,
                at_ms: reader.u32()?,
                cause: Closing::read(reader)?,
                accepted: reader.u64()?,
                rejected: reader.u64()?,
            }),
            EntryKind::FailedLogins => Self::FailedLogins {
                reason: LoginFault::read(reader)?,
                network: Network::read(reader)?,
                group: Group::read(reader)?,
            },
            EntryKind::Bans => Self::Bans {
                network: Network::read(reader)?,
                group: Group::read(reader)?,
            },
            EntryKind::Rejects => Self::Rejects {
                account: match reader.u8()? {
                    0 => None,
                    1 => Some(Account::read(reader)?),
                    _ => return Err(DecodeError::Value("account of rejects")),
                },
                reason: Reject::read(reader)?,
                group: Group::read(reader)?,
            },
            EntryKind::Node => Self::Node {
                said: NodeSaid::read(reader)?,
                node: NodeText::read(reader)?,
                group: Group::read(reader)?,
            },
            EntryKind::Rest => Self::Rest {
                of: EntryKind::read(reader)?,
                count: reader.u64()?,
            },
        })
    }
}

/// A chain node's configured name: at most [`NODE_BYTES_MAX`] of printable ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeText(Box<str>);

impl NodeText {
    /// Makes any text harmless: what is not printable ASCII becomes `?`, what is too long is cut off.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(harmless(text, NODE_BYTES_MAX))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(reader: &mut Reader<'_>) -> Decoded<Self> {
        printable(reader, NODE_BYTES_MAX, "node").map(Self)
    }
}

fn harmless(text: &str, bytes_max: usize) -> Box<str> {
    let shown = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().take(bytes_max).map(shown).collect()
}

fn printable(reader: &mut Reader<'_>, bytes_max: usize, what: &'static str) -> Decoded<Box<str>> {
    let bytes = reader.bytes8(bytes_max)?;
    let text = str::from_utf8(bytes).ok();
    let printable = text.filter(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    printable.map(Into::into).ok_or(DecodeError::Value(what))
}

fn read_worker(reader: &mut Reader<'_>) -> Decoded<WorkerName> {
    let bytes = reader.bytes8(64)?;
    let text = str::from_utf8(bytes).ok();
    text.and_then(WorkerName::parse)
        .ok_or(DecodeError::Value("worker"))
}

/// What a gateway says of a few seconds (section 2), signed with its producer's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The ledger that the gateway writes to.
    pub ledger: LedgerId,
    /// SLIP-44 coin type.
    pub coin: u32,
    /// The gateway's producer key.
    pub key: Key,
    /// Which run of the gateway: when it started, milliseconds since 1970.
    pub run: u64,
    /// Which report of the run, from 0. A reader takes each (key, run, number) once.
    pub number: u64,
    /// Where times count from, milliseconds since 1970.
    pub from_ms: u64,
    /// Milliseconds from there to the report's end.
    pub span_ms: u32,
    /// Sessions that may be given work, at the end.
    pub sessions: u32,
    /// Things of this run that were counted and could not be recorded in any report, before this one.
    pub lost: u64,
    /// What happened, at most [`REPORT_ENTRIES_MAX`].
    pub entries: Vec<Entry>,
}

impl Report {
    /// The bytes that are signed.
    ///
    /// # Panics
    /// With more than [`REPORT_ENTRIES_MAX`] entries: a mistake of ours.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let count = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
        assert!(
            usize::from(count) <= REPORT_ENTRIES_MAX,
            "a report has at most 512 entries"
        );
        let mut out = Vec::with_capacity(1_024);
        out.put(&ACTIVITY_MAGIC);
        out.put(&0u32.to_le_bytes());
        out.put(&self.ledger.0);
        out.put(&self.coin.to_le_bytes());
        out.put(&self.key.0);
        out.put(&self.run.to_le_bytes());
        out.put(&self.number.to_le_bytes());
        out.put(&self.from_ms.to_le_bytes());
        out.put(&self.span_ms.to_le_bytes());
        out.put(&self.sessions.to_le_bytes());
        out.put(&self.lost.to_le_bytes());
        out.put(&count.to_le_bytes());
        for entry in &self.entries {
            entry.write(&mut out);
        }
        out
    }

    /// Reads a report and its signature, which is not verified here: that is the ledger's.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not the one spelling of a legal report.
    pub fn read(bytes: &[u8]) -> Decoded<(Self, [u8; SIGNATURE_BYTES])> {
        if REPORT_BYTES_MAX < bytes.len() {
            return Err(DecodeError::Limit("report"));
        }
        let mut reader = Reader::new(bytes, "report");
        if reader.array()? != ACTIVITY_MAGIC {
            return Err(DecodeError::Value("magic of a report"));
        }
        if reader.u32()? != 0 {
            return Err(DecodeError::Value("version of a report"));
        }
        let mut report = Self {
            ledger: LedgerId(reader.array()?),
            coin: reader.u32()?,
            key: Key(reader.array()?),
            run: reader.u64()?,
            number: reader.u64()?,
            from_ms: reader.u64()?,
            span_ms: reader.u32()?,
            sessions: reader.u32()?,
            lost: reader.u64()?,
            entries: Vec::new(),
        };
        let count = usize::from(reader.u16()?);
        if REPORT_ENTRIES_MAX < count {
            return Err(DecodeError::Limit("entries of a report"));
        }
        for _ in 0..count {
            let entry = Entry::read(&mut reader)?;
            if !entry.is_legal(report.span_ms) {
                return Err(DecodeError::Limit("times or count of an entry"));
            }
            report.entries.push(entry);
        }
        let signature = reader.array()?;
        reader.end()?;
        Ok((report, signature))
    }

    /// How many things it says; what is lost with it.
    #[must_use]
    pub fn things(&self) -> u64 {
        let counts = self.entries.iter().map(Entry::count);
        counts.fold(0, u64::saturating_add)
    }
}
