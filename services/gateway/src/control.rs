//! `control` beside the spool: the policy that jobs may cite, as of a final size, so that a gateway starts with everything
//! else down. Replaced whole, by write, sync, rename and sync of the folder.
//!
//! Bytes: magic `OREC`, ledger 16, final size `u64`, root 32, the place of the policy's event (`at`), length `u32`, a
//! canonical policy event, CRC32C of all that.

use std::sync::Arc;

use orebook_ledger::disk::{Disk, DiskResult, replace_file, small_file};
use orebook_ledger::reader::Reader;
use orebook_schema::bytes::{Reader as Bytes, Write};
use orebook_schema::event::{PolicyChange, RawEvent};
use orebook_schema::{At, DecodeError, Event, Hash, LedgerId, Policy};

use crate::accounts::{Accounts, OfferedAccount};
use crate::bans::{Bans, OfferedBan};

const MAGIC: [u8; 4] = *b"OREC";
/// Longest file: the head and a policy of 16 pots, with room.
const FILE_BYTES_MAX: usize = 4_096;
const NAME: &str = "control";

/// What a gateway knows of the ledger's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) ledger: LedgerId,
    /// Final size it is of.
    pub(crate) size: u64,
    /// Root of the tree of that size.
    pub(crate) root: Hash,
    /// Place of the newest policy that is obeyed and final.
    pub(crate) at: At,
    pub(crate) policy: Arc<Policy>,
}

impl Control {
    /// As a mirror has it; none before its genesis is final.
    pub(crate) fn of<D: Disk + Clone>(reader: &Reader<D>) -> Option<Self> {
        let settled = reader.settled();
        let (at, obeyed) = settled.authority()?.newest_policy();
        let obeyed = obeyed.filter(|obeyed| obeyed.effective < reader.final_size())?;
        Some(Self {
            ledger: settled.ledger(),
            size: reader.final_size(),
            root: settled.root(),
            at,
            policy: Arc::clone(&obeyed.policy),
        })
    }

    /// Whether a ledger that is final as far as this is, or further, obeyed this very policy at this very place.
    pub(crate) fn is_of<D: Disk + Clone>(&self, reader: &Reader<D>) -> bool {
        let authority = reader.settled().authority();
        let obeyed = authority.and_then(|authority| authority.policy(self.at));
        obeyed.is_some_and(|obeyed| obeyed.effective < self.size && obeyed.policy == self.policy)
    }

    /// Gives up what lies in the folder.
    pub(crate) fn forget<D: Disk>(disk: &D, dir: &str) -> DiskResult<()> {
        disk.remove(&format!("{dir}/{NAME}"))?;
        disk.sync_dir(dir)
    }

    /// What lies beside the spool; none if nothing does, or nothing whole, or another ledger's.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError).
    pub(crate) fn load<D: Disk>(disk: &D, dir: &str, ledger: LedgerId) -> DiskResult<Option<Self>> {
        let bytes = small_file(disk, dir, NAME, FILE_BYTES_MAX)?;
        let found = bytes.and_then(|bytes| Self::read(&bytes).ok());
        Ok(found.filter(|control| control.ledger == ledger))
    }

    /// Replaces the file; durable on return.
    ///
    /// # Errors
    /// [`DiskError`](orebook_ledger::disk::DiskError); the former file stands then.
    pub(crate) fn save<D: Disk>(&self, disk: &D, dir: &str) -> DiskResult<()> {
        replace_file(disk, dir, NAME, &self.to_bytes())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let change = PolicyChange {
            expects: At::default(),
            policy: (*self.policy).clone(),
        };
        let event = Event::Policy(Box::new(change)).to_bytes(0);
        let mut out = Vec::with_capacity(128 + event.len());
        out.put(&MAGIC);
        out.put(&self.ledger.0);
        out.put(&self.size.to_le_bytes());
        out.put(&self.root.0);
        out.put_at(self.at);
        out.put(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.put(&event);
        let crc = crc32c::crc32c(&out);
        out.put(&crc.to_le_bytes());
        out
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wrong = DecodeError::Value("control");
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(wrong)?;
        let mut reader = Bytes::new(covered, "control");
        let magic: [u8; 4] = reader.array()?;
        if magic != MAGIC || crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Err(wrong);
        }
        let ledger = LedgerId(reader.array()?);
        let (size, root, at) = (reader.u64()?, reader.hash()?, reader.at()?);
        let len = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let event = reader.take(len)?;
        reader.end()?;
        let Event::Policy(change) = RawEvent::one(event)?.decode()? else {
            return Err(wrong);
        };
        Ok(Self {
            ledger,
            size,
            root,
            at,
            policy: Arc::new(change.policy),
        })
    }
}

