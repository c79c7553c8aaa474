//! Caches and datasets as files of a folder of our own: written aside, synced, renamed, and only then mapped.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use orebook_pow::ethash::{
    Cache, Dataset, Epoch, FILE_HEADER_BYTES, FileFlaw, Mapped, PAGE_BYTES, Prove,
};
use orebook_schema::Hash;
use sha2::{Digest as _, Sha256};

/// How files of ours end; others in the folder are left alone.
const ENDING: &str = ".ethash";
/// What is being written.
const UNFINISHED: &str = ".new";
/// Files of caches that are kept: what is held, and one more for a chain that goes back.
const FILES_MAX: usize = super::CACHES_MAX + 1;
/// Pages of a dataset that a thread makes and writes at once: 2 MiB.
const PART_PAGES: u64 = 16_384;
/// Bytes of a file that are hashed at once.
const HASH_BYTES: usize = 1 << 20;

/// Why a file is not used.
pub(super) enum Problem {
    Flaw(FileFlaw),
    Io(io::Error),
}

fn name(what: &str, epoch: Epoch) -> String {
    // By seed first, so that names are in the order of time.
    let (rounds, size) = (epoch.seed_rounds(), epoch.size());
    format!("{what}-{rounds:05}-{size:05}{ENDING}")
}

/// A file of the epoch that is whole, the dataset's before the cache's. Nothing is said of a file that is not there.
pub(super) fn load(
    folder: &Path,
    epoch: Epoch,
    problem: &mut dyn FnMut(&Path, Problem),
) -> Option<Arc<dyn Prove>> {
    let mut map = |what: &str| {
        let path = folder.join(name(what, epoch));
        match File::open(&path).and_then(|file| Mapped::of(&file)) {
            Ok(mapped) => Some((path, mapped)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                problem(&path, Problem::Io(error));
                None
            }
        }
    };
    let (dataset, cache) = (map("dataset"), map("cache"));
    if let Some((path, mapped)) = dataset {
        match Dataset::from_file(epoch, mapped) {
            Ok(dataset) => return Some(Arc::new(dataset)),
            Err(flaw) => problem(&path, Problem::Flaw(flaw)),
        }
    }
    let (path, mapped) = cache?;
    match Cache::from_file(epoch, mapped) {
        Ok(cache) => Some(Arc::new(cache)),
        Err(flaw) => {
            problem(&path, Problem::Flaw(flaw));
            None
        }
    }
}

/// Writes a cache and gives back what is mapped from its file; `None` if that is not what was written.
pub(super) fn keep(folder: &Path, cache: &Cache) -> io::Result<Option<Cache>> {
    let path = folder.join(name("cache", cache.epoch()));
    let unfinished = path.with_added_extension(UNFINISHED.trim_start_matches('.'));
    let mut file = File::create(&unfinished)?;
    file.write_all(&cache.file_header())?;
    file.write_all(cache.bytes())?;
    publish(folder, &file, &unfinished, &path)?;
    forget_old(folder)?;
    let mapped = Mapped::of(&File::open(&path)?)?;
    Ok(Cache::from_file(cache.epoch(), mapped).ok())
}

fn publish(folder: &Path, file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    File::open(folder)?.sync_all()
}

/// Removes the files of the oldest epochs where there are too many.
pub(super) fn forget_old(folder: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str()
            && name.starts_with("cache-")
            && name.ends_with(ENDING)
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    let surplus = names.len().saturating_sub(FILES_MAX);
    for name in names.into_iter().take(surplus) {
        fs::remove_file(folder.join(name))?;
    }
    Ok(())
}

/// Makes the whole dataset of a cache's epoch in the folder where [`Caches`](super::Caches) finds it: 1 GiB at epoch 0, 4.5 GiB
/// and eight minutes of a processor at epoch 450, shared among `threads`. `progress` hears of pages made, and of all.
///
/// # Errors
/// The disk's; nothing is left that could be taken for a dataset.
pub fn make_dataset(
    folder: &Path,
    cache: &Cache,
    threads: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let epoch = cache.epoch();
    let path = folder.join(name("dataset", epoch));
    let unfinished = path.with_added_extension(UNFINISHED.trim_start_matches('.'));
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&unfinished)?;
    let pages = epoch.dataset_bytes() / PAGE_BYTES as u64;
    let fill = |first: u32, part: &mut [u8]| cache.fill_dataset(first, part);
    let content = write_pages(&file, pages, threads, &fill, progress)?;
    file.write_all_at(&Dataset::file_header(epoch, &content), 0)?;
    publish(folder, &file, &unfinished, &path)?;
    Ok(path)
}

/// Writes the pages that `fill` makes from an index on, behind the place of the header, and hashes them. Threads take the next
/// part each, so that a slow one keeps nobody waiting.
pub(super) fn write_pages(
    file: &File,
    pages: u64,
    threads: usize,
    fill: &(dyn Fn(u32, &mut [u8]) + Sync),
    progress: &(dyn Fn(u64, u64) + Sync),
) -> io::Result<Hash> {
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || -> io::Result<()> {
        let mut part = Vec::new();
        loop {
            let first = next.fetch_add(PART_PAGES, Ordering::Relaxed);
            let Some(left) = pages.checked_sub(first).filter(|left| 0 < *left) else {
                return Ok(());
            };
            let count = left.min(PART_PAGES);
            let outside = |_| io::Error::other("a dataset larger than can be named");
            part.resize(usize::try_from(count).map_err(outside)? * PAGE_BYTES, 0);
            fill(u32::try_from(first).map_err(outside)?, &mut part);
            file.write_all_at(&part, FILE_HEADER_BYTES as u64 + first * PAGE_BYTES as u64)?;
            progress(done.fetch_add(count, Ordering::Relaxed) + count, pages);
        }
    };
    std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work);
        let workers: Vec<_> = (0..threads.max(1)).map(spawn).collect::<io::Result<_>>()?;
        let mut ended = workers.into_iter().map(|worker| worker.join());
        ended.try_for_each(|ended| {
            ended.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    })?;
    hash_of(file, pages * PAGE_BYTES as u64)
}

fn hash_of(file: &File, len: u64) -> io::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; HASH_BYTES];
    let mut at = 0;
    while at < len {
        let count = usize::try_from(len - at).map_or(HASH_BYTES, |left| left.min(HASH_BYTES));
        let Some(part) = bytes.get_mut(..count) else {
            break;
        };
        file.read_exact_at(part, FILE_HEADER_BYTES as u64 + at)?;
        hasher.update(&*part);
        at += count as u64;
    }
    Ok(Hash(hasher.finalize().into()))
}
