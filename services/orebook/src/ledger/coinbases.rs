//! `orebook ledger coinbases`: the list of each block whose coinbase pays accounts, made again from the positions that it says it
//! stands on (docs/rules.md, 11.6 to 11.8), and compared with what the coinbase paid.

use std::sync::Arc;

use orebook_ledger::admit::{Parsed, Trust};
use orebook_projector::Member;
use orebook_replay::engine::{Engine, Past};
use orebook_replay::fold::Backwards as _;
use orebook_replay::folds::money::direct::list::{Coinbase, Room, differences};
use orebook_replay::folds::money::{self, Money};
use orebook_replay::store::{MemoryStore, Store as _};
use orebook_schema::names::Pot;
use orebook_schema::work::Job;
use orebook_schema::{At, Event, Hash, LedgerId};

use super::{Store, failure};
use crate::cat::Object;
use crate::cli::{Format, PlaceArgs};
use crate::explain::replayed;
use crate::{Failure, ledger, print};

/// Blocks read at a time.
const BLOCKS_A_PAGE: usize = 1_000;

/// A block whose coinbase pays accounts.
struct Paying {
    height: u64,
    hash: Hash,
    pot: Pot,
    /// Place of its job.
    job: At,
    /// Positions that its list stands on.
    size: u64,
}

/// A block and how its coinbase differs from its list.
struct Judged {
    height: u64,
    hash: Hash,
    size: u64,
    differences: Vec<String>,
}

pub(super) fn run(place: &PlaceArgs, format: Format) -> Result<(), Failure> {
    let (segments, ledger) = ledger::open(place)?;
    let mut paying = paying(&replayed(place, format)?.money)?;
    // In the order of their lists' positions, so that one more replay meets them all.
    paying.sort_by_key(|block| block.size);
    let mut money = Prefix::new(&segments, ledger)?;
    let mut judged = Vec::new();
    for block in paying {
        money.advance(block.size)?;
        judged.push(Judged {
            differences: money.differences(&block)?,
            height: block.height,
            hash: block.hash,
            size: block.size,
        });
    }
    judged.sort_by_key(|block| block.height);
    report(&judged, format)
}

/// Every block whose coinbase pays accounts.
fn paying(rows: &MemoryStore) -> Result<Vec<Paying>, Failure> {
    let view = rows.view().map_err(failure)?;
    let (mut paying, mut before) = (Vec::new(), None);
    loop {
        let page = money::blocks(view.as_ref(), None, before, BLOCKS_A_PAGE).map_err(failure)?;
        let Some(last) = page.last() else {
            return Ok(paying);
        };
        before = Some(last.at);
        paying.extend(page.iter().filter_map(|block| {
            let direct = block.direct?;
            Some(Paying {
                height: block.height,
                hash: block.hash,
                pot: block.finding.as_ref()?.pot,
                job: direct.job,
                size: direct.size,
            })
        }));
    }
}

/// `money` over the first positions of some segments.
struct Prefix<'s> {
    segments: &'s Store,
    rows: Arc<MemoryStore>,
    engine: Engine,
}

impl<'s> Prefix<'s> {
    fn new(segments: &'s Store, ledger: LedgerId) -> Result<Self, Failure> {
        let rows = Arc::new(MemoryStore::new());
        let members: Vec<Member> = vec![(Box::new(Money), rows.clone())];
        let engine = Engine::open(ledger, members, Trust::Nothing, segments, 0).map_err(failure)?;
        Ok(Self {
            segments,
            rows,
            engine,
        })
    }

    fn advance(&mut self, below: u64) -> Result<(), Failure> {
        while self.engine.size() < below {
            self.engine
                .advance(self.segments, below, u64::MAX, &mut |_| {})
                .map_err(|error| failure(error).found())?;
            if let Some((fold, stop)) = self.engine.stops().next() {
                return Err(Failure::new(format!("fold {fold}: {stop}")));
            }
        }
        Ok(())
    }

    /// What its list would have been, as these positions say.
    fn differences(&self, block: &Paying) -> Result<Vec<String>, Failure> {
        let job = self.job(block.job)?;
        let state = self.engine.state();
        let authority = state.authority();
        let newest = authority.map(|authority| authority.newest_policy());
        let Some((at, Some(obeyed))) = newest else {
            return Ok(vec!["its list stands before the first policy".to_owned()]);
        };
        let base_units = |amount| u64::try_from(amount).unwrap_or(u64::MAX);
        let coinbase = Coinbase {
            size: block.size,
            ledger_time: state.ledger_time(),
            pot: block.pot,
            network_work: job.network_work,
            value: base_units(job.reward),
            fees: base_units(job.fees),
            // A list that ends early is one for which there was no room: nothing in the ledger says how much there was.
            room: Room {
                bytes: u64::MAX,
                sigops: u64::MAX,
                outputs: usize::MAX,
            },
        };
        let view = self.rows.view().map_err(failure)?;
        let past = Past::new(self.segments, block.size);
        let policy = (at, &*obeyed.policy);
        differences(view.as_ref(), &past, policy, &coinbase, &job).map_err(failure)
    }

    fn job(&self, at: At) -> Result<Job, Failure> {
        let past = Past::new(self.segments, at.position.saturating_add(1));
        let frame = past.frame(at.position).map_err(failure)?;
        let parsed = Parsed::read(frame.frame.into_bytes()).map_err(failure)?;
        match parsed.events().get(usize::from(at.index)) {
            Some(Event::Job(job)) => Ok((**job).clone()),
            _ => Err(Failure::new(format!("{at}: no job stands there")).found()),
        }
    }
}

fn report(judged: &[Judged], format: Format) -> Result<(), Failure> {
    let count: usize = judged.iter().map(|block| block.differences.len()).sum();
    let text = match format {
        Format::Json => {
            let blocks: Vec<String> = judged
                .iter()
                .map(|block| {
                    let said: Vec<String> = block
                        .differences
                        .iter()
                        .map(|said| serde_json::Value::from(said.as_str()).to_string())
                        .collect();
                    let mut object = Object::new();
                    object
                        .raw("height", block.height)
                        .text("hash", block.hash)
                        .raw("direct", block.size)
                        .raw("differences", format_args!("[{}]", said.join(",")));
                    object.end()
                })
                .collect();
            let mut object = Object::new();
            object
                .raw("differences", count)
                .raw("blocks", format_args!("[{}]", blocks.join(",")));
            object.end()
        }
        Format::Text => {
            let mut text = String::new();
            for block in judged {
                for said in &block.differences {
                    text.push_str(&format!(
                        "block {} ({}), list of {} positions: {said}\n",
                        block.height, block.hash, block.size
                    ));
                }
            }
            text.push_str(&format!(
                "{} blocks paid accounts by their coinbase, {count} differences",
                judged.len()
            ));
            text
        }
    };
    print(&text)?;
    if count == 0 {
        return Ok(());
    }
    Err(Failure::new(format!("{count} outputs are not what the rules say")).found())
}
