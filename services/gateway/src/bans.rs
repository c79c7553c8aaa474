//! Operators' bans as a gateway holds them: looked up at each login, and against everybody when they change. They are the
//! ledger's final ones; whether one still holds is asked of this process's clock, which decides no money.
//!
//! A copy lies beside the spool, so that a gateway that starts with everything else down keeps out whom it kept out before; one
//! that starts from nothing has it from the peer that gave it `control`. Once in a process's life, when the mirror is as far,
//! the mirror's whole list takes its place.
//! Bytes: magic `OREB`, ledger 16, final size `u64`, count `u32`, each target (LEDGER-FORMAT.md section 3), until `u64`, reason
//! `bytes8`, ascending by target; CRC32C of all that. Lifted bans are left out. Replaced whole, as `control` is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use orebook_ledger::disk::{Disk, DiskResult, replace_file, small_file};
use orebook_ledger::reader::Reader;
use orebook_schema::bytes::{Reader as Bytes, Write};
use orebook_schema::desk::{BANS_MAX, BanAction, BanTarget, Network, Reason};
use orebook_schema::{Account, DecodeError, LedgerId};

const MAGIC: [u8; 4] = *b"OREB";
/// Longest entry: a script of 64 bytes, end, reason.
const ENTRY_BYTES_MAX: usize = 1 + 2 + 64 + 8 + 1 + Reason::BYTES_MAX;
/// Longest file: the head, [`BANS_MAX`] entries, the checksum. The ledger obeys no more bans at one time.
const FILE_BYTES_MAX: usize = 32 + BANS_MAX * ENTRY_BYTES_MAX + 4;
const NAME: &str = "bans";

/// A ban without its target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Banned {
    /// Milliseconds since 1970; 0: not by itself.
    until_ms: u64,
    reason: Reason,
}

/// A ban in force, as another process says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedBan {
    /// Who is kept out.
    pub target: BanTarget,
    /// When it ends, milliseconds since 1970; 0: not by itself.
    pub until_ms: u64,
    /// Why, for the miner to read.
    pub reason: Reason,
}

/// The bans of a final size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bans {
    /// Final size they are of.
    pub(crate) size: u64,
    accounts: BTreeMap<Account, Banned>,
    networks: BTreeMap<Network, Banned>,
    /// Lengths of the networks' prefixes: an address is looked up once for each.
    prefixes: BTreeSet<u8>,
}

impl Bans {
    /// As a mirror has them, if any ban or lift took effect at or after `since`; none also before its genesis is final. From 0 on
    /// all are taken, also if there never was one.
    pub(crate) fn of<D: Disk + Clone>(reader: &Reader<D>, since: u64) -> Option<Self> {
        let authority = reader.settled().authority()?;
        let newest = authority.bans().map(|obeyed| obeyed.effective).max();
        if newest.map_or(0, |newest| newest + 1) <= since && since != 0 {
            return None;
        }
        let mut bans = Self {
            size: reader.final_size(),
            ..Self::default()
        };
        for obeyed in authority.bans() {
            if obeyed.ban.action == BanAction::Ban {
                let (until_ms, reason) = (obeyed.ban.until_ms, obeyed.ban.reason.clone());
                bans.put(obeyed.ban.target.clone(), Banned { until_ms, reason });
            }
        }
        Some(bans)
    }

    /// As another process says, of a final size; [`keep_control`](crate::keep_control) is its door.
    pub(crate) fn offered(size: u64, offered: Vec<OfferedBan>) -> Self {
        let mut bans = Self {
            size,
            ..Self::default()
        };
        for ban in offered.into_iter().take(BANS_MAX) {
            let (until_ms, reason) = (ban.until_ms, ban.reason);
            bans.put(ban.target, Banned { until_ms, reason });
        }
        bans
    }

    /// Whether both keep out the same, of whatever size they are.
    pub(crate) fn say_as(&self, other: &Self) -> bool {
        self.accounts == other.accounts && self.networks == other.networks
    }

    fn put(&mut self, target: BanTarget, banned: Banned) {
        match target {
            BanTarget::Account(account) => {
                self.accounts.insert(account, banned);
            }
            BanTarget::Network(network) => {
                self.prefixes.insert(network.prefix());
                self.networks.insert(network, banned);
            }
        }
    }

