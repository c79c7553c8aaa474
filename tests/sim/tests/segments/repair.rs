//! Repair from a donor: what is damaged comes back to the bit, what verifies is not touched, nothing else is believed.

use std::collections::BTreeMap;

use orebook_ledger::disk::{Disk, DiskError, DiskFile};
use orebook_ledger::segment::repair::{
    Donor, DonorFault, Promised, RepairError, Repairs, carry_out, discard, find_repairs,
};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::pool::Pool;
use crate::{DIR, SMALL, grown, verify, written};

/// Bytes that a donor gives at once.
const PIECE: usize = 1_000;
const POSITIONS: u64 = 43;

/// A donor that has a folder of a simulated disk.
struct Folder(SimDisk);

impl Donor for Folder {
    fn names(&mut self) -> Result<Vec<String>, DonorFault> {
        Ok(self.0.list(DIR).unwrap())
    }

    fn read(&mut self, name: &str, from: u64) -> Result<Vec<u8>, DonorFault> {
        let bytes = self.0.read_raw(&format!("{DIR}/{name}")).unwrap();
        let from = usize::try_from(from).unwrap();
        let rest = bytes.get(from..).unwrap_or_default();
        Ok(rest[..rest.len().min(PIECE)].to_vec())
    }
}

/// A donor that goes away in the middle of a file.
struct Dying(Folder, u64);

impl Donor for Dying {
    fn names(&mut self) -> Result<Vec<String>, DonorFault> {
        self.0.names()
    }

    fn read(&mut self, name: &str, from: u64) -> Result<Vec<u8>, DonorFault> {
        if self.1 <= from {
            let why = "connection reset".to_owned();
            return Err(DonorFault { why });
        }
        self.0.read(name, from)
    }
}

fn promised(pool: &Pool) -> Promised {
    let (size, root) = (pool.state.size(), pool.state.root());
    Promised {
        size,
        signed: Some((size, root)),
        more: false,
    }
}

fn find(disk: &SimDisk, promised: Promised, donor: &mut dyn Donor) -> Result<Repairs, RepairError> {
    find_repairs(disk, DIR, promised, donor, &mut |_| {})
}

fn repair(disk: &SimDisk, pool: &Pool, donor: &SimDisk) -> Result<Repairs, RepairError> {
    let repairs = find(disk, promised(pool), &mut Folder(donor.clone()))?;
    carry_out(disk, DIR, &repairs)?;
    Ok(repairs)
}

fn files(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let paths = disk.paths().into_iter();
    paths
        .map(|path| (path.clone(), disk.read_raw(&path).unwrap()))
        .collect()
}

/// The segments alone.
fn segments(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(disk);
    files.retain(|path, _| path.ends_with(".seg") || path.ends_with(".open"));
    files
}

fn written_through(disk: &SimDisk, path: &str, bytes: &[u8]) {
    disk.remove(path).unwrap();
    let mut file = disk.create(path).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(DIR).unwrap();
}

/// Every way in which a file goes bad; whether anything is left of it.
fn damage(disk: &SimDisk, path: &str, how: usize, rng: &mut Rng) -> bool {
    let bytes = disk.read_raw(path).unwrap();
    // Of an open file only the records were promised, not the zeros behind them.
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    match how {
        0 => {
            let bit = rng.below(u64::try_from(used).unwrap() * 8);
            disk.flip_bit(path, bit).unwrap();
        }
        1 => {
            disk.remove(path).unwrap();
            disk.sync_dir(DIR).unwrap();
            return false;
        }
        2 => written_through(disk, path, &bytes[..used / 2]),
        3 => {
            let mut zeroed = bytes.clone();
            zeroed[used / 2..].fill(0);
            written_through(disk, path, &zeroed);
        }
        4 => written_through(disk, path, &[]),
        _ => {
            let other = disk.paths().into_iter().find(|other| other != path);
            let other = disk.read_raw(&other.unwrap()).unwrap();
            written_through(disk, path, &other);
        }
    }
    true
}

#[test]
fn any_damage_of_any_file_comes_back_to_the_bit_and_no_other_file_is_touched() {
    for seed in [0] {
        let pool = grown(seed, SMALL, POSITIONS);
        let good = written(&pool, 3, 8_192, 30);
        let wanted = segments(&good);
        let mut rng = Rng::new(seed);
        for path in wanted.keys() {
            for how in 0..6 {
                let disk = written(&pool, 3, 8_192, 30);
                let is_left = damage(&disk, path, how, &mut rng);
                let before = files(&disk);
                let context = format!("seed {seed} {path} damage {how}");
                let dry = find(&disk, promised(&pool), &mut Folder(good.clone())).unwrap();
                discard(&disk, DIR).unwrap();
                assert_eq!(files(&disk), before, "{context}: a dry run changes nothing");
                let repairs = repair(&disk, &pool, &good).unwrap();
                assert_eq!(dry, repairs, "{context}");
                let repaired: Vec<_> = repairs.replacements.iter().map(|it| &it.path).collect();
                assert_eq!(repaired, [path], "{context}");
                assert!(segments(&disk) == wanted, "{context}");
                let aside = disk.read_raw(&format!("{path}.damaged-1")).ok();
                let kept = before.get(path).filter(|_| is_left);
                assert_eq!(aside.as_ref(), kept, "{context}: the damaged file is kept");
                assert_eq!(verify(&disk, pool.ledger).unwrap().positions, POSITIONS);
                assert_eq!(repairs.verified.root, pool.state.root());
            }
        }
    }
}

