//! `orebook ledger cat`: every event as one line of JSON, in the form of LEDGER-FORMAT.md section 9.

use std::fmt::Write as _;

use orebook_schema::account::{Registration, Setting, SettingValue};
use orebook_schema::desk::{Adjustment, Ban};
use orebook_schema::dust::InactiveDust;
use orebook_schema::event::{
    Approval, Checkpoint, KeyAction, KeyChange, Moved, NO_NUMBER, Part, RawEvent, RecoveryCode,
    RecoveryNote, SchemaEntry,
};
use orebook_schema::payout::{
    DigestAnswer, PayoutCancelled, PayoutProposed, PayoutSigned, PayoutStep,
};
use orebook_schema::policy::NetworkFees;
use orebook_schema::reconciled::Reconciled;
use orebook_schema::units::hex;
use orebook_schema::work::{
    BlockFound, BlockRecovered, BlockStatus, EthashJob, EthashShare, Job, Share, Worker,
};
use orebook_schema::{At, Event, Genesis, Hash, Header, Policy};

/// A JSON object under construction: keys in the order they are put.
#[derive(Debug)]
pub(crate) struct Object {
    text: String,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self {
            text: String::from("{"),
        }
    }

    fn key(&mut self, key: &str) {
        if self.text.len() != 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// A number, boolean, array or object: anything already JSON.
    pub(crate) fn raw(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.key(key);
        // Writing to a String cannot fail.
        write!(self.text, "{value}").unwrap_or_default();
        self
    }

    /// A string, escaped.
    pub(crate) fn text(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.key(key);
        self.text.push_str(&quoted(&value.to_string()));
        self
    }

    fn hex(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.text(key, hex(bytes))
    }

    fn at(&mut self, key: &str, at: At) -> &mut Self {
        self.raw(key, format_args!("[{},{}]", at.position, at.index))
    }

    pub(crate) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Where an event stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) position: u64,
    pub(crate) index: u32,
    pub(crate) ledger_time: u64,
    pub(crate) header: &'a Header,
    pub(crate) dt: u32,
}

/// The line of one event. `counts`: whether a moved event counts.
pub(crate) fn event_line(place: Place<'_>, event: &Event, counts: bool) -> String {
    let header = place.header;
    let mut line = Object::new();
    line.raw("position", place.position)
        .raw("index", place.index)
        .raw("ledger_time", place.ledger_time)
        .text("stream", header.stream)
        .raw("epoch", header.epoch)
        .raw("seq", header.first_seq + u64::from(place.index))
        .raw("time", header.base_time + u64::from(place.dt))
        .text("kind", event.kind().name());
    put_event(&mut line, event, counts);
    line.end()
}

/// The line of a closed stream.
pub(crate) fn closure_line(position: u64, header: &Header) -> String {
    let hash = Hash::of(&[&header.to_bytes()]);
    let mut line = Object::new();
    line.raw("position", position)
        .text("closed", header.stream)
        .text("header_hash", hash);
    line.end()
}

fn put_event(line: &mut Object, event: &Event, counts: bool) {
    match event {
        Event::Genesis(genesis) => put_genesis(line, genesis),
        Event::SchemaSet(set) => {
            line.raw("number", set.number)
                .raw("entries", entries(&set.entries));
        }
        Event::KeyChange(change) => put_key_change(line, change),
        Event::Policy(change) => {
            line.at("expects", change.expects)
                .raw("policy", policy(&change.policy));
        }
        Event::Approval(approval) => put_approval(line, approval),
        Event::Checkpoint(checkpoint) => put_checkpoint(line, checkpoint),
        Event::Heartbeat => {}
        Event::RecoveryNote(note) => put_note(line, note),
        Event::Part(part) => put_part(line, part),
        Event::Moved(moved) => put_moved(line, moved, counts),
        Event::Ban(ban) => put_ban(line, ban),
        Event::Adjustment(adjustment) => put_adjustment(line, adjustment),
        Event::Worker(worker) => put_worker(line, worker),
        Event::Difficulty(difficulty) => {
            line.raw("worker", difficulty.worker)
                .text("work", difficulty.work.units());
        }
        Event::Job(job) => put_job(line, job),
        Event::Share(share) => put_share(line, share),
        Event::BlockFound(block) => put_block_found(line, block),
        Event::BlockStatus(status) => put_block_status(line, status),
        Event::BlockRecovered(block) => put_block_recovered(line, block),
        Event::EthashJob(job) => put_ethash_job(line, job),
        Event::EthashShare(share) => put_ethash_share(line, share),
        Event::Void(void) => {
            line.at("share", void.share)
                .at("first", void.first)
                .at("expects", void.expects);
        }
        Event::Account(said) => put_registration(line, said),
        Event::Setting(setting) => put_setting(line, setting),
        Event::FeeMean(mean) => {
            line.raw("height", mean.height)
                .at("expects", mean.expects)
                .text("mean", mean.mean);
        }
        Event::PayoutProposed(said) => put_proposed(line, said),
        Event::PayoutSigned(said) => put_signed(line, said),
        Event::PayoutStep(said) => put_step(line, said),
        Event::PayoutCancelled(said) => put_cancelled(line, said),
        Event::PayoutHalt(said) => {
            line.raw("wallet", said.wallet).text("reason", &said.reason);
        }
        Event::PayoutResume(said) => {
            line.raw("wallet", said.wallet)
                .at("expects", said.expects)
                .text("reason", &said.reason);
        }
        Event::WriteOff(said) => {
            line.text("account", &said.account)
                .at("expects", said.expects)
                .text("reason", &said.reason);
        }
        Event::InactiveDust(said) => put_inactive_dust(line, said),
        Event::Reconciled(said) => put_reconciled(line, said),
    }
}