/// What another process says of `control`, checked as far as it can be ([`keep_control`] checks nothing).
#[derive(Clone, Debug)]
pub struct OfferedControl {
    /// The ledger.
    pub ledger: LedgerId,
    /// Final size it is of.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
    /// Place of the newest policy.
    pub at: At,
    /// That policy.
    pub policy: Policy,
    /// Operators' bans in force at that size; lifted ones left out. At most [`BANS_MAX`](orebook_schema::desk::BANS_MAX) are kept.
    pub bans: Vec<OfferedBan>,
    /// Registered accounts at that size; no more than a ledger has are kept.
    pub accounts: Vec<OfferedAccount>,
}

/// Final size of what lies in a gateway's folder; none if it would start without a policy.
///
/// # Errors
/// [`DiskError`](orebook_ledger::disk::DiskError).
pub fn control_size(disk: &impl Disk, dir: &str, ledger: LedgerId) -> DiskResult<Option<u64>> {
    let found = Control::load(disk, dir, ledger)?;
    Ok(found.map(|control| control.size))
}

/// Keeps what is offered in a gateway's folder, before the gateway starts, unless what lies there is as new. Whether it did.
/// The gateway compares it with its mirror's once that has as many final positions. Bans and accounts are written first: whoever
/// finds `control` starts.
///
/// # Errors
/// [`DiskError`](orebook_ledger::disk::DiskError); what lay there stands then.
pub fn keep_control(disk: &impl Disk, dir: &str, offered: OfferedControl) -> DiskResult<bool> {
    disk.create_dir(dir)?;
    let had = control_size(disk, dir, offered.ledger)?;
    if had.is_some_and(|had| offered.size <= had) {
        return Ok(false);
    }
    let known = Bans::load(disk, dir, offered.ledger)?;
    if known.is_none_or(|known| known.size < offered.size) {
        Bans::offered(offered.size, offered.bans).save(disk, dir, offered.ledger)?;
    }
    let known = Accounts::load(disk, dir, offered.ledger)?;
    if known.is_none_or(|known| known.size < offered.size) {
        Accounts::offered(offered.size, offered.accounts).save(disk, dir, offered.ledger)?;
    }
    let control = Control {
        ledger: offered.ledger,
        size: offered.size,
        root: offered.root,
        at: offered.at,
        policy: Arc::new(offered.policy),
    };
    control.save(disk, dir)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orebook_ledger::disk::real::RealDisk;
    use orebook_schema::Account;
    use orebook_schema::desk::{BanTarget, Reason};
    use orebook_schema::names::{Pot, RegisteredName};
    use orebook_schema::policy::{NetworkFees, PotRules, Scheme};

    use super::*;

    fn control() -> Control {
        let pot = PotRules {
            pot: Pot(3),
            scheme: Scheme::Pplns,
            n_ppm: 2_000_000,
            fee_ppm: 10_000,
            bonus_ppm: 0,
            stale_ppm: 0,
            keep_tx_fees: false,
            direct_min: 0,
            direct_outputs: 0,
        };
        let policy = Policy {
            pots: vec![pot],
            immature_depth: 1,
            confirmed_depth: 100,
            orphan_depth: 10,
            threshold: 5,
            address_hold_ms: 0,
            network_fees: NetworkFees::Pool,
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 0,
            rounding_to_fee: false,
        };
        Control {
            ledger: LedgerId([1; 16]),
            size: 77,
            root: Hash([2; 32]),
            at: At {
                position: 9,
                index: 4,
            },
            policy: Arc::new(policy),
        }
    }

    #[test]
    fn what_was_saved_is_found_again_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().to_path_buf());
        disk.create_dir("gateway").unwrap();
        let mut control = control();
        let load = || Control::load(&disk, "gateway", LedgerId([1; 16])).unwrap();
        assert_eq!(load(), None);
        for size in [77, 78, 1 << 40] {
            control.size = size;
            control.save(&disk, "gateway").unwrap();
            assert_eq!(load().as_ref(), Some(&control));
        }
        let other = Control::load(&disk, "gateway", LedgerId([2; 16])).unwrap();
        assert_eq!(other, None, "another ledger's is none");
    }

    #[test]
    fn what_is_offered_is_kept_unless_there_is_something_as_new() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path().to_path_buf());
        let ledger = LedgerId([1; 16]);
        let offer = |size, fee_ppm| {
            let mut policy = (*control().policy).clone();
            policy.pots[0].fee_ppm = fee_ppm;
            OfferedControl {
                ledger,
                size,
                root: Hash([2; 32]),
                at: control().at,
                policy,
                accounts: vec![OfferedAccount {
                    name: RegisteredName::parse(&format!("anna-{fee_ppm}")).unwrap(),
                    is_registered_only: false,
                    workers: BTreeSet::new(),
                }],
                bans: vec![OfferedBan {
                    target: BanTarget::Account(Account::parse("name:anna").unwrap()),
                    until_ms: fee_ppm.into(),
                    reason: Reason::parse("botnet").unwrap(),
                }],
            }
        };
        for (size, fee_ppm, taken, now) in [
            (77, 1, true, 1),
            (77, 2, false, 1),
            (76, 3, false, 1),
            (78, 4, true, 4),
        ] {
            let kept = keep_control(&disk, "new/control", offer(size, fee_ppm)).unwrap();
            assert_eq!(kept, taken, "{size}");
            let found = Control::load(&disk, "new/control", ledger)
                .unwrap()
                .unwrap();
            assert_eq!(found.policy.pots[0].fee_ppm, now, "{size}");
            // Its bans and accounts come and stay with it.
            let bans = Bans::load(&disk, "new/control", ledger).unwrap().unwrap();
            assert!(bans.say_as(&Bans::offered(0, offer(0, now).bans)), "{size}");
            let accounts = Accounts::load(&disk, "new/control", ledger).unwrap();
            let offered = Accounts::offered(0, offer(0, now).accounts);
            assert!(accounts.unwrap().say_as(&offered), "{size}");
        }
        // Newer ones than those offered stay.
        Bans::offered(90, Vec::new())
            .save(&disk, "new/control", ledger)
            .unwrap();
        assert_eq!(
            keep_control(&disk, "new/control", offer(80, 5)),
            Ok(true),
            "control is older"
        );
        let bans = Bans::load(&disk, "new/control", ledger).unwrap().unwrap();
        assert_eq!(bans, Bans::offered(90, Vec::new()));
        assert_eq!(keep_control(&disk, "new/control", offer(91, 5)), Ok(true));
        let bans = Bans::load(&disk, "new/control", ledger).unwrap().unwrap();
        assert_eq!(bans, Bans::offered(91, offer(0, 5).bans));
        assert_eq!(control_size(&disk, "new/control", ledger), Ok(Some(91)));
        Control::forget(&disk, "new/control").unwrap();
        assert_eq!(control_size(&disk, "new/control", ledger), Ok(None));
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        let bytes = control().to_bytes();
        assert_eq!(Control::read(&bytes), Ok(control()));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Control::read(&flipped).is_err(), "byte {at}");
            assert!(Control::read(&bytes[..at]).is_err(), "{at} bytes");
        }
    }
}