#[test]
fn several_damaged_files_are_repaired_in_one_pass_and_old_evidence_is_kept() {
    let pool = grown(7, SMALL, POSITIONS);
    let good = written(&pool, 3, 8_192, 30);
    let disk = written(&pool, 3, 8_192, 30);
    let paths: Vec<String> = segments(&good).into_keys().collect();
    let mut rng = Rng::new(7);
    for (path, how) in [(0, 1), (2, 0), (3, 1), (4, 1), (8, 1)] {
        damage(&disk, &paths[path], how, &mut rng);
    }
    let repairs = repair(&disk, &pool, &good).unwrap();
    let first: Vec<u64> = repairs.replacements.iter().map(|it| it.first).collect();
    assert_eq!(first, [0, 10, 15, 20, 40]);
    assert!(segments(&disk) == segments(&good));
    // The same file goes bad again.
    damage(&disk, &paths[2], 0, &mut rng);
    repair(&disk, &pool, &good).unwrap();
    assert!(segments(&disk) == segments(&good));
    for number in [1, 2] {
        let aside = format!("{}.damaged-{number}", paths[2]);
        disk.read_raw(&aside).unwrap();
    }
}

#[test]
fn what_verifies_is_neither_written_nor_renamed_and_nobody_is_asked() {
    struct Nobody;
    impl Donor for Nobody {
        fn names(&mut self) -> Result<Vec<String>, DonorFault> {
            panic!("nothing is wanted");
        }
        fn read(&mut self, _: &str, _: u64) -> Result<Vec<u8>, DonorFault> {
            panic!("nothing is wanted");
        }
    }
    let pool = grown(3, SMALL, POSITIONS);
    // A torn tail behind what was promised is no damage: the next start cuts it.
    for torn in [false, true] {
        let disk = written(&pool, 3, 8_192, 30);
        if torn {
            let last = segments(&disk).into_keys().next_back().unwrap();
            let mut bytes = disk.read_raw(&last).unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let at = used.next_multiple_of(8);
            bytes[at..at + 40].fill(0xee);
            written_through(&disk, &last, &bytes);
        }
        let (before, operations) = (files(&disk), disk.operations());
        let repairs = find(&disk, promised(&pool), &mut Nobody).unwrap();
        carry_out(&disk, DIR, &repairs).unwrap();
        assert!(repairs.replacements.is_empty());
        assert_eq!(repairs.verified.torn.is_some(), torn);
        assert_eq!(disk.operations(), operations, "an operation that changes");
        assert!(files(&disk) == before);
    }
}

#[test]
fn a_donor_s_open_file_is_taken_up_to_its_last_whole_record() {
    let pool = grown(5, SMALL, POSITIONS);
    let good = written(&pool, 3, 8_192, 30);
    let last = segments(&good).into_keys().next_back().unwrap();
    let donor = written(&pool, 3, 8_192, 30);
    let mut bytes = donor.read_raw(&last).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let at = used.next_multiple_of(8);
    // It writes there at this moment.
    bytes.resize(at + 64, 0);
    bytes[at..].fill(0x4f);
    written_through(&donor, &last, &bytes);
    let disk = written(&pool, 3, 8_192, 30);
    disk.remove(&last).unwrap();
    repair(&disk, &pool, &donor).unwrap();
    assert_eq!(verify(&disk, pool.ledger).unwrap().positions, POSITIONS);
}

#[test]
fn a_donor_that_lies_lags_or_dies_changes_nothing() {
    let pool = grown(11, SMALL, POSITIONS);
    let reference = written(&pool, 3, 8_192, 30);
    let paths: Vec<String> = segments(&reference).into_keys().collect();
    // Another history from position 30 on, whole and signed by the same producers.
    let common = grown(11, SMALL, 30);
    let mut other = common.parted(99);
    other.grow(POSITIONS);
    let liar = written(&other, 3, 8_192, 30);
    let lagging = {
        let behind = grown(11, SMALL, POSITIONS - 2);
        assert_eq!(behind.records, pool.records[..behind.records.len()]);
        written(&behind, 3, 8_192, 30)
    };
    let flipped = written(&pool, 3, 8_192, 30);
    flipped.flip_bit(&paths[2], 4_000).unwrap();
    let empty = SimDisk::new(3);
    let (middle, parted, last) = (2, 6, 8);
    for (name, bad, mut donor, wanted) in [
        ("damaged itself", middle, Folder(flipped), "no use"),
        (
            "another history in the middle",
            parted,
            Folder(liar.clone()),
            "goes on from another root",
        ),
        (
            "another history at the end",
            last,
            Folder(liar),
            "the root in the file header",
        ),
        ("behind", last, Folder(lagging), "were promised"),
        ("without the file", middle, Folder(empty), "has no segment"),
    ] {
        let disk = written(&pool, 3, 8_192, 30);
        disk.flip_bit(&paths[bad], 3_000).unwrap();
        let before = files(&disk);
        let error = find(&disk, promised(&pool), &mut donor).unwrap_err();
        println!("{name}: {error}");
        assert!(error.to_string().contains(wanted), "{name}: {error}");
        assert!(files(&disk) == before, "{name}: something changed");
    }
    for after in [0, 1_000, 2_000] {
        let disk = written(&pool, 3, 8_192, 30);
        disk.flip_bit(&paths[middle], 3_000).unwrap();
        let before = files(&disk);
        let mut donor = Dying(Folder(reference.clone()), after);
        let error = find(&disk, promised(&pool), &mut donor).unwrap_err();
        assert!(matches!(error, RepairError::Donor(_)), "{error}");
        assert!(files(&disk) == before);
    }
}

