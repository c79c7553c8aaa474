//! Shares of ethash that were credited twice (money rules, 3.3): without a tag, one can be sent to two gateways.
//!
//! Every final share has a name ([`ethash_name`]). The names of the last day are kept, as their first 16 bytes; one that is
//! there already is looked at again in the segments, and the later share is a copy. What is void already the ledger says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orebook_schema::event::{Moved, SchemaEntry};
use orebook_schema::genesis::Algorithm;
use orebook_schema::void::Void;
use orebook_schema::work::{EthashShare, ethash_name};
use orebook_schema::{At, Event, Hash, Kind, StreamId};

use crate::authority::Authority;
use crate::disk::Disk;
use crate::reader::Reader;
use crate::segment::{StoreError, StoredFrame};

/// How long a name is kept, milliseconds of ledger time: a day. Jobs live for minutes; a spool that was away is drained hours
/// later.
pub const NAMES_MS: u64 = 86_400_000;
/// Most names kept, about 64 bytes each: 24 shares a second for all of [`NAMES_MS`], a thousand a second for half an hour. The
/// oldest go first, and are counted: [`CopiesSeen::forgotten_early`].
pub const NAMES_MAX: usize = 1 << 21;
/// Most seal hashes kept of a stream, its newest jobs': a job a second for 18 hours.
pub const SEALS_MAX: usize = 65_536;
/// Most streams whose seal hashes are kept; those that were silent longest go first.
pub const STREAMS_MAX: usize = 1_024;
/// Final positions looked through in one turn.
const POSITIONS_MAX: usize = 512;
/// Most voids said at once.
const VOIDS_MAX: usize = 250;

/// What an archiver knows of copies, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopiesSeen {
    /// Final positions looked through; 0 in ledgers of other algorithms.
    pub looked_to: u64,
    /// Names held.
    pub names: u64,
    /// Names forgotten for want of room before their time: a copy of such a share is not found. Alarm.
    pub forgotten_early: u64,
    /// Shares whose job's seal hash is not held any more, so that they have no name here. Alarm.
    pub unnamed: u64,
    /// Copies found that no final void names yet.
    pub waiting: u64,
    /// Voids said by this process.
    pub said: u64,
}

/// The seal hashes of a stream's newest jobs.
#[derive(Debug)]
struct Seals {
    epoch: u32,
    /// Number of the first that is kept.
    first: u32,
    seals: VecDeque<Hash>,
    /// Position of the stream's last job.
    last: u64,
}

/// Names, and the copies that were found by them.
#[derive(Debug)]
pub(super) struct Copies {
    names_max: usize,
    /// The next final position to look at; none before the first turn.
    next: Option<u64>,
    /// Shares from this ledger time on should have a name: their jobs were looked at.
    warm_from: u64,
    streams: BTreeMap<StreamId, Seals>,
    /// Where the first share with a name stands, by the name's first 16 bytes.
    names: BTreeMap<[u8; 16], At>,
    /// The same names in order, by frame: ledger time and position.
    order: VecDeque<(u64, u64, Vec<[u8; 16]>)>,
    /// Shares that a final void names.
    void: BTreeSet<At>,
    /// Copies with their firsts that no final void names.
    due: BTreeMap<At, At>,
    seen: CopiesSeen,
}

impl Copies {
    pub(super) const fn new(names_max: usize) -> Self {
        Self {
            names_max,
            next: None,
            warm_from: 0,
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            order: VecDeque::new(),
            void: BTreeSet::new(),
            due: BTreeMap::new(),
            seen: CopiesSeen {
                looked_to: 0,
                names: 0,
                forgotten_early: 0,
                unnamed: 0,
                waiting: 0,
                said: 0,
            },
        }
    }

    pub(super) const fn limit(&mut self, names_max: usize) {
        self.names_max = names_max;
    }

    pub(super) fn seen(&self) -> CopiesSeen {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        CopiesSeen {
            names: count(self.names.len()),
            waiting: count(self.due.len()),
            ..self.seen
        }
    }

