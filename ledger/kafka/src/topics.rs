//! What topics are called.

use orebook_schema::LedgerId;

/// Between a ledger's name and an incarnation's number.
const INCARNATION: &str = "ledger-";
/// The topic that keeps the opening records of trimmed incarnations.
const OPENINGS: &str = "openings";
/// The topic of the activity log.
const ACTIVITY: &str = "activity";

/// The topics of one ledger: `PREFIX.COIN.LEDGER.ledger-N`, where COIN is the SLIP-44 number in decimal, LEDGER the uuid
/// with hyphens, and N the incarnation in decimal without leading zeros; `PREFIX.COIN.LEDGER.openings`; and `PREFIX.COIN.LEDGER.activity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    stem: String,
}

impl Topics {
    /// Of a ledger of a coin (SLIP-44). The prefix was checked by [`crate::KafkaConfig::check`].
    #[must_use]
    pub fn new(prefix: &str, coin: u32, ledger: LedgerId) -> Self {
        Self {
            stem: format!("{prefix}.{coin}.{ledger}."),
        }
    }

    /// The topic of an incarnation.
    #[must_use]
    pub fn incarnation(&self, number: u32) -> String {
        format!("{}{INCARNATION}{number}", self.stem)
    }

    /// The topic of the opening records that outlive a trimmed incarnation's beginning.
    #[must_use]
    pub fn openings(&self) -> String {
        format!("{}{OPENINGS}", self.stem)
    }

    /// The topic of the activity log.
    #[must_use]
    pub fn activity(&self) -> String {
        format!("{}{ACTIVITY}", self.stem)
    }

    /// Which incarnation a topic of this name is; none if it is another's or spelled otherwise.
    #[must_use]
    pub fn number(&self, topic: &str) -> Option<u32> {
        let digits = topic.strip_prefix(&self.stem)?.strip_prefix(INCARNATION)?;
        let number: u32 = digits.parse().ok()?;
        // The largest number means "none" in a reader's anchor.
        (number.to_string() == digits && number < u32::MAX).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_coin_ledger_and_number_in_one_spelling() {
        let topics = Topics::new("orebook", 2, LedgerId([0x11; 16]));
        let stem = "orebook.2.11111111-1111-1111-1111-111111111111.";
        assert_eq!(topics.incarnation(7), format!("{stem}ledger-7"));
        assert_eq!(topics.number(&topics.incarnation(7)), Some(7));
        assert_eq!(topics.number(&topics.openings()), None);
        assert_eq!(topics.activity(), format!("{stem}activity"));
        assert_eq!(topics.number(&topics.activity()), None);
        for odd in [
            "ledger-07",
            "ledger-+7",
            "ledger-",
            "ledger-4294967295",
            "ledger-7x",
            "7",
        ] {
            assert_eq!(topics.number(&format!("{stem}{odd}")), None, "{odd}");
        }
        let other = Topics::new("orebook", 2, LedgerId([0x12; 16]));
        assert_eq!(topics.number(&other.incarnation(7)), None);
    }
}
