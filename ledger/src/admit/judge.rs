//! Tests 2 to 9, in their order.

use orebook_schema::event::{Moved, SchemaEntry};
use orebook_schema::work::JobRef;
use orebook_schema::{Event, Frame, Hash, Header, Key, Kind, Role, StreamId};

use super::{AdmitError, Cause, Effects, History, Parsed, State, Trust};
use crate::authority::Authority;
use crate::credit::{Announced, JobTerms, Overlay, summarise, summarise_shares};
use crate::sign::Verifier;

impl State {
    pub(super) fn judge(
        &self,
        history: &impl History,
        parsed: &Parsed,
        trust: Trust,
    ) -> Result<Result<Effects, Cause>, AdmitError> {
        let header = parsed.frame.header();
        if header.ledger != self.ledger {
            return Ok(Err(Cause::Malformed));
        }
        let Some(authority) = &self.authority else {
            return Ok(judge_genesis(parsed));
        };
        let genesis = authority.genesis();
        let foreign = parsed.works_by(genesis.algorithm.foreign_kinds());
        if header.coin != genesis.coin || parsed.has(Kind::Genesis) || foreign {
            return Ok(Err(Cause::Malformed));
        }
        if !self.may_say(authority, parsed, trust) {
            return Ok(Err(Cause::Refused));
        }
        if let Err(cause) = self.place(history, parsed)? {
            return Ok(Err(cause));
        }
        let is_archiver = authority.role(&parsed.frame.header().key) == Some(Role::Archiver);
        if self.final_size() < self.opened_at && !is_archiver {
            return Ok(Err(Cause::Early));
        }
        self.consistent(history, authority, parsed, trust)
    }

    /// Test 2.
    fn may_say(&self, authority: &Authority, parsed: &Parsed, trust: Trust) -> bool {
        let header = parsed.frame.header();
        let stream_ok = self
            .streams
            .get(&header.stream)
            .is_none_or(|stream| stream.key == header.key);
        role_says(authority, header)
            && stream_ok
            && (trust == Trust::CheckedBefore
                || authority
                    .verifier(&header.key)
                    .is_some_and(|verifier| parsed.signatures_hold(verifier)))
    }

    /// Tests 3 to 7.
    fn place(
        &self,
        history: &impl History,
        parsed: &Parsed,
    ) -> Result<Result<(), Cause>, AdmitError> {
        let header = parsed.frame.header();
        let Some(stream) = self.streams.get(&header.stream) else {
            return Ok(if header.first_seq == 0 {
                Ok(())
            } else {
                Err(Cause::Gap)
            });
        };
        if header.first_seq < stream.next_seq {
            let admitted = history.header_hash(header.stream, header.first_seq)?;
            if admitted == Some(parsed.frame.header_hash()) {
                return Ok(Err(Cause::Duplicate));
            }
        }
        if stream.closed {
            return Ok(Err(Cause::Closed));
        }
        let forks = header.first_seq < stream.next_seq
            || header.first_seq == stream.next_seq && header.previous != stream.last_hash;
        if forks {
            return Ok(Err(Cause::Fork));
        }
        if stream.next_seq < header.first_seq {
            return Ok(Err(Cause::Gap));
        }
        Ok(if header.epoch < stream.epoch {
            Err(Cause::StaleEpoch)
        } else {
            Ok(())
        })
    }

    /// Test 9.
    fn consistent(
        &self,
        history: &impl History,
        authority: &Authority,
        parsed: &Parsed,
        trust: Trust,
    ) -> Result<Result<Effects, Cause>, AdmitError> {
        let header = parsed.frame.header();
        let set = authority.schema_set(header.schema_set).unwrap_or_default();
        // Only version 0 of a kind is decoded: its kinds are all that a body uses.
        let in_set = |kind: &Kind| {
            set.contains(&SchemaEntry {
                kind: *kind as u8,
                version: 0,
            })
        };
        let mut used = Kind::ALL.iter().filter(|kind| parsed.has(**kind));
        let listed = trust == Trust::CheckedBefore || used.all(in_set);
        if !listed
            || !parsed
                .mixed()
                .iter()
                .all(|event| self.cites_the_past(event))
        {
            return Ok(Err(Cause::Inconsistent));
        }
        let same_epoch = self
            .streams
            .get(&header.stream)
            .filter(|s| s.epoch == header.epoch);
        let mut overlay = Overlay::new(same_epoch.map(|stream| &stream.announced));
        let is_summary = match parsed.shares() {
            // Shares announce nothing, and the header, which was judged before, names the summary.
            Some(_) if trust == Trust::CheckedBefore => true,
            Some(shares) => summarise_shares(shares, &overlay).as_ref() == Ok(&parsed.summary),
            None => {
                let terms_of = |job| self.terms(authority, job);
                let summary = summarise(parsed.mixed(), &mut overlay, terms_of);
                summary.as_ref() == Ok(&parsed.summary)
            }
        };
        if !is_summary {
            return Ok(Err(Cause::Inconsistent));
        }
        let (counts, moved) = self.moved(history, authority, parsed)?;
        Ok(Ok(Effects {
            added: overlay.into_added(),
            counts,
            moved,
        }))
    }

