//! What every disk promises, shown on the machine's disk and on the simulated one by the same tests. What only the
//! simulated one does is in `disk_power.rs` and `disk_faults.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may panic"
)]

use std::os::unix::fs::PermissionsExt;

use orebook_ledger::disk::real::{RealDisk, RealFile};
use orebook_ledger::disk::{Disk, DiskError, DiskFile, DiskResult};
use orebook_sim::disk::{SimDisk, SimFile};
use orebook_sim::rng::Rng;

fn is_fatal<T>(result: &DiskResult<T>, part: &str) -> bool {
    matches!(result, Err(DiskError::Fatal { cause, .. }) if cause.contains(part))
}

fn read(file: &impl DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Makes a durable file with a durable name.
fn durable<D: Disk>(disk: &D, path: &str, bytes: &[u8]) -> D::File {
    let mut file = disk.create(path).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_dir(path.rsplit_once('/').map_or("", |it| it.0))
        .unwrap();
    file
}

fn a_disk_keeps_its_contract(disk: &impl Disk) {
    let missing = |path: &str| DiskError::NotFound {
        path: path.to_owned(),
    };
    let path = "log/a".to_owned();
    assert_eq!(disk.list("log").unwrap(), Vec::<String>::new());
    assert!(is_fatal(&disk.create("log/a"), ""), "no such folder");
    disk.create_dir("log/deep").unwrap();
    disk.create_dir("log").unwrap();
    assert_eq!(disk.open("log/a").unwrap_err(), missing("log/a"));
    let mut a = disk.create("log/a").unwrap();
    assert_eq!(
        disk.create("log/a").unwrap_err(),
        DiskError::Exists { path: path.clone() }
    );

    a.write_at(3, b"xyz").unwrap();
    assert_eq!(read(&a), b"\0\0\0xyz");
    let short = |offset| {
        Err(DiskError::Short {
            path: path.clone(),
            offset,
        })
    };
    assert_eq!(a.read_at(4, &mut [0; 8]), short(6));
    assert_eq!(a.read_at(9, &mut [0; 1]), short(9));
    assert_eq!(a.read_at(7, &mut []), short(7));
    assert_eq!(a.read_at(u64::MAX, &mut [0; 1]), short(u64::MAX));
    a.read_at(6, &mut []).unwrap();
    assert!(is_fatal(&a.write_at(u64::MAX, b"x"), ""));

    a.preallocate(5).unwrap();
    assert_eq!(read(&a), b"\0\0\0xyz", "a longer file is left as it is");
    a.preallocate(2_500_000).unwrap();
    assert_eq!(read(&a)[..6], *b"\0\0\0xyz");
    assert!(read(&a)[6..].iter().all(|byte| *byte == 0));
    a.truncate(4).unwrap();
    a.truncate(10).unwrap();
    assert_eq!(read(&a), b"\0\0\0x", "truncate cuts and never grows");
    a.write_at(6, b"").unwrap();
    assert_eq!(a.len().unwrap(), 4);
    a.sync().unwrap();

    durable(disk, "log/c", b"c");
    durable(disk, "log/b", b"bb");
    assert_eq!(disk.list("log").unwrap(), ["a", "b", "c"]);
    disk.rename("log/b", "log/c").unwrap();
    assert_eq!(disk.list("log").unwrap(), ["a", "c"]);
    assert_eq!(
        read(&disk.open("log/c").unwrap()),
        b"bb",
        "the new name was replaced"
    );
    assert_eq!(disk.rename("log/b", "log/c").unwrap_err(), missing("log/b"));
    assert!(is_fatal(&disk.rename("log/c", "log/deep/c"), ""));
    assert!(is_fatal(&disk.rename("log/deep", "log/flat"), ""));
    disk.remove("log/a").unwrap();
    assert_eq!(disk.remove("log/a").unwrap_err(), missing("log/a"));
    assert_eq!(read(&a), b"\0\0\0x", "an open file outlives its name");
    assert_eq!(disk.list("log").unwrap(), ["c"]);
    disk.sync_dir("log").unwrap();

    for bad in [
        "",
        "/log/c",
        "log/../log/c",
        "..",
        "log//c",
        "log/c/",
        "./c",
        "log/\0",
    ] {
        assert!(is_fatal(&disk.open(bad), "plain relative"), "{bad:?}");
        assert!(is_fatal(&disk.create(bad), "plain relative"), "{bad:?}");
        assert!(is_fatal(&disk.remove(bad), "plain relative"), "{bad:?}");
        assert!(is_fatal(&disk.rename(bad, "c"), ""), "{bad:?}");
        assert!(
            bad.is_empty() || is_fatal(&disk.create_dir(bad), "plain relative"),
            "{bad:?}"
        );
        assert!(
            bad.is_empty() || is_fatal(&disk.list(bad), "plain relative"),
            "{bad:?}"
        );
        assert!(
            bad.is_empty() || is_fatal(&disk.sync_dir(bad), "plain relative"),
            "{bad:?}"
        );
    }
}

#[test]
fn the_real_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    // A root that is not there yet, as on a fresh machine.
    let root = folder.path().join("new/root");
    a_disk_keeps_its_contract(&RealDisk::new(root.clone()));
    let mode = root.join("log/c").metadata().unwrap().permissions().mode();
    assert_eq!(
        mode & 0o7137,
        0,
        "others may do nothing, the group not write"
    );
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    a_disk_keeps_its_contract(&SimDisk::new(0));
}