#[test]
fn another_history_is_refused_by_the_signed_root_where_nothing_else_tells() {
    let common = grown(12, SMALL, 40);
    let (mut own, mut other) = (common.parted(1), common.parted(2));
    own.grow(POSITIONS);
    other.grow(POSITIONS);
    let last = segments(&written(&own, 3, 0, 40))
        .into_keys()
        .next_back()
        .unwrap();
    let disk = written(&own, 3, 0, 40);
    disk.remove(&last).unwrap();
    let donor = written(&other, 3, 0, 40);
    let before = files(&disk);
    let error = find(&disk, promised(&own), &mut Folder(donor.clone())).unwrap_err();
    assert_eq!(error, RepairError::OtherRoot { size: POSITIONS });
    assert!(files(&disk) == before);
    // Whole and not what was signed: no file is to blame.
    let error = find(&donor, promised(&own), &mut Folder(disk)).unwrap_err();
    assert_eq!(error, RepairError::NotExtending { size: POSITIONS });
}

#[test]
fn a_folder_with_nothing_but_the_genesis_takes_all_that_a_donor_has_and_archivers_vouch_for() {
    let mut pool = grown(4, SMALL, POSITIONS);
    pool.checkpoint();
    let donor = written(&pool, 3, 8_192, 30);
    let one = grown(4, SMALL, 1);
    let new = Promised {
        more: true,
        ..Promised::default()
    };
    let disk = written(&one, 1, 8_192, 1);
    let repairs = find(&disk, new, &mut Folder(donor.clone())).unwrap();
    carry_out(&disk, DIR, &repairs).unwrap();
    assert!(segments(&disk) == segments(&donor));
    assert_eq!(verify(&disk, pool.ledger).unwrap().root, pool.state.root());
    // Nothing in it says that the sealed segments are final.
    for path in segments(&donor)
        .keys()
        .filter(|path| path.ends_with(".open"))
    {
        donor.remove(path).unwrap();
    }
    let final_size = verify(&donor, pool.ledger).unwrap().final_size;
    println!("{final_size} positions are final in the sealed segments");
    let disk = written(&one, 1, 8_192, 1);
    let error = find(&disk, new, &mut Folder(donor)).unwrap_err();
    assert!(matches!(error, RepairError::NotFinal { .. }), "{error}");
}

#[test]
fn after_a_crash_at_any_operation_the_next_repair_finishes() {
    let pool = grown(2, SMALL, POSITIONS);
    let good = written(&pool, 3, 8_192, 30);
    let wanted = segments(&good);
    let paths: Vec<String> = wanted.keys().cloned().collect();
    let damaged = || {
        let disk = written(&pool, 3, 8_192, 30);
        let mut rng = Rng::new(2);
        for (path, how) in [(1, 0), (3, 1), (8, 2)] {
            damage(&disk, &paths[path], how, &mut rng);
        }
        disk
    };
    let counting = damaged();
    let begun = counting.operations();
    repair(&counting, &pool, &good).unwrap();
    let operations = counting.operations() - begun;
    println!("{operations} operations");
    for crash in 1..=operations {
        for power_cut in [false, true] {
            let disk = damaged();
            disk.faults().crash_after(crash);
            let ended = repair(&disk, &pool, &good);
            assert!(
                matches!(
                    ended,
                    Err(RepairError::Disk(DiskError::Fatal { .. }) | RepairError::Useless { .. })
                ),
                "crash {crash}: {ended:?}"
            );
            if power_cut {
                disk.restart();
            } else {
                disk.restart_process();
            }
            repair(&disk, &pool, &good).unwrap();
            let context = format!("crash {crash} power cut {power_cut}");
            assert!(segments(&disk) == wanted, "{context}");
            // A damaged file that was there is still there, under some name.
            for path in [&paths[1], &paths[8]] {
                let aside = format!("{path}.damaged-");
                assert!(
                    disk.paths().iter().any(|it| it.starts_with(&aside)),
                    "{context}: {path}"
                );
            }
            assert!(
                !disk.paths().iter().any(|path| path.ends_with(".repair")),
                "{context}"
            );
        }
    }
}
