//! Readers agree: whatever comes, in whatever order, each reader of the same records has the same state, and nothing that was
//! found once is paid twice.

use std::collections::{BTreeMap, BTreeSet};

use orebook_ledger::admit::{Cause, Parsed, State, Trust, Verdict};
use orebook_schema::event::{KeyAction, RawEvent};
use orebook_schema::{At, Event, Frame, HEADER_BYTES, Hash, Header, Kind, Role, StreamId};

use crate::world::{
    ANNA, ARCHIVER, BEN, DESK, Draft, GATEWAY, LEDGER, Memory, NONE, OTHER_GATEWAY, PAYMASTER, Pen,
    SETTLER, World, approve, at, block_found, block_status, checkpoint, hello, job, key,
    key_change, moved, moved_bytes, nonce, policy_change, stale, stream, winner, worker,
};

const SEEDS: u64 = 2_000;
const STEPS: usize = 32;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap();
        usize::try_from(self.next() % n).unwrap()
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.below(4)).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A reader that decides by itself.
struct Reader {
    state: State,
    memory: Memory,
    verdicts: Vec<Verdict>,
}

impl Reader {
    fn new(memory: Memory) -> Self {
        Self {
            state: State::new(LEDGER),
            memory,
            verdicts: Vec::new(),
        }
    }

    fn read(&mut self, append_time: u64, bytes: &[u8]) -> &Verdict {
        let admitted = self.state.admit(&self.memory, append_time, bytes.to_vec());
        let (verdict, parsed) = admitted.unwrap();
        if let (Verdict::Admitted(_), Some(parsed)) = (&verdict, &parsed) {
            self.memory.learn(parsed.frame());
        }
        self.verdicts.push(verdict);
        self.verdicts.last().unwrap()
    }

    fn enter(&mut self, opened_at: Option<&u64>) {
        if let Some(opened_at) = opened_at {
            self.state.enter_incarnation(*opened_at);
        }
    }

    /// What another reader decided, as segments tell it: admitted frames and the headers of forks.
    fn follow(&mut self, append_time: u64, bytes: &[u8], verdict: &Verdict) {
        let Verdict::Admitted(_) = verdict else {
            if *verdict == Verdict::Refused(Cause::Fork) {
                let header = Header::read(bytes.first_chunk::<HEADER_BYTES>().unwrap()).unwrap();
                assert_eq!(
                    self.state.close_by_evidence(&self.memory, &header),
                    Ok(true)
                );
            }
            return;
        };
        let parsed = Parsed::read(bytes.to_vec()).unwrap();
        let trust = Trust::CheckedBefore;
        let again = self
            .state
            .admit_parsed(&self.memory, append_time, &parsed, trust)
            .unwrap();
        assert_eq!(again, *verdict);
        self.memory.learn(parsed.frame());
    }
}