    /// Why neither this account nor this address is served now, for the miner to read; none if both are.
    pub(crate) fn refusal(&self, account: &Account, from: IpAddr, now_ms: u64) -> Option<String> {
        let of_account = self.accounts.get(account).map(|ban| ("account", ban));
        let bans = of_account.into_iter().chain(self.of_address(from));
        let mut holding = bans.filter(|(_, ban)| ban.until_ms == 0 || now_ms < ban.until_ms);
        holding.next().map(|(what, ban)| {
            let end = match ban.until_ms {
                0 => String::new(),
                until_ms => format!(" until {}", utc(until_ms)),
            };
            format!("this {what} is banned{end}: {}", ban.reason)
        })
    }

    fn of_address(&self, from: IpAddr) -> impl Iterator<Item = (&'static str, &Banned)> {
        let from = from.to_canonical();
        let networks = self.prefixes.iter().filter_map(move |prefix| match from {
            IpAddr::V4(address) => Network::covering(&address.octets(), *prefix),
            IpAddr::V6(address) => Network::covering(&address.octets(), *prefix),
        });
        networks.filter_map(move |network| Some(("address", self.networks.get(&network)?)))
    }

    /// What lies beside the spool; none if nothing does, or nothing whole, or another ledger's.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError).
    pub(crate) fn load<D: Disk>(disk: &D, dir: &str, ledger: LedgerId) -> DiskResult<Option<Self>> {
        let bytes = small_file(disk, dir, NAME, FILE_BYTES_MAX)?;
        Ok(bytes.and_then(|bytes| Self::read(&bytes, ledger).ok()))
    }

    /// Replaces the file; durable on return.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError); the former file stands then.
    pub(crate) fn save<D: Disk>(&self, disk: &D, dir: &str, ledger: LedgerId) -> DiskResult<()> {
        replace_file(disk, dir, NAME, &self.to_bytes(ledger))
    }