#[test]
fn the_real_disk_says_full_when_the_system_does() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("f")).unwrap();
    let mut file = RealDisk::new(folder.path().to_owned()).open("f").unwrap();
    assert_eq!(
        file.write_at(0, b"x"),
        Err(DiskError::Full {
            path: "f".to_owned()
        })
    );
}

/// Two results are the same but for the words of a Fatal.
fn same<T: PartialEq + std::fmt::Debug>(real: DiskResult<T>, sim: DiskResult<T>, step: &str) {
    let wordless = |error| match error {
        DiskError::Fatal {
            path, operation, ..
        } => DiskError::Fatal {
            path,
            operation,
            cause: String::new(),
        },
        plain @ (DiskError::NotFound { .. }
        | DiskError::Exists { .. }
        | DiskError::Full { .. }
        | DiskError::Short { .. }) => plain,
    };
    assert_eq!(real.map_err(wordless), sim.map_err(wordless), "{step}");
}

fn step_on_both(
    rng: &mut Rng,
    real: &RealDisk,
    sim: &SimDisk,
    open: &mut Vec<(RealFile, SimFile)>,
) {
    const PATHS: [&str; 9] = ["x", "y", "a", "a/x", "a/y", "a/b", "a/b/x", "x/y", "no/x"];
    let path = PATHS[usize::try_from(rng.below(9)).unwrap()];
    let other = PATHS[usize::try_from(rng.below(9)).unwrap()];
    let (offset, mut bytes) = (
        rng.below(2_000),
        vec![0; usize::try_from(rng.below(900)).unwrap()],
    );
    rng.fill(&mut bytes);
    let draw = rng.below(14);
    let step = format!("step {draw}: {path} {other} {offset} {}", bytes.len());
    match draw {
        0 => same(real.create_dir(path), sim.create_dir(path), &step),
        1 => same(real.list(path), sim.list(path), &step),
        2 => same(real.rename(path, other), sim.rename(path, other), &step),
        3 => same(real.remove(path), sim.remove(path), &step),
        4 => same(real.sync_dir(path), sim.sync_dir(path), &step),
        5 | 6 => match (real.open(path), sim.open(path)) {
            (Ok(real), Ok(sim)) => open.push((real, sim)),
            (real, sim) => same(real.map(drop), sim.map(drop), &step),
        },
        7 | 8 => match (real.create(path), sim.create(path)) {
            (Ok(real), Ok(sim)) => open.push((real, sim)),
            (real, sim) => same(real.map(drop), sim.map(drop), &step),
        },
        _ => {
            let many = u64::try_from(open.len()).unwrap();
            let Some((real, sim)) = open.get_mut(usize::try_from(rng.below(many)).unwrap()) else {
                return;
            };
            match draw {
                9 => same(real.preallocate(offset), sim.preallocate(offset), &step),
                10 => same(real.truncate(offset), sim.truncate(offset), &step),
                11 => same(real.sync(), sim.sync(), &step),
                12 => {
                    let mut again = bytes.clone();
                    same(
                        real.read_at(offset, &mut bytes),
                        sim.read_at(offset, &mut again),
                        &step,
                    );
                }
                _ => same(
                    real.write_at(offset, &bytes),
                    sim.write_at(offset, &bytes),
                    &step,
                ),
            }
            assert_eq!(read(real), read(sim), "{step}");
        }
    }
}

#[test]
fn both_disks_answer_any_walk_alike() {
    for seed in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let (real, sim) = (RealDisk::new(folder.path().to_owned()), SimDisk::new(seed));
        let (mut rng, mut open) = (Rng::new(seed), Vec::new());
        for _ in 0..200 {
            step_on_both(&mut rng, &real, &sim, &mut open);
        }
        for dir in ["", "a", "a/b"] {
            same(real.list(dir), sim.list(dir), dir);
        }
    }
}