/// The producers, what they wrote, and what is still on its way.
struct Chaos {
    rng: Rng,
    world: World,
    records: Vec<(u64, Vec<u8>)>,
    /// Before which record another incarnation opened, and at which position.
    openings: BTreeMap<usize, u64>,
    held: Vec<Vec<u8>>,
    epochs: BTreeMap<StreamId, u32>,
    things: Vec<Event>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        world.state = State::new(LEDGER);
        world.memory = Memory::default();
        let mut chaos = Self {
            rng: Rng(seed),
            world,
            records: Vec::new(),
            openings: BTreeMap::new(),
            held: Vec::new(),
            epochs: BTreeMap::new(),
            things: Vec::new(),
        };
        let genesis = Event::Genesis(Box::new(crate::world::genesis()));
        let bytes = chaos.world.draft(&Pen::new(DESK, 0xd0), &[genesis]).bytes();
        chaos.append(bytes);
        let event = checkpoint(ARCHIVER, 1, chaos.world.state.root());
        let bytes = chaos
            .world
            .draft(&Pen::new(ARCHIVER, 0xa0), &[event])
            .bytes();
        chaos.append(bytes);
        chaos
    }

    fn append(&mut self, bytes: Vec<u8>) {
        self.world.clock = self
            .world
            .clock
            .wrapping_add(self.rng.next() % 2_000)
            .wrapping_sub(500);
        self.records.push((self.world.clock + 10, bytes.clone()));
        self.world.admit(bytes);
    }

    /// A producer as the ledger has it, a little wrong at times.
    fn pen(&mut self, name: u8, number: u8) -> Pen {
        let mut pen = Pen::new(name, number);
        let epoch = self.epochs.entry(stream(number)).or_insert(0);
        *epoch += u32::from(self.rng.chance(10));
        pen.epoch = *epoch;
        if let Some(known) = self.world.state.stream(stream(number)) {
            (pen.next_seq, pen.previous) = (known.next_seq, known.last_hash);
        }
        match self.rng.below(40) {
            0 => pen.next_seq = pen.next_seq.saturating_sub(1 + u64::from(self.rng.small())),
            1 => pen.next_seq += 1,
            2 | 5 | 6 => pen.epoch = pen.epoch.saturating_sub(1),
            3 => pen.previous = Hash([3; 32]),
            4 => pen.next_seq = 0,
            _ => {}
        }
        if pen.next_seq == 0 {
            pen.previous = Hash::ZERO;
        }
        pen
    }

    fn gateway_events(&mut self, pen: &Pen) -> Vec<Event> {
        let known = self.world.state.stream(pen.stream);
        let announced = known
            .filter(|known| known.epoch == pen.epoch)
            .map(|known| &known.announced);
        let (workers, jobs) = announced.map_or((0, 0), |all| (all.workers.len(), all.jobs.len()));
        let mut events = Vec::new();
        if workers == 0 || jobs == 0 {
            events.extend(hello());
        } else if self.rng.chance(20) {
            let policy = self.any_policy();
            events.push(worker(u32::try_from(workers).unwrap(), 1));
            events.push(job(u32::try_from(jobs).unwrap(), policy));
        }
        for _ in 0..self.rng.below(4) {
            let number = self.rng.small();
            match self.rng.below(6) {
                0 => events.extend([winner(number), block_found()]),
                1 => events.push(stale(0, 0, 1 + u64::from(number))),
                2 | 3 => events.extend(self.move_something(pen)),
                _ => events.push(nonce(number)),
            }
        }
        if events.is_empty() {
            vec![Event::Heartbeat]
        } else {
            events
        }
    }

    fn any_policy(&mut self) -> At {
        let size = usize::try_from(self.world.state.size()).unwrap();
        let any = at(u64::try_from(self.rng.below(size + 1)).unwrap(), 0);
        let newest = self.world.newest_policy();
        self.rng.pick(&[NONE, newest, any])
    }

    /// A share or block that was sent somewhere, admitted or not, or is in the frame that is being cut.
    fn move_something(&mut self, pen: &Pen) -> Vec<Event> {
        let number = pen.stream.0[0];
        if self.rng.chance(25) {
            let seq = pen.next_seq + u64::from(self.rng.small());
            return vec![moved(number, seq, &nonce(self.rng.small()))];
        }
        let index = self.rng.below(self.records.len());
        let Ok(frame) = Frame::read(self.records[index].1.clone()) else {
            return vec![moved(7, 0, &nonce(1))];
        };
        let header = frame.header();
        let shares = (header.first_seq..).zip(frame.events().map_while(Result::ok));
        let share = |raw: &RawEvent<'_>| raw.kind == Kind::Share as u8;
        let found: Vec<(u64, Vec<u8>)> = shares
            .filter(|(_, raw)| share(raw))
            .map(|(seq, raw)| (seq, raw.bytes.to_vec()))
            .collect();
        let from = header.stream.0[0];
        found
            .into_iter()
            .map(|(seq, bytes)| moved_bytes(from, seq, bytes))
            .collect()
    }

    fn desk_events(&mut self) -> Vec<Event> {
        let thing = match self.rng.below(4) {
            0 => {
                let threshold = u128::from(self.rng.next() % 3);
                let expects = self.any_policy();
                policy_change(expects, |policy| policy.threshold = threshold)
            }
            1 if !self.things.is_empty() => {
                let index = self.rng.below(self.things.len());
                self.things[index].clone()
            }
            _ => self.key_thing(),
        };
        self.things.push(thing.clone());
        let mut events = vec![thing.clone(), approve(ANNA, &thing), approve(BEN, &thing)];
        if self.rng.chance(50) {
            events.swap(0, 2);
        }
        if self.rng.chance(30) {
            events.remove(self.rng.below(3));
        }
        events
    }

    fn key_thing(&mut self) -> Event {
        let name = self.rng.pick(&[GATEWAY, OTHER_GATEWAY, SETTLER]);
        let action = self.rng.pick(&[KeyAction::InForce, KeyAction::Revoked]);
        let role = if name == SETTLER {
            Role::Settler
        } else {
            Role::Gateway
        };
        // The last thing said of this key, if it was obeyed, is what the next one expects.
        let said = self
            .records
            .iter()
            .filter_map(|(_, bytes)| Frame::read(bytes.clone()).ok());
        let mut expects = NONE;
        for (position, frame) in (0..).zip(said) {
            for (index, event) in (0..).zip(frame.decode().unwrap_or_default()) {
                if matches!(event, Event::KeyChange(change) if change.key == key(name)) {
                    expects = at(position, index);
                }
            }
        }
        let expects = self.rng.pick(&[NONE, expects]);
        key_change(name, role, action, expects)
    }

    fn archiver_events(&mut self) -> Vec<Event> {
        let (size, last) = (self.world.state.size(), self.world.state.final_size());
        let ahead = usize::try_from(size - last).unwrap();
        let chosen = last + u64::try_from(self.rng.below(ahead + 1)).unwrap();
        let root = self.world.state.root_at(chosen.max(1)).unwrap_or_default();
        let (chosen, root) = if self.rng.chance(40) {
            (size, self.world.state.root())
        } else {
            (chosen, root)
        };
        let root = if self.rng.chance(10) {
            Hash([4; 32])
        } else {
            root
        };
        vec![checkpoint(ARCHIVER, chosen.max(1), root)]
    }

    fn fresh(&mut self) -> Vec<u8> {
        let (name, number) = self.rng.pick(&[
            (GATEWAY, 1),
            (GATEWAY, 1),
            (GATEWAY, 2),
            (GATEWAY, 3),
            (OTHER_GATEWAY, 4),
            (OTHER_GATEWAY, 5),
            (OTHER_GATEWAY, 6),
            (DESK, 0xd0),
            (ARCHIVER, 0xa0),
            (ARCHIVER, 0xa0),
            (SETTLER, 0x50),
            (PAYMASTER, 0x51),
        ]);
        let pen = self.pen(name, number);
        let events = match name {
            DESK => self.desk_events(),
            ARCHIVER => self.archiver_events(),
            SETTLER => vec![block_status(NONE)],
            PAYMASTER => vec![Event::Heartbeat],
            _ => self.gateway_events(&pen),
        };
        let draft: Draft = self.world.draft(&pen, &events);
        match self.rng.below(60) {
            0 => draft.edit(|header| header.schema_set = 9).bytes(),
            1 => draft.signed_by(PAYMASTER),
            _ => draft.bytes(),
        }
    }

    fn spoilt(&mut self) -> Vec<u8> {
        let index = self.rng.below(self.records.len());
        let mut bytes = self.records[index].1.clone();
        for _ in 0..=self.rng.below(3) {
            if bytes.is_empty() || self.rng.chance(10) {
                bytes = (0..self.rng.below(400))
                    .map(|_| self.rng.next().to_le_bytes()[0])
                    .collect();
            } else {
                let place = self.rng.below(bytes.len());
                bytes[place] ^= 1 << self.rng.below(8);
            }
        }
        bytes
    }

    fn step(&mut self) {
        if self.rng.chance(2) {
            let size = self.world.state.size();
            self.openings.insert(self.records.len(), size);
            self.world.state.enter_incarnation(size);
        }
        match self.rng.below(100) {
            0..60 => {
                let bytes = self.fresh();
                self.append(bytes);
            }
            60..72 => {
                let bytes = self.fresh();
                self.held.push(bytes);
            }
            72..80 if !self.held.is_empty() => {
                let index = self.rng.below(self.held.len());
                let bytes = self.held.swap_remove(index);
                self.append(bytes);
            }
            80..90 => {
                let index = self.rng.below(self.records.len());
                let bytes = self.records[index].1.clone();
                self.append(bytes);
            }
            _ => {
                let bytes = self.spoilt();
                self.append(bytes);
            }
        }
    }
}