    fn to_bytes(&self, ledger: LedgerId) -> Vec<u8> {
        let mut out = Vec::new();
        out.put(&MAGIC);
        out.put(&ledger.0);
        out.put(&self.size.to_le_bytes());
        let count = self.accounts.len() + self.networks.len();
        out.put(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        let accounts = self.accounts.iter();
        let accounts = accounts.map(|(account, ban)| (BanTarget::Account(account.clone()), ban));
        let networks = self.networks.iter();
        let networks = networks.map(|(network, ban)| (BanTarget::Network(*network), ban));
        for (target, ban) in accounts.chain(networks) {
            out.put(&target.to_bytes());
            out.put(&ban.until_ms.to_le_bytes());
            out.put_bytes8(ban.reason.as_str().as_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.put(&crc.to_le_bytes());
        out
    }

    fn read(bytes: &[u8], ledger: LedgerId) -> Result<Self, DecodeError> {
        let wrong = DecodeError::Value("bans");
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(wrong)?;
        let mut reader = Bytes::new(covered, "bans");
        let magic: [u8; 4] = reader.array()?;
        let is_ours = magic == MAGIC && LedgerId(reader.array()?) == ledger;
        if !is_ours || crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err(wrong);
        }
        let mut bans = Self {
            size: reader.u64()?,
            ..Self::default()
        };
        let mut last: Option<BanTarget> = None;
        for _ in 0..reader.u32()? {
            let target = BanTarget::from_reader(&mut reader)?;
            if last.is_some_and(|last| target <= last) {
                return Err(DecodeError::Order("bans"));
            }
            let until_ms = reader.u64()?;
            let reason = str::from_utf8(reader.bytes8(Reason::BYTES_MAX)?).ok();
            let reason = reason.and_then(Reason::parse).ok_or(wrong)?;
            last = Some(target.clone());
            bans.put(target, Banned { until_ms, reason });
        }
        reader.end()?;
        Ok(bans)
    }
}

/// A time as people read it, to the minute, rounded up: `2026-11-21 17:15 UTC`. The proleptic Gregorian calendar, counted in
/// years that begin in March.
fn utc(ms: u64) -> String {
    let minutes = ms.div_ceil(60_000);
    let days = minutes / 1_440 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + turn;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use orebook_ledger::disk::real::RealDisk;

    use super::*;

    const LEDGER: LedgerId = LedgerId([1; 16]);

    fn account(name: &str) -> Account {
        Account::parse(&format!("name:{name}")).unwrap()
    }

    fn bans() -> Bans {
        let mut bans = Bans {
            size: 77,
            ..Bans::default()
        };
        let net = |address: &[u8], prefix| {
            BanTarget::Network(Network::covering(address, prefix).unwrap())
        };
        let doc = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (target, until_ms, reason) in [
            (BanTarget::Account(account("anna")), 0, "botnet"),
            (BanTarget::Account(account("ben")), 1_000, "rests"),
            (net(&[10, 0, 0, 0], 8), 0, "floods us"),
            (net(&[10, 9, 0, 0], 16), 1_000, "floods us more"),
            (net(&doc, 32), 1_763_745_300_000, "says \"hi\""),
        ] {
            let reason = Reason::parse(reason).unwrap();
            bans.put(target, Banned { until_ms, reason });
        }
        bans
    }

    #[test]
    fn accounts_and_addresses_are_refused_with_the_ban_and_its_end() {
        let table = [
            (
                "anna",
                "192.0.2.1",
                0,
                Some("this account is banned: botnet"),
            ),
            (
                "anna",
                "10.1.1.1",
                0,
                Some("this account is banned: botnet"),
            ),
            (
                "ben",
                "192.0.2.1",
                999,
                Some("this account is banned until 1970-01-01 00:01 UTC: rests"),
            ),
            ("ben", "192.0.2.1", 1_000, None),
            ("carl", "192.0.2.1", 0, None),
            ("carl", "11.0.0.1", 0, None),
            (
                "carl",
                "10.1.1.1",
                0,
                Some("this address is banned: floods us"),
            ),
            (
                "carl",
                "::ffff:10.1.1.1",
                0,
                Some("this address is banned: floods us"),
            ),
            // Two networks: the first that holds.
            (
                "carl",
                "10.9.1.1",
                5_000,
                Some("this address is banned: floods us"),
            ),
            (
                "carl",
                "2001:db8::9",
                0,
                Some("this address is banned until 2025-11-21 17:15 UTC: says \"hi\""),
            ),
            ("carl", "2001:db9::9", 0, None),
        ];
        for (name, from, now_ms, why) in table {
            let found = bans().refusal(&account(name), from.parse().unwrap(), now_ms);
            assert_eq!(found.as_deref(), why, "{name} from {from} at {now_ms}");
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00 UTC"),
            (1, "1970-01-01 00:01 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (951_868_800_000, "2000-03-01 00:00 UTC"),
            (1_709_164_800_000, "2024-02-29 00:00 UTC"),
            (1_767_225_540_000, "2025-12-31 23:59 UTC"),
            (1_767_225_540_001, "2026-01-01 00:00 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00 UTC"),
        ];
        for (ms, shown) in table {
            assert_eq!(utc(ms), shown);
        }
        assert!(utc(u64::MAX).ends_with(" UTC"));
    }

    #[test]
    fn what_was_saved_is_found_again_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().to_path_buf());
        disk.create_dir("gateway").unwrap();
        let load = |ledger| Bans::load(&disk, "gateway", ledger).unwrap();
        assert_eq!(load(LEDGER), None);
        for saved in [bans(), Bans::default(), bans()] {
            saved.save(&disk, "gateway", LEDGER).unwrap();
            assert_eq!(load(LEDGER), Some(saved));
        }
        assert_eq!(load(LedgerId([2; 16])), None, "another ledger's");
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        let bytes = bans().to_bytes(LEDGER);
        assert_eq!(Bans::read(&bytes, LEDGER), Ok(bans()));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Bans::read(&flipped, LEDGER).is_err(), "byte {at}");
            assert!(Bans::read(&bytes[..at], LEDGER).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_most_and_longest_bans_fit_into_the_longest_file() {
        let mut most = Bans::default();
        for number in 0..BANS_MAX {
            let mut script = [0xff; 64];
            script[..8].copy_from_slice(&number.to_be_bytes());
            let script = orebook_schema::names::Script::new(&script).unwrap();
            let reason = Reason::parse(&"x".repeat(Reason::BYTES_MAX)).unwrap();
            let target = BanTarget::Account(Account::Script(script));
            most.put(
                target,
                Banned {
                    until_ms: u64::MAX,
                    reason,
                },
            );
        }
        assert_eq!(most.to_bytes(LEDGER).len(), FILE_BYTES_MAX);
    }
}