fn put_inactive_dust(line: &mut Object, said: &InactiveDust) {
    let accounts = said.accounts.iter().map(|account| format!("\"{account}\""));
    line.raw("cutoff", said.cutoff)
        .text("to", said.to.name())
        .raw("accounts", array(accounts))
        .at("expects", said.expects)
        .text("reason", &said.reason);
}

fn put_reconciled(line: &mut Object, said: &Reconciled) {
    line.raw("wallet", said.wallet)
        .raw("compared_position", said.compared_position)
        .text("money", said.money)
        .text("wallet_expected", said.wallet_expected)
        .text("wallet_found", said.wallet_found)
        .raw("transactions", said.transactions)
        .raw("blocks", said.blocks)
        .raw("differences", said.differences)
        .text("report", &said.report);
}

fn put_proposed(line: &mut Object, said: &PayoutProposed) {
    let answer = |answer: &DigestAnswer| {
        let who = quoted(answer.who.as_str());
        format!("[{who},\"{}\"]", answer.digest)
    };
    line.raw("wallet", said.wallet)
        .raw("batch", said.batch)
        .at("expects", said.expects)
        .raw("txs", said.txs)
        .raw("lines", said.lines)
        .text("total", said.total)
        .text("fee", said.fee)
        .text("body", said.body)
        .raw("digest_position", said.digest_position)
        .raw("digests", array(said.digests.iter().map(answer)));
}

fn put_signed(line: &mut Object, said: &PayoutSigned) {
    line.raw("wallet", said.wallet)
        .raw("batch", said.batch)
        .raw("tx", said.tx)
        .at("expects", said.expects)
        .text("txid", said.txid)
        .text("fee", said.fee)
        .hex("spends", said.spends.bytes())
        .text("body", said.body)
        .hex("raw", &said.raw);
}

fn put_step(line: &mut Object, said: &PayoutStep) {
    line.raw("wallet", said.wallet)
        .raw("batch", said.batch)
        .raw("tx", said.tx)
        .at("expects", said.expects)
        .text("step", said.step.name())
        .text("txid", said.txid)
        .raw("height", said.height);
    put_hash_or_null(line, "block", said.block);
    line.text("fee", said.fee);
}

fn put_cancelled(line: &mut Object, said: &PayoutCancelled) {
    line.raw("wallet", said.wallet)
        .raw("batch", said.batch)
        .raw("tx", said.tx)
        .at("expects", said.expects);
    put_hash_or_null(line, "by", said.by);
    line.raw("height", said.height)
        .text("fee", said.fee)
        .text("reason", &said.reason);
}

fn put_hash_or_null(line: &mut Object, key: &str, hash: Option<Hash>) {
    match hash {
        Some(hash) => line.text(key, hash),
        None => line.raw(key, "null"),
    };
}

fn entries(entries: &[SchemaEntry]) -> String {
    array(
        entries
            .iter()
            .map(|entry| format!("[{},{}]", entry.kind, entry.version)),
    )
}