/// Everything that is paid: shares and blocks that were admitted, and moved ones that count. None may come twice.
fn assert_paid_once(seed: u64, records: &[(u64, Vec<u8>)], verdicts: &[Verdict]) -> usize {
    let mut paid: BTreeSet<(StreamId, u64, Vec<u8>)> = BTreeSet::new();
    for ((_, bytes), verdict) in records.iter().zip(verdicts) {
        let Verdict::Admitted(admitted) = verdict else {
            continue;
        };
        let frame = Frame::read(bytes.clone()).unwrap();
        let mut counts = admitted.counts.iter();
        for (seq, raw) in (frame.header().first_seq..).zip(frame.events()) {
            let raw = raw.unwrap();
            let one = match raw.decode().unwrap() {
                Event::Share(_) | Event::BlockFound(_) => {
                    (frame.header().stream, seq, raw.bytes.to_vec())
                }
                Event::Moved(moved) if *counts.next().unwrap() => {
                    (moved.stream, moved.seq, moved.event)
                }
                _ => continue,
            };
            assert!(
                paid.insert(one),
                "seed {seed}: position {} pays twice",
                admitted.position
            );
        }
    }
    paid.len()
}

/// One seed: four readers of the same records. Says which outcomes it had.
fn run(seed: u64) -> BTreeMap<String, usize> {
    let mut chaos = Chaos::new(seed);
    for _ in 0..STEPS {
        chaos.step();
    }
    let (records, openings) = (chaos.records, chaos.openings);
    let (mut one, mut segments) = (
        Reader::new(Memory::default()),
        Reader::new(Memory::default()),
    );
    for (index, (append_time, bytes)) in records.iter().enumerate() {
        one.enter(openings.get(&index));
        let verdict = one.read(*append_time, bytes).clone();
        segments.follow(*append_time, bytes, &verdict);
        assert_eq!(one.state.root(), segments.state.root(), "seed {seed}");
        // The reader of segments starts again from a snapshot after every record.
        let snapshot = segments.state.to_snapshot_bytes();
        let resumed = State::from_snapshot_bytes(&snapshot);
        assert!(
            resumed.as_ref() == Ok(&segments.state),
            "seed {seed}: the snapshot is not the state: {:?}",
            resumed.err()
        );
        segments.state = resumed.unwrap();
    }
    // Its history holds the whole ledger from the start, as segments do when a log is read again.
    let mut late = Reader::new(one.memory.clone());
    for (index, (append_time, bytes)) in records.iter().enumerate() {
        late.enter(openings.get(&index));
        late.read(*append_time, bytes);
    }
    // Segments do not hold openings: what was early is not in them.
    segments.enter(openings.last_key_value().map(|(_, size)| size));
    let at_the_end = openings.get(&records.len());
    one.enter(at_the_end);
    late.enter(at_the_end);
    assert_eq!(one.verdicts, late.verdicts, "seed {seed}");
    assert_eq!(one.state.root(), chaos.world.state.root(), "seed {seed}");
    assert!(
        one.state == chaos.world.state,
        "seed {seed}: the producers' reader"
    );
    assert!(
        one.state == segments.state,
        "seed {seed}: the reader of segments"
    );
    assert!(
        one.state == late.state,
        "seed {seed}: the reader with all of the history"
    );

    let mut outcomes = BTreeMap::new();
    for verdict in &one.verdicts {
        let outcome = match verdict {
            Verdict::Admitted(admitted) if admitted.disagrees => "disagrees",
            Verdict::Admitted(admitted) if admitted.counts.contains(&true) => "counts",
            Verdict::Admitted(admitted) if admitted.counts.contains(&false) => "does not count",
            Verdict::Admitted(admitted) if admitted.obeyed.is_some() => "obeyed",
            Verdict::Admitted(_) => "admitted",
            Verdict::Refused(cause) => cause.name(),
        };
        *outcomes.entry(outcome.to_owned()).or_insert(0) += 1;
    }
    let paid = assert_paid_once(seed, &records, &one.verdicts);
    outcomes.insert("paid".to_owned(), paid);
    let authority = one.state.authority().unwrap();
    let moved_keys = usize::from(authority.keys_in_force().count() != 6);
    outcomes.insert("keys changed".to_owned(), moved_keys);
    let policies = usize::from(authority.newest_policy().0 != NONE);
    outcomes.insert("policy changed".to_owned(), policies);
    outcomes
}