    fn cites_the_past(&self, event: &Event) -> bool {
        let next = self.size();
        match event {
            Event::Job(job) => job.policy.position < next,
            Event::EthashJob(job) => job.policy.position < next,
            Event::KeyChange(change) => change.expects.position < next,
            Event::Policy(change) => change.expects.position < next,
            Event::Ban(ban) => ban.expects.position < next,
            Event::Adjustment(adjustment) => adjustment.expects.position < next,
            Event::BlockStatus(status) => status.expects.position < next,
            Event::BlockRecovered(block) => block.expects.position < next,
            // Its `first` is before its share.
            Event::Void(void) => void.share.position < next && void.expects.position < next,
            Event::Account(said) => said.expects.position < next,
            Event::Setting(setting) => setting.expects.position < next,
            Event::FeeMean(mean) => mean.expects.position < next,
            // Its digests are of that many positions.
            Event::PayoutProposed(said) => {
                said.expects.position < next && said.digest_position <= next
            }
            Event::PayoutSigned(said) => said.expects.position < next,
            Event::PayoutStep(said) => said.expects.position < next,
            Event::PayoutCancelled(said) => said.expects.position < next,
            Event::PayoutResume(said) => said.expects.position < next,
            Event::WriteOff(said) => said.expects.position < next,
            Event::InactiveDust(said) => said.expects.position < next && said.cutoff < next,
            Event::Reconciled(said) => said.compared_position < next,
            Event::Checkpoint(checkpoint) => checkpoint.size <= next,
            _ => true,
        }
    }

    /// Terms of a job that is admitted now: its policy must be obeyed, and final where it took effect.
    pub(super) fn terms(&self, authority: &Authority, job: JobRef) -> JobTerms {
        let obeyed = authority
            .policy(job.policy)
            .filter(|obeyed| obeyed.effective < self.final_size());
        JobTerms {
            network_work: job.network_work,
            policy: obeyed.map(|obeyed| obeyed.policy.clone()),
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "two lists that are always made together, used once"
    )]
    fn moved(
        &self,
        history: &impl History,
        authority: &Authority,
        parsed: &Parsed,
    ) -> Result<(Vec<bool>, Vec<(StreamId, u64, Hash)>), AdmitError> {
        let mut counts = Vec::new();
        let mut counted: Vec<(StreamId, u64, Hash)> = Vec::new();
        for event in parsed.mixed() {
            let Event::Moved(moved) = event else { continue };
            let id = (moved.stream, moved.seq, Hash::of(&[&moved.event]));
            let fresh = self.will_be_closed(authority, moved.stream, &parsed.frame.header().key)
                && !self.moved.contains(&id)
                && !counted.contains(&id)
                && !self.was_admitted(history, &parsed.frame, moved)?;
            counts.push(fresh);
            if fresh {
                counted.push(id);
            }
        }
        Ok((counts, counted))
    }

    fn was_admitted(
        &self,
        history: &impl History,
        frame: &Frame,
        moved: &Moved,
    ) -> Result<bool, AdmitError> {
        let header = frame.header();
        if moved.stream == header.stream
            && (header.first_seq..header.next_seq()).contains(&moved.seq)
        {
            // An event of the very frame that moves it is admitted with it, so it must not count again.
            let index = usize::try_from(moved.seq - header.first_seq).unwrap_or(usize::MAX);
            let own = frame.events().nth(index);
            return Ok(own.is_some_and(|raw| raw.is_ok_and(|raw| raw.bytes == moved.event)));
        }
        // The history may hold more than this prefix; the stream's own counter says what belongs to it.
        let reached = self
            .streams
            .get(&moved.stream)
            .is_some_and(|stream| moved.seq < stream.next_seq);
        Ok(reached && history.event(moved.stream, moved.seq)?.as_ref() == Some(&moved.event))
    }

    /// Whether moving from a stream by the producer `key` finds or leaves it closed (ADR 0006).
    pub(super) fn will_be_closed(
        &self,
        authority: &Authority,
        stream: StreamId,
        key: &Key,
    ) -> bool {
        self.streams.get(&stream).is_none_or(|stream| {
            stream.closed || stream.key == *key || authority.role(&stream.key).is_none()
        })
    }
}

/// Whether the key is in force and its role may say every kind of the frame.
pub(super) fn role_says(authority: &Authority, header: &Header) -> bool {
    authority
        .role(&header.key)
        .is_some_and(|role| header.kinds & !role.kinds() == 0)
}

/// Position 0: the genesis frame of this ledger and nothing else.
fn judge_genesis(parsed: &Parsed) -> Result<Effects, Cause> {
    let header = parsed.frame.header();
    let [Event::Genesis(genesis)] = parsed.mixed() else {
        return Err(Cause::Malformed);
    };
    let first = header.first_seq == 0 && header.epoch == 0 && header.schema_set == 0;
    let named = genesis.ledger == header.ledger && genesis.coin == header.coin;
    if !first || !named {
        return Err(Cause::Malformed);
    }
    let desk = genesis
        .producers
        .iter()
        .any(|(key, role)| *key == header.key && *role == Role::Desk);
    let signed =
        || Verifier::of(&header.key).is_some_and(|verifier| parsed.signatures_hold(&verifier));
    if !desk || !signed() {
        return Err(Cause::Refused);
    }
    let lists_itself = genesis.schema_set.contains(&SchemaEntry {
        kind: Kind::Genesis as u8,
        version: 0,
    });
    if lists_itself && parsed.summary.pots.is_empty() {
        Ok(Effects {
            added: Announced::default(),
            counts: Vec::new(),
            moved: Vec::new(),
        })
    } else {
        Err(Cause::Inconsistent)
    }
}
