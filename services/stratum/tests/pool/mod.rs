//! A pool of one session: what a gateway does with a [`Speaker`]'s actions, without sockets and disks. Used here and by
//! `tests/tests/dialects.rs`.

#![allow(
    dead_code,
    reason = "each test that has a pool asks other things of it"
)]

use std::collections::BTreeSet;

use orebook_schema::genesis::Algorithm;
use orebook_schema::units::{U256, WorkUnit};
use orebook_schema::work::Extranonce;
use orebook_schema::{Hash, Work};
use orebook_stratum::{
    Action, CloseReason, Dialects, EthashLines, EthashSubmit, EthashWork, HelloTerms, JobRef,
    SessionConfig, Speaker, SpeakerConfig, StratumError,
};

/// Session ids, prefixes and jobs are those of the captured sessions.
pub(crate) const SEAL: &str = "645cf20198c2f3861e947d4f67e3ab63b7b2e24dcc9095bd9123e7b33371f6cc";
pub(crate) const SEED: &str = "abad8f99f3918bf903c6a909d9bbc0fdfa5a2f4b9cb1196175ec825c6610126c";
pub(crate) const WORK: u64 = 4_000_000_000;

pub(crate) fn hash(digits: &str) -> Hash {
    let bytes = orebook_schema::units::unhex(digits).expect("hex");
    Hash(bytes.try_into().expect("32 bytes"))
}

pub(crate) fn config(dialects: Dialects) -> SpeakerConfig {
    SpeakerConfig {
        dialects,
        session: SessionConfig {
            extranonce2_size: 4,
            version_mask: 0x1fff_e000,
        },
        hello: HelloTerms {
            timeout_s: 180,
            errors_max: 5,
        },
    }
}

pub(crate) fn job(number: u32, seal: Hash) -> EthashLines {
    EthashLines::new(EthashWork {
        number,
        seal,
        seed: hash(SEED),
        epoch: 0xdc,
        algorithm: Algorithm::Ethash,
        height: 0x65_26d5,
    })
}

/// Mix and result of a seal hash and a nonce.
pub(crate) type Proof = fn(Hash, u64) -> (Hash, U256);

/// See the module.
pub(crate) struct Pool {
    pub(crate) speaker: Speaker,
    /// Bytes that were not taken yet.
    held: Vec<u8>,
    /// What the speaker asked, in order.
    pub(crate) actions: Vec<Action>,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) job: Option<EthashLines>,
    pub(crate) work: Work,
    pub(crate) prefix: Vec<u8>,
    pub(crate) shares: Vec<EthashSubmit>,
    /// Mix and result of a nonce; without it every share is good.
    pub(crate) proof: Option<Proof>,
    seen: BTreeSet<u64>,
}

impl Pool {
    pub(crate) fn new(dialects: Dialects) -> Self {
        Self {
            speaker: Speaker::new(config(dialects)),
            held: Vec::new(),
            actions: Vec::new(),
            closed: None,
            job: Some(job(0xbf04_88aa, hash(SEAL))),
            work: Work::new(WORK).expect("legal work"),
            prefix: vec![0xaf, 0x4c],
            shares: Vec::new(),
            proof: None,
            seen: BTreeSet::new(),
        }
    }

    /// Bytes come; what the miner gets for them.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.held.extend_from_slice(bytes);
        let mut turns = 0;
        while self.closed.is_none() {
            let served = self.speaker.may_send_work();
            let heard = self.speaker.hear(&self.held, &mut out);
            self.held.drain(..heard.taken);
            if heard.action == Action::More {
                break;
            }
            turns += 1;
            assert!(turns < 100_000, "the speaker ends by itself");
            self.act(heard.action, &mut out);
            if !served && self.speaker.may_send_work() {
                self.send(&mut out, true);
            }
        }
        out
    }

    /// The newest job.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, clean: bool) {
        if let Some(job) = &self.job {
            self.speaker.send_ethash(out, job, self.work, clean);
        }
    }

    fn act(&mut self, action: Action, out: &mut Vec<u8>) {
        let speaker = &mut self.speaker;
        match &action {
            Action::Subscribe(asked) => {
                let prefix = Extranonce::new(&self.prefix).expect("short");
                speaker.subscribed(out, asked, "s-12345", prefix);
            }
            Action::Authorize(asked) if asked.name.login.starts_with("0x") => {
                speaker.authorized(out, asked, Ok(()));
            }
            Action::Authorize(asked) => {
                let why = "no address of this chain";
                speaker.login_refused(out, asked, StratumError::Unauthorized, why);
            }
            Action::EthashSubmit(share) => {
                let verdict = self.judge(share);
                let speaker = &self.speaker;
                match verdict {
                    Ok(()) => {
                        speaker.accepted(out, &share.id);
                        self.shares.push(share.clone());
                    }
                    Err(error) => speaker.refused(out, &share.id, error),
                }
            }
            Action::Submit(share) => speaker.accepted(out, &share.id),
            Action::GetWork { id } => match &self.job {
                Some(job) => speaker.give_work(out, id, job, self.work),
                None => speaker.refused(out, id, StratumError::NoWork),
            },
            Action::GetHeight { id, is_pending } => {
                let job = self.job.as_ref().map_or(0, |job| job.work().height);
                speaker.give_height(out, id, job - u64::from(!is_pending));
            }
            Action::Close(reason) => self.closed = Some(*reason),
            _ => {}
        }
        self.actions.push(action);
    }

    fn judge(&mut self, share: &EthashSubmit) -> Result<(), StratumError> {
        let work = self.job.as_ref().ok_or(StratumError::NoWork)?.work();
        let is_known = match share.job {
            JobRef::Number(number) => number == work.number,
            JobRef::Seal(seal) => seal == work.seal,
        };
        if !is_known {
            return Err(StratumError::JobNotFound);
        }
        if !self.seen.insert(share.nonce) {
            return Err(StratumError::Duplicate);
        }
        if let Some(proof) = self.proof {
            let (mix, value) = proof(work.seal, share.nonce);
            let is_claimed = share.mix.is_none_or(|claimed| claimed == mix);
            if !is_claimed || self.work.target(WorkUnit::Ethash) < value {
                return Err(StratumError::LowDifficulty);
            }
        }
        Ok(())
    }
}