fn put_genesis(line: &mut Object, genesis: &Genesis) {
    line.text("ledger", genesis.ledger)
        .raw("coin", genesis.coin)
        .text("coin_name", genesis.coin_name.as_str())
        .text("algorithm", genesis.algorithm.name())
        .raw("decimals", genesis.decimals)
        .text("chain", genesis.chain)
        .raw("segment_positions", genesis.segment_positions)
        .raw("segment_bytes", genesis.segment_bytes)
        .raw("digest_answers", genesis.digest_answers)
        .raw(
            "approvers",
            array(genesis.approvers.iter().map(|key| format!("\"{key}\""))),
        )
        .raw(
            "approvals",
            array(
                genesis
                    .approvals
                    .iter()
                    .map(|(what, needed)| format!("[{},{needed}]", *what as u8)),
            ),
        )
        .raw(
            "producers",
            array(
                genesis
                    .producers
                    .iter()
                    .map(|(key, role)| format!("[\"{key}\",\"{}\"]", role.name())),
            ),
        )
        .raw("schema_set", entries(&genesis.schema_set))
        .raw("policy", policy(&genesis.policy));
}

fn policy(policy: &Policy) -> String {
    let pots = policy.pots.iter().map(|rules| {
        let mut pot = Object::new();
        pot.raw("pot", rules.pot)
            .text("scheme", rules.scheme.name())
            .raw("n_ppm", rules.n_ppm)
            .raw("fee_ppm", rules.fee_ppm)
            .raw("bonus_ppm", rules.bonus_ppm)
            .raw("stale_ppm", rules.stale_ppm)
            .raw("keep_tx_fees", rules.keep_tx_fees)
            .text("direct_min", rules.direct_min)
            .raw("direct_outputs", rules.direct_outputs);
        pot.end()
    });
    let mut object = Object::new();
    object
        .raw("pots", array(pots))
        .raw("immature_depth", policy.immature_depth)
        .raw("confirmed_depth", policy.confirmed_depth)
        .raw("orphan_depth", policy.orphan_depth)
        .text("threshold", policy.threshold)
        .raw("address_hold_ms", policy.address_hold_ms)
        .text(
            "network_fees",
            match policy.network_fees {
                NetworkFees::Pool => "pool",
                NetworkFees::Miner => "miner",
            },
        )
        .text("auto_pay_limit", policy.auto_pay_limit)
        .raw("payout_depth", policy.payout_depth)
        .raw("payout_final_depth", policy.payout_final_depth)
        .raw("writeoff_ms", policy.writeoff_ms)
        .raw("rounding_to_fee", policy.rounding_to_fee);
    object.end()
}

fn put_key_change(line: &mut Object, change: &KeyChange) {
    let action = match change.action {
        KeyAction::InForce => "in_force",
        KeyAction::Revoked => "revoked",
    };
    line.text("key", change.key)
        .text("role", change.role.name())
        .text("action", action)
        .at("expects", change.expects);
}

fn put_approval(line: &mut Object, approval: &Approval) {
    line.text("thing", approval.thing)
        .text("approver", approval.approver)
        .hex("signature", &approval.signature);
}

fn put_checkpoint(line: &mut Object, checkpoint: &Checkpoint) {
    line.raw("size", checkpoint.size)
        .text("root", checkpoint.root)
        .hex("signature", &checkpoint.signature);
}

fn put_note(line: &mut Object, note: &RecoveryNote) {
    let code = match note.code {
        RecoveryCode::TornTail => 1,
        RecoveryCode::StreamMoved => 2,
        RecoveryCode::Incarnation => 3,
        RecoveryCode::Repaired => 4,
    };
    line.raw("code", code).text("text", &note.text);
}

fn put_part(line: &mut Object, part: &Part) {
    line.text("whole", part.whole)
        .raw("part_index", part.index)
        .raw("of", part.of)
        .hex("bytes", &part.bytes);
}

fn put_moved(line: &mut Object, moved: &Moved, counts: bool) {
    let number = |number: u32| {
        if number == NO_NUMBER {
            "null".to_owned()
        } else {
            number.to_string()
        }
    };
    line.text("from", moved.stream)
        .raw("from_epoch", moved.epoch)
        .raw("from_seq", moved.seq)
        .raw("base_time", moved.base_time)
        .raw("worker", number(moved.worker))
        .raw("job", number(moved.job))
        .raw("counts", counts);
    let mut inner = Object::new();
    if let Ok(raw) = RawEvent::one(&moved.event)
        && let Ok(event) = raw.decode()
    {
        inner
            .text("kind", event.kind().name())
            .raw("time", moved.base_time + u64::from(raw.dt));
        put_event(&mut inner, &event, counts);
    }
    line.raw("event", inner.end());
}

fn put_ban(line: &mut Object, ban: &Ban) {
    line.text("target", &ban.target)
        .text("action", ban.action.name())
        .raw("until_ms", ban.until_ms)
        .at("expects", ban.expects)
        .text("reason", &ban.reason);
}