    /// Looks through what became final, a part of it at most.
    pub(super) fn look<D: Disk + Clone>(&mut self, reader: &Reader<D>) -> Result<(), StoreError> {
        let end = reader.final_size();
        let algorithm = reader
            .settled()
            .authority()
            .map(|it| it.genesis().algorithm);
        if end == 0 || !matches!(algorithm, Some(Algorithm::Ethash | Algorithm::Etchash)) {
            return Ok(());
        }
        let mut next = match self.next {
            Some(next) => next,
            None => self.begin(reader, end)?,
        };
        for _ in 0..POSITIONS_MAX {
            if end <= next {
                break;
            }
            let Some(stored) = reader.store().read(next)? else {
                break;
            };
            self.take(&stored, reader)?;
            next += 1;
            self.next = Some(next);
            self.seen.looked_to = next;
        }
        Ok(())
    }

    /// Copies to say now: those that neither a final nor a provisional void names.
    pub(super) fn to_say<D: Disk + Clone>(&self, reader: &Reader<D>) -> Vec<Event> {
        if self.due.is_empty() {
            return Vec::new();
        }
        let provisional = reader.provisional().filter(|parsed| {
            let kinds = parsed.frame().header().kinds;
            kinds & Kind::Void.bit() != 0
        });
        let said: BTreeSet<At> = provisional
            .flat_map(|parsed| parsed.events())
            .filter_map(|event| match event {
                Event::Void(void) => Some(void.share),
                _ => None,
            })
            .collect();
        let due = self.due.iter().filter(|(share, _)| !said.contains(share));
        let void = |(share, first): (&At, &At)| {
            Event::Void(Void {
                share: *share,
                first: *first,
                expects: At::default(),
            })
        };
        due.map(void).take(VOIDS_MAX).collect()
    }

    pub(super) fn was_said(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.seen.said = self.seen.said.saturating_add(count);
    }

    /// Where to begin after a start: a day of names, and a day of jobs before it.
    fn begin<D: Disk + Clone>(&mut self, reader: &Reader<D>, end: u64) -> Result<u64, StoreError> {
        let newest = reader.store().read(end - 1)?;
        let now = newest.map_or(0, |stored| stored.ledger_time);
        let jobs_from = now.saturating_sub(2 * NAMES_MS);
        let (mut low, mut high) = (0, end);
        // Ledger times never fall.
        while low < high {
            let middle = low + (high - low) / 2;
            match reader.store().read(middle)? {
                Some(stored) if jobs_from <= stored.ledger_time => high = middle,
                _ => low = middle + 1,
            }
        }
        self.warm_from = if low == 0 {
            0
        } else {
            now.saturating_sub(NAMES_MS)
        };
        Ok(low)
    }

