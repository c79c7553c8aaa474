//! Registered accounts as of a position (section 6): one row a name, its workers shared by who copies it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orebook_schema::account::{NAMES_MAX, Registration, WORKERS_MAX};
use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::names::{RegisteredName, WorkerName};
use orebook_schema::{Account, At, Hash};

use super::snapshot::{put_count, take_bool, take_map};

/// What the last obeyed registration of a name says, and every worker that any of them added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Place of that registration: what the name's next one must expect.
    pub at: At,
    /// Position at which it took effect: its own, or that of the last approval it needed.
    pub effective: u64,
    /// The payout address that it names. Settings may say otherwise since.
    pub payout: Account,
    /// The threshold that it says, base units; 0: the policy's. Settings may say otherwise since.
    pub threshold: u128,
    /// SHA-256 of the account's secret token.
    pub token: Option<Hash>,
    /// Whether only registered workers may mine for the account.
    pub registered_only: bool,
    /// Registered workers; none is ever taken away.
    pub workers: Arc<BTreeSet<WorkerName>>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(pub(super) BTreeMap<RegisteredName, Registered>);

impl Names {
    /// Whether a registration keeps within what gateways hold: [`NAMES_MAX`] and [`WORKERS_MAX`].
    pub(super) fn have_room(&self, said: &Registration) -> bool {
        let known = self.0.get(&said.name);
        let is_new = |worker: &&WorkerName| {
            !known.is_some_and(|registered| registered.workers.contains(*worker))
        };
        let names = self.0.len() + usize::from(known.is_none());
        let workers: usize = self.0.values().map(|one| one.workers.len()).sum();
        let added = said.workers.iter().filter(is_new).count();
        names <= NAMES_MAX && workers + added <= WORKERS_MAX
    }

    /// A registration takes effect.
    pub(super) fn obey(&mut self, said: &Registration, at: At, effective: u64) {
        let before = self.0.remove(&said.name);
        let mut workers = before.map_or_else(Arc::default, |before| before.workers);
        if !said.workers.is_empty() {
            Arc::make_mut(&mut workers).extend(said.workers.iter().cloned());
        }
        let registered = Registered {
            at,
            effective,
            payout: said.payout.clone(),
            threshold: said.threshold,
            token: said.token,
            registered_only: said.registered_only,
            workers,
        };
        self.0.insert(said.name.clone(), registered);
    }

    pub(super) fn write_snapshot(&self, out: &mut Vec<u8>) {
        put_count(self.0.len(), out);
        for (name, registered) in &self.0 {
            out.put_bytes8(name.as_str().as_bytes());
            out.put_at(registered.at);
            out.put(&registered.effective.to_le_bytes());
            out.put(&registered.payout.to_bytes());
            out.put(&registered.threshold.to_le_bytes());
            out.put(&registered.token.unwrap_or(Hash::ZERO).0);
            out.push(u8::from(registered.registered_only));
            put_count(registered.workers.len(), out);
            for worker in registered.workers.iter() {
                out.put_bytes8(worker.as_str().as_bytes());
            }
        }
    }

    pub(super) fn read_snapshot(reader: &mut Reader<'_>) -> Decoded<Self> {
        let names = take_map(reader, |reader| {
            let text = take_text(reader)?;
            let name = RegisteredName::parse(text).filter(|name| name.as_str() == text);
            let name = name.ok_or(DecodeError::Value("snapshot's registered name"))?;
            let (at, effective) = (reader.at()?, reader.u64()?);
            let payout = Account::from_reader(reader)?;
            let threshold = reader.u128()?;
            let token = reader.hash()?;
            let registered_only = take_bool(reader)?;
            let workers = take_map(reader, |reader| {
                let worker = WorkerName::parse(take_text(reader)?);
                let worker = worker.ok_or(DecodeError::Value("snapshot's registered worker"))?;
                Ok((worker, ()))
            })?;
            let registered = Registered {
                at,
                effective,
                payout,
                threshold,
                token: (token != Hash::ZERO).then_some(token),
                registered_only,
                workers: Arc::new(workers.into_keys().collect()),
            };
            Ok((name, registered))
        })?;
        Ok(Self(names))
    }
}

fn take_text<'b>(reader: &mut Reader<'b>) -> Decoded<&'b str> {
    let bytes = reader.bytes8(64)?;
    str::from_utf8(bytes).map_err(|_| DecodeError::Value("snapshot's name"))
}
