//! What the first policy of a new ledger says about payouts and write-offs.

use orebook_schema::policy::WRITEOFF_MS_MAX;

use super::{Pool, Preset};

/// Batches of a new ledger wait for approval whatever their total, unless configured.
pub const AUTO_PAY_LIMIT_DEFAULT: u128 = 0;
/// Confirmations at which a payout counts as paid in a new ledger unless configured.
pub const PAYOUT_DEPTH_DEFAULT: u32 = 6;
/// Confirmations after which it is not watched any more, likewise.
pub const PAYOUT_FINAL_DEPTH_DEFAULT: u32 = 12;
/// Most outputs to miners in a coinbase of a pot of a new ledger that pays by it, unless configured.
pub const DIRECT_OUTPUTS_DEFAULT: u16 = 100;
/// How long an account must owe before it may be written off in a new ledger unless configured: 90 days.
pub const WRITEOFF_MS_DEFAULT: u64 = 7_776_000_000;
/// The same of test coins' batches: 2^80, the most that a batch pays, so that a pool on a developer's machine pays by itself.
const TEST_AUTO_PAY_LIMIT: u128 = orebook_schema::payout::PAYOUT_MAX;
/// Confirmations at which a test coin's payout counts as paid, and after which it is not watched any more.
const TEST_DEPTHS: (u32, u32) = (2, 4);

/// The figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayoutTerms {
    /// A batch whose total is at most this needs no approval, base units.
    pub auto_pay_limit: u128,
    /// Confirmations at which a payout counts as paid, at least 1.
    pub payout_depth: u32,
    /// Confirmations after which it is not watched any more; above `payout_depth`.
    pub payout_final_depth: u32,
    /// How long an account must owe before it may be written off, milliseconds.
    pub writeoff_ms: u64,
    /// Whether whole base units that splits leave go to the pool's fees.
    pub rounding_to_fee: bool,
}

impl PayoutTerms {
    /// The same, if a policy may have them.
    ///
    /// # Errors
    /// Which figure is outside of its limits, in words.
    pub fn checked(self) -> Result<Self, String> {
        if self.payout_depth == 0 || self.payout_final_depth <= self.payout_depth {
            let (paid, last) = (self.payout_depth, self.payout_final_depth);
            return Err(format!(
                "payout_depth is at least 1 and below payout_final_depth, not {paid} and {last}"
            ));
        }
        if WRITEOFF_MS_MAX < self.writeoff_ms {
            return Err(format!("writeoff_ms: at most {WRITEOFF_MS_MAX}"));
        }
        Ok(self)
    }
}

pub(super) const fn direct_outputs_default() -> u16 {
    DIRECT_OUTPUTS_DEFAULT
}

/// Most outputs to miners: what is said where the pot pays by the coinbase, and else none, as a policy has to say it.
#[must_use]
pub const fn direct_outputs(direct_min: u64, said: u16) -> u16 {
    if direct_min == 0 { 0 } else { said }
}

impl Pool {
    /// What is said here, and else the defaults: a pool of a test coin pays by itself, and soon.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn payouts(&self) -> Result<PayoutTerms, String> {
        let is_test = self.coin.is_none_or(Preset::is_test);
        let (limit, depths) = if is_test {
            (TEST_AUTO_PAY_LIMIT, TEST_DEPTHS)
        } else {
            let depths = (PAYOUT_DEPTH_DEFAULT, PAYOUT_FINAL_DEPTH_DEFAULT);
            (AUTO_PAY_LIMIT_DEFAULT, depths)
        };
        let auto_pay_limit = match &self.auto_pay_limit {
            None => limit,
            Some(text) => text
                .parse()
                .map_err(|_| format!("pool.auto_pay_limit: {text:?} is no whole number"))?,
        };
        let terms = PayoutTerms {
            auto_pay_limit,
            payout_depth: self.payout_depth.unwrap_or(depths.0),
            payout_final_depth: self.payout_final_depth.unwrap_or(depths.1),
            writeoff_ms: self.writeoff_ms,
            rounding_to_fee: self.rounding_to_fee,
        };
        terms.checked().map_err(|why| format!("pool: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_coin_pays_by_itself_and_another_waits_for_approvals() {
        let of = |coin| Pool {
            coin,
            ..Pool::default()
        };
        let production = PayoutTerms {
            auto_pay_limit: 0,
            payout_depth: 6,
            payout_final_depth: 12,
            writeoff_ms: 7_776_000_000,
            rounding_to_fee: false,
        };
        let test = PayoutTerms {
            auto_pay_limit: 1 << 80,
            payout_depth: 2,
            payout_final_depth: 4,
            ..production
        };
        for (coin, terms) in [
            (None, test),
            (Some(Preset::Dev), test),
            (Some(Preset::BitcoinRegtest), test),
            (Some(Preset::LitecoinRegtest), test),
            (Some(Preset::EthashTest), test),
            (Some(Preset::VeriumTest), test),
            (Some(Preset::Bitcoin), production),
            (Some(Preset::Litecoin), production),
            (Some(Preset::EthereumClassic), production),
        ] {
            assert_eq!(of(coin).payouts(), Ok(terms), "{coin:?}");
        }
        let said = Pool {
            auto_pay_limit: Some("340282366920938463463374607431768211455".to_owned()),
            payout_depth: Some(7),
            payout_final_depth: Some(9),
            writeoff_ms: 5,
            rounding_to_fee: true,
            ..of(Some(Preset::Bitcoin))
        };
        let terms = PayoutTerms {
            auto_pay_limit: u128::MAX,
            payout_depth: 7,
            payout_final_depth: 9,
            writeoff_ms: 5,
            rounding_to_fee: true,
        };
        assert_eq!(said.payouts(), Ok(terms));
    }
}