    fn take<D: Disk + Clone>(
        &mut self,
        stored: &StoredFrame,
        reader: &Reader<D>,
    ) -> Result<(), StoreError> {
        let header = stored.frame.header();
        let (position, now) = (stored.position, stored.ledger_time);
        self.forget(now.saturating_sub(NAMES_MS));
        let asked =
            Kind::EthashJob.bit() | Kind::EthashShare.bit() | Kind::Moved.bit() | Kind::Void.bit();
        if header.kinds & asked == 0 {
            return Ok(());
        }
        // It was admitted, so it decodes.
        let events = stored.frame.decode().unwrap_or_default();
        let mut fresh = Vec::new();
        for (index, event) in (0u16..).zip(&events) {
            let at = At { position, index };
            match event {
                Event::EthashJob(job) => {
                    self.note_job(header.stream, header.epoch, position, job.number, job.seal);
                }
                Event::Void(void) => {
                    self.due.remove(&void.share);
                    self.void.insert(void.share);
                }
                _ => {
                    let Some((share, job)) = share_of(event) else {
                        continue;
                    };
                    let Some(seal) = self.seal(header.stream, header.epoch, job) else {
                        self.seen.unnamed += u64::from(self.warm_from <= now);
                        continue;
                    };
                    let name = short(&ethash_name(&seal, share.nonce));
                    match self.names.get(&name).copied() {
                        None => {
                            self.names.insert(name, at);
                            fresh.push(name);
                        }
                        Some(first) => {
                            let mine = (id_of(stored, at.index, event), share.nonce);
                            if !self.void.contains(&at) && is_copy(reader, first, mine)? {
                                self.due.insert(at, first);
                            }
                        }
                    }
                }
            }
        }
        if !fresh.is_empty() {
            self.order.push_back((now, position, fresh));
        }
        while self.names_max < self.names.len() {
            let before = self.names.len();
            self.forget_first();
            let gone = u64::try_from(before - self.names.len()).unwrap_or(0);
            self.seen.forgotten_early = self.seen.forgotten_early.saturating_add(gone);
            if gone == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Forgets the names of frames before a ledger time.
    fn forget(&mut self, from_ms: u64) {
        while self.order.front().is_some_and(|(time, ..)| *time < from_ms) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((_, position, names)) = self.order.pop_front() else {
            return;
        };
        for name in names {
            self.names.remove(&name);
        }
        let at = At {
            position,
            index: u16::MAX,
        };
        self.void = self.void.split_off(&at);
    }

    fn note_job(&mut self, stream: StreamId, epoch: u32, position: u64, number: u32, seal: Hash) {
        let known = self.streams.entry(stream).or_insert_with(|| Seals {
            epoch,
            first: number,
            seals: VecDeque::new(),
            last: position,
        });
        if known.epoch != epoch {
            known.epoch = epoch;
            known.first = number;
            known.seals.clear();
        }
        known.last = position;
        known.seals.push_back(seal);
        if SEALS_MAX < known.seals.len() {
            known.seals.pop_front();
            known.first = known.first.saturating_add(1);
        }
        if STREAMS_MAX < self.streams.len() {
            let silent = self.streams.iter().min_by_key(|(_, seals)| seals.last);
            if let Some(stream) = silent.map(|(stream, _)| *stream) {
                self.streams.remove(&stream);
            }
        }
    }

    fn seal(&self, stream: StreamId, epoch: u32, job: u32) -> Option<Hash> {
        let known = self
            .streams
            .get(&stream)
            .filter(|known| known.epoch == epoch)?;
        let index = usize::try_from(job.checked_sub(known.first)?).ok()?;
        known.seals.get(index).copied()
    }
}

/// Whether the ledger's schema set lets voids be said.
pub(super) fn lists_voids(authority: Option<&Authority>, schema_set: u32) -> bool {
    let entry = SchemaEntry {
        kind: Kind::Void as u8,
        version: 0,
    };
    authority
        .and_then(|authority| authority.schema_set(schema_set))
        .is_some_and(|entries| entries.contains(&entry))
}

/// The share of an event, own or moved, and its job in the frame's own numbers.
fn share_of(event: &Event) -> Option<(EthashShare, u32)> {
    match event {
        Event::EthashShare(share) => Some((*share, share.job)),
        Event::Moved(moved) => match moved.inner() {
            Ok(Event::EthashShare(share)) => Some((share, moved.job)),
            _ => None,
        },
        _ => None,
    }
}

/// Which answer an event is, also if it is said again: stream, sequence number and bytes. Of a stream and its clone each may have
/// answered another event at the same number.
fn id_of(stored: &StoredFrame, index: u16, event: &Event) -> (StreamId, u64, Vec<u8>) {
    match event {
        Event::Moved(Moved {
            stream, seq, event, ..
        }) => (*stream, *seq, event.clone()),
        _ => {
            let header = stored.frame.header();
            let seq = header.first_seq.saturating_add(u64::from(index));
            let raw = stored.frame.events().nth(usize::from(index));
            let bytes = raw.and_then(Result::ok).map(|raw| raw.bytes.to_vec());
            (header.stream, seq, bytes.unwrap_or_default())
        }
    }
}

/// The second look, at the bytes: whether the share at `first` is another one, with the same nonce.
fn is_copy<D: Disk + Clone>(
    reader: &Reader<D>,
    first: At,
    (id, nonce): ((StreamId, u64, Vec<u8>), u64),
) -> Result<bool, StoreError> {
    let Some(stored) = reader.store().read(first.position)? else {
        return Ok(false);
    };
    let events = stored.frame.decode().unwrap_or_default();
    let Some(event) = events.get(usize::from(first.index)) else {
        return Ok(false);
    };
    let same_nonce = share_of(event).is_some_and(|(share, _)| share.nonce == nonce);
    Ok(same_nonce && id_of(&stored, first.index, event) != id)
}

fn short(name: &Hash) -> [u8; 16] {
    name.0.first_chunk().copied().unwrap_or_default()
}