fn put_adjustment(line: &mut Object, adjustment: &Adjustment) {
    line.text("account", &adjustment.account)
        .at("expects", adjustment.expects)
        .text("book", adjustment.book.name())
        .text("direction", adjustment.direction.name())
        .text("amount", adjustment.amount);
    match adjustment.block {
        Some(block) => line.text("block", block),
        None => line.raw("block", "null"),
    };
    line.text("reason", &adjustment.reason);
}

fn put_registration(line: &mut Object, said: &Registration) {
    line.text("name", said.name.as_str())
        .at("expects", said.expects)
        .text("payout", &said.payout)
        .text("threshold", said.threshold);
    match said.token {
        Some(token) => line.text("token", token),
        None => line.raw("token", "null"),
    };
    let workers = said.workers.iter().map(|name| quoted(name.as_str()));
    line.raw("registered_only", said.registered_only)
        .raw("workers", array(workers));
}

fn put_setting(line: &mut Object, setting: &Setting) {
    line.text("account", &setting.account)
        .at("expects", setting.expects)
        .text("by", setting.by.name())
        .text("what", setting.value.name());
    match &setting.value {
        SettingValue::Threshold(threshold) => line.text("value", threshold),
        SettingValue::Address(address) => line.text("value", address),
        SettingValue::Donation(ppm) => line.raw("value", ppm),
        SettingValue::PayNow => line.raw("value", "null"),
    };
    line.hex("proof", &setting.proof);
}

fn put_worker(line: &mut Object, worker: &Worker) {
    line.raw("number", worker.number)
        .raw("pot", worker.pot)
        .hex("extranonce1", worker.extranonce1.bytes())
        .raw("extranonce2_size", worker.extranonce2_size)
        .raw("version_mask", worker.version_mask)
        .text("account", &worker.account)
        .text("name", worker.name.as_str());
}

fn put_job(line: &mut Object, job: &Job) {
    line.raw("number", job.number)
        .at("policy", job.policy)
        .raw("height", job.height)
        .text("network_work", job.network_work)
        .text("reward", job.reward)
        .text("fees", job.fees)
        .raw("version", job.version)
        .text("prev", job.prev)
        .raw("nbits", job.nbits)
        .raw("job_time", job.time)
        .raw("clean", job.clean)
        .hex("coinbase1", &job.coinbase1)
        .hex("coinbase2", &job.coinbase2)
        .raw(
            "branches",
            array(job.branches.iter().map(|branch| format!("\"{branch}\""))),
        )
        .raw("direct", job.direct);
}

fn put_share(line: &mut Object, share: &Share) {
    line.raw("worker", share.worker)
        .raw("job", share.job)
        .text("work", share.work.units())
        .raw("block", share.block)
        .raw("stale", share.stale)
        .raw("nonce", share.nonce)
        .raw("ntime", share.ntime)
        .raw("version", share.version)
        .hex("extranonce2", share.extranonce2.bytes());
}

fn put_ethash_job(line: &mut Object, job: &EthashJob) {
    line.raw("number", job.number)
        .at("policy", job.policy)
        .raw("height", job.height)
        .text("network_work", job.network_work)
        .text("reward", job.reward)
        .text("fees", job.fees)
        .text("seal", job.seal)
        .text("seed", job.seed)
        .raw("job_time", job.time)
        .raw("clean", job.clean);
}

fn put_ethash_share(line: &mut Object, share: &EthashShare) {
    line.raw("worker", share.worker)
        .raw("job", share.job)
        .text("work", share.work.units())
        .raw("block", share.block)
        .raw("stale", share.stale)
        .hex("nonce", &share.nonce.to_be_bytes());
}

fn put_block_found(line: &mut Object, block: &BlockFound) {
    line.text("hash", block.hash)
        .raw("height", block.height)
        .text("coinbase_txid", block.coinbase_txid)
        .hex("header", &block.header);
}

fn put_block_status(line: &mut Object, status: &BlockStatus) {
    line.text("hash", status.hash)
        .at("expects", status.expects)
        .text("state", status.state.name())
        .raw("height", status.height)
        .text("value", status.value)
        .text("fees", status.fees);
}

fn put_block_recovered(line: &mut Object, block: &BlockRecovered) {
    line.text("hash", block.hash)
        .raw("height", block.height)
        .at("expects", block.expects)
        .text("coinbase_txid", block.coinbase_txid)
        .text("value", block.value)
        .text("fees", block.fees);
}