/// Runs a part of the seeds; every outcome must have come, often enough to mean something.
fn run_part(part: u64, parts: u64) {
    println!(
        "seeds {part}, {}, … below {SEEDS}; one alone: run(seed)",
        part + parts
    );
    let mut all = BTreeMap::new();
    let step = usize::try_from(parts).unwrap();
    for seed in (part..SEEDS).step_by(step) {
        for (outcome, count) in run(seed) {
            *all.entry(outcome).or_insert(0) += count;
        }
    }
    println!("{all:?}");
    let expected = [
        "admitted",
        "obeyed",
        "disagrees",
        "counts",
        "does not count",
        "malformed",
        "refused",
        "duplicate",
        "closed",
        "fork",
        "gap",
        "stale_epoch",
        "early",
        "inconsistent",
        "paid",
        "keys changed",
        "policy changed",
    ];
    for outcome in expected {
        let count = all.get(outcome).copied().unwrap_or(0);
        assert!(30 <= count, "{outcome}: {count} in {all:?}");
    }
}

#[test]
fn readers_of_the_same_records_agree_and_nothing_is_paid_twice_even_seeds() {
    run_part(0, 2);
}

#[test]
fn readers_of_the_same_records_agree_and_nothing_is_paid_twice_odd_seeds() {
    run_part(1, 2);
}

#[test]
fn the_checker_finds_a_planted_double_payment() {
    let mut world = World::ready();
    let mut pens = [Pen::new(GATEWAY, 1), Pen::new(GATEWAY, 2)];
    let mut records = Vec::new();
    let mut verdicts = Vec::new();
    for (pen, extra) in pens.iter_mut().zip([nonce(1), moved(1, 2, &nonce(1))]) {
        let draft = world.draft(pen, &[hello().as_slice(), &[extra]].concat());
        records.push((0, draft.bytes()));
        verdicts.push(Verdict::Admitted(world.admitted(pen, &draft)));
    }
    assert_eq!(assert_paid_once(0, &records, &verdicts), 1);
    if let Verdict::Admitted(admitted) = &mut verdicts[1] {
        admitted.counts = vec![true];
    }
    let found = std::panic::catch_unwind(|| assert_paid_once(0, &records, &verdicts));
    assert!(found.is_err());
}
