//! What must hold: at every step, and after the faults have stopped.

#[allow(
    clippy::wildcard_imports,
    reason = "one room in three files: all of the world is in scope"
)]
use super::*;

impl World {
    /// What must hold at any moment.
    pub(super) fn watch(&mut self) -> Result<(), Violation> {
        let keeper = self
            .keeper
            .life
            .as_ref()
            .map(|life| (self.keeper.name.as_str(), life.reader()));
        let projectors = self
            .projectors
            .iter()
            .filter_map(|one| Some((one.name.as_str(), one.life.as_ref()?)));
        let gateways = self
            .gateways
            .iter()
            .filter_map(|one| Some((one.name.as_str(), &one.life.as_ref()?.reader)));
        for (who, reader) in keeper.into_iter().chain(projectors).chain(gateways) {
            self.seen
                .final_root(who, reader.final_size(), reader.settled().root())?;
            for (stream, facts) in reader.settled().streams() {
                if facts.closed
                    && !self.may_close.contains(stream)
                    && !self.moved_from(reader, *stream)
                {
                    let story = self.story_of(*stream);
                    return Err(format!(
                        "{who}: stream {stream} is closed, and nobody forked it{story}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A stream's frames in the log, for whoever reads a failure.
    pub(super) fn story_of(&self, stream: StreamId) -> String {
        let records = self.broker.records();
        let frames = records.iter().filter_map(|record| {
            let frame = orebook_schema::Frame::read(record.bytes.clone()).ok()?;
            let header = frame.header();
            (header.stream == stream).then(|| {
                let short = |hash: Hash| hash.to_string().chars().take(8).collect::<String>();
                let (first, next) = (header.first_seq, header.next_seq());
                format!(
                    "\n  offset {} epoch {} seq {first}..{next} hash {} previous {}",
                    record.offset,
                    header.epoch,
                    short(frame.header_hash()),
                    short(header.previous)
                )
            })
        });
        frames.collect()
    }

    /// Whether the stream was closed because its own gateway moved away from it.
    pub(super) fn moved_from(&self, reader: &Reader<SimDisk>, stream: StreamId) -> bool {
        let ours = |life: &actors::GatewayLife| life.spool.stream() == Some(stream);
        let in_use = self
            .gateways
            .iter()
            .filter_map(|gateway| gateway.life.as_ref())
            .any(ours);
        let opened = reader
            .settled()
            .stream(stream)
            .is_some_and(|facts| 0 < facts.next_seq);
        !in_use && opened && self.scenario.plant != Plant::SecretClone
    }

    /// Faults stop; everything must become final.
    pub(super) fn calm(&mut self) -> Result<Report, Violation> {
        self.broker.set_available(true);
        self.broker.set_faults(SendFaults::default());
        self.broker.deliver(true);
        for who in 0..self.gateways.len() + 3 {
            let disk = self.disk_of(who);
            disk.faults()
                .set_capacity(None)
                .crash_after(0)
                .fail_sync_after(0);
        }
        for _ in 0..CALM_ROUNDS {
            self.calm_round()?;
            if self.is_done() {
                return self.judge();
            }
        }
        Err(format!(
            "not everything became final: {}",
            self.unfinished()
        ))
    }

    pub(super) fn calm_round(&mut self) -> Result<(), Violation> {
        self.now += 400;
        for who in self.down() {
            self.start(who)?;
        }
        for index in 0..self.gateways.len() {
            let skip =
                self.scenario.plant == Plant::NeverRetries && index == 0 && 30 < self.next_share;
            let peer = self
                .keeper
                .life
                .as_ref()
                .map(orebook_ledger::archiver::Archiver::reader);
            if !skip && let Some(life) = &mut self.gateways[index].life {
                let mut log = views::Both {
                    shown: &mut self.broker,
                    other: self.other.as_mut().map(|(broker, _)| broker),
                };
                let outcome = life.turn(&mut log, peer, self.now, &mut self.rng);
                self.gateway_outcome(index, outcome);
            }
        }
        self.keeper_turns()?;
        self.reader_turns()?;
        self.reader_turns()?;
        self.watch()
    }

    pub(super) fn is_done(&self) -> bool {
        let Some(keeper) = &self.keeper.life else {
            return false;
        };
        let size = keeper.reader().final_size();
        let signed = keeper.signed().map_or(0, |signed| signed.size);
        let gateways = self.gateways.iter().all(|gateway| {
            gateway
                .life
                .as_ref()
                .is_some_and(actors::GatewayLife::is_done)
        });
        let readers = self
            .projectors
            .iter()
            .all(|one| one.life.as_ref().is_some_and(|r| r.final_size() == size));
        let copies = keeper.copies();
        let looked = copies.waiting == 0 && (copies.looked_to == size || copies.looked_to == 0);
        gateways && readers && looked && size == signed && 1 <= size
    }

    pub(super) fn unfinished(&self) -> String {
        let gateway = |one: &Gateway| {
            one.life.as_ref().map_or_else(
                || format!("{} is down", one.name),
                |life| {
                    format!(
                        "{}: stream {:?} epoch {:?}, pending {}, idle {}, final {}, head {}",
                        one.name,
                        life.spool.stream(),
                        life.spool.epoch(),
                        life.spool.pending_events(),
                        life.publisher.is_idle(),
                        life.reader.final_size(),
                        life.reader.head().size()
                    )
                },
            )
        };
        let gateways: Vec<String> = self.gateways.iter().map(gateway).collect();
        let keeper = self.keeper.life.as_ref().map(|life| {
            (
                life.reader().final_size(),
                life.reader().head().size(),
                life.signed().map(|s| s.size),
                life.reader().incarnation(),
            )
        });
        let readers: Vec<_> = self
            .projectors
            .iter()
            .map(|one| {
                one.life
                    .as_ref()
                    .map(|life| (life.final_size(), life.head().size()))
            })
            .collect();
        format!(
            "{}; archiver {keeper:?}; readers {readers:?}",
            gateways.join("; ")
        )
    }

    pub(super) fn judge(&mut self) -> Result<Report, Violation> {
        let waiting: BTreeSet<ShareId> = BTreeSet::new();
        let keeper = self.keeper.life.as_ref().ok_or("the archiver is down")?;
        let records = final_records(keeper.reader())?;
        exactly_once(&self.miners, &count_shares(&records), &waiting)?;
        checkpoints_consistent(&self.seen, &leaves(&records))?;
        let mut found = 0;
        for projector in &self.projectors {
            let Some(reader) = &projector.life else {
                continue;
            };
            let own = match final_records(reader) {
                // Damage that is found when it is read, with its place: that is what must happen.
                Err(what) if projector.damaged => {
                    let words = what.contains("offset")
                        || what.contains("sim disk")
                        || what.contains("mirror");
                    assert!(words, "damage is named with its place: {what}");
                    found += 1;
                    continue;
                }
                other => other?,
            };
            let (own, all) = (leaves(&own), leaves(&records));
            if own != all {
                if projector.damaged {
                    // Misdirected writes can leave a whole stale frame in the place of another. Only who recomputes the
                    // root finds that, as folds and verify do: the reader's own root is not that of its files.
                    assert_ne!(
                        recursive_root(&own),
                        reader.settled().root(),
                        "the files' root tells"
                    );
                    found += 1;
                    continue;
                }
                let same = own
                    .iter()
                    .zip(&all)
                    .take_while(|(one, other)| one == other)
                    .count();
                let (name, held, of) = (&projector.name, own.len(), all.len());
                return Err(format!(
                    "{name} holds {held} frames of {of}, the first {same} are the archiver's"
                ));
            }
        }
        if 0 < found {
            *self.happened.entry("damage found".to_owned()).or_default() += found;
        }
        for (fault, times) in self.broker.happened() {
            self.happened.insert(format!("broker {fault}"), times);
        }
        let closed = keeper
            .reader()
            .settled()
            .streams()
            .filter(|(_, stream)| stream.closed)
            .count() as u64;
        self.happened.insert("streams closed".to_owned(), closed);
        let frames_with = |kind: Kind| {
            let found = records.iter().filter(|record| match record {
                Record::Frame(stored) => stored.frame.header().kinds & kind.bit() != 0,
                Record::Closure { .. } => false,
            });
            found.count() as u64
        };
        let moved = frames_with(Kind::Moved);
        let void = frames_with(Kind::Void);
        let ethash = frames_with(Kind::EthashShare);
        let coin = if 0 < ethash { "ethash" } else { "others" };
        for (what, times) in [
            ("frames with moved events".to_owned(), moved),
            (format!("frames with moved events of {coin}"), moved),
            ("frames with voids".to_owned(), void),
            ("frames with shares of ethash".to_owned(), ethash),
            (
                "frames with shares of others".to_owned(),
                frames_with(Kind::Share),
            ),
        ] {
            self.happened.insert(what, times);
        }
        let incarnation = u64::from(keeper.reader().incarnation().unwrap_or(0));
        self.happened
            .insert("incarnations opened again".to_owned(), incarnation);
        Ok(Report {
            accepted: self.miners.accepted.len(),
            positions: keeper.reader().final_size(),
            happened: self.happened.clone(),
        })
    }
}

/// Positions that a reader holds as final, with the closures among them.
///
/// # Errors
/// What the segments could not give.
pub fn final_records(reader: &Reader<SimDisk>) -> Result<Vec<Record>, Violation> {
    let size = reader.final_size();
    let mut records = Vec::new();
    for record in reader.store().records(0) {
        let record = record.map_err(|error| error.to_string())?;
        if let Record::Frame(stored) = &record
            && size <= stored.position
        {
            break;
        }
        records.push(record);
    }
    Ok(records)
}
