//! An activity log in memory, as gateways of the test's ledger write it.

use std::time::{SystemTime, UNIX_EPOCH};

use orebook_ledger::activity::{ActivityError, ActivitySource, seal};
use orebook_ledger::sign::Signer;
use orebook_schema::activity::{
    AgentText, Entry, EntryKind, Group, LoginFault, Network, NodeSaid, NodeText, Opened, Reject,
    Report,
};
use orebook_schema::names::RegisteredName;
use orebook_schema::{Account, LedgerId, WorkerName};

/// Gives each of its reports once.
#[derive(Debug)]
pub(crate) struct Reports(pub(crate) Vec<Vec<u8>>);

impl ActivitySource for Reports {
    fn read(&mut self, max: usize) -> Result<Vec<Vec<u8>>, ActivityError> {
        let count = max.min(self.0.len());
        Ok(self.0.drain(..count).collect())
    }
}

/// The gateway whose reports are believed.
pub(crate) fn gateway() -> Signer {
    Signer::from_seed(&[0x77; 32])
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("before the year 584 million")
}

fn group(count: u64) -> Group {
    Group {
        first_ms: 0,
        last_ms: 0,
        count,
    }
}

fn report(ledger: LedgerId, signer: &Signer, number: u64, entries: Vec<Entry>) -> Vec<u8> {
    let report = Report {
        ledger,
        coin: 1,
        key: signer.key(),
        run: 1,
        number,
        from_ms: now_ms(),
        span_ms: 0,
        sessions: 3,
        lost: 2,
        entries,
    };
    seal(&report, signer)
}

/// Two reports, both twice; and what must not count: another key's, another ledger's, a spoiled one, noise.
pub(crate) fn reports(ledger: LedgerId) -> Reports {
    let anna = Account::Name(RegisteredName::parse("anna").expect("a name"));
    let (own, failed) = (gateway(), |count| Entry::FailedLogins {
        reason: LoginFault::Name,
        network: Network::V4([198, 51, 100]),
        group: group(count),
    });
    let opened = Entry::Opened(Box::new(Opened {
        session: 1,
        user: 0,
        at_ms: 0,
        network: Network::V4([192, 0, 2]),
        account: anna.clone(),
        worker: WorkerName::parse("rig").expect("a name"),
        agent: AgentText::of("cgminer/4.11"),
    }));
    let rejects = Entry::Rejects {
        account: Some(anna),
        reason: Reject::Low,
        group: group(4),
    };
    let rest = Entry::Rest {
        of: EntryKind::FailedLogins,
        count: 9,
    };
    let first = report(ledger, &own, 0, vec![opened, rejects, failed(70), rest]);
    let ban = Entry::Bans {
        network: Network::V4([198, 51, 100]),
        group: group(1),
    };
    let node = Entry::Node {
        said: NodeSaid::OtherPayee,
        node: NodeText::of("geth-1"),
        group: group(2),
    };
    let again = node.clone();
    let second = report(ledger, &own, 1, vec![failed(30), ban, node, again]);
    let stranger = Signer::from_seed(&[0x78; 32]);
    let mut spoiled = report(ledger, &own, 2, vec![failed(1_000)]);
    if let Some(last) = spoiled.last_mut() {
        *last ^= 1;
    }
    Reports(vec![
        b"noise".to_vec(),
        first.clone(),
        report(ledger, &stranger, 0, vec![failed(1_000)]),
        second.clone(),
        report(LedgerId([0xee; 16]), &own, 3, vec![failed(1_000)]),
        first,
        spoiled,
        second,
    ])
}
