//! How full the spool is, and what follows: an alarm first, then no new sessions, and only at the end no shares. Each begins at
//! one part of the room and ends at a lower one, so that a spool that stays at the line says it once.

/// Percent of the spool's room at which the alarm begins.
pub const ALARM_FROM_PERCENT: u8 = 80;
/// Percent below which it ends.
const ALARM_UNTIL_PERCENT: u8 = 70;
/// Percent at which new sessions are refused: what is left is for those who are here.
pub const NEWCOMERS_UNTIL_PERCENT: u8 = 90;
/// Percent below which they are let in again.
const NEWCOMERS_FROM_PERCENT: u8 = 80;

/// What follows from how full the spool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Somebody should look.
    pub(crate) is_alarmed: bool,
    /// New sessions are refused.
    pub(crate) is_shut_to_newcomers: bool,
}

impl Room {
    /// What follows from `percent` after what stood before.
    #[must_use]
    pub(crate) const fn at(self, percent: u8) -> Self {
        Self {
            is_alarmed: holds(
                self.is_alarmed,
                percent,
                (ALARM_FROM_PERCENT, ALARM_UNTIL_PERCENT),
            ),
            is_shut_to_newcomers: holds(
                self.is_shut_to_newcomers,
                percent,
                (NEWCOMERS_UNTIL_PERCENT, NEWCOMERS_FROM_PERCENT),
            ),
        }
    }
}

const fn holds(before: bool, percent: u8, (begins, ends): (u8, u8)) -> bool {
    begins <= percent || before && ends <= percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_comes_before_newcomers_are_refused_and_both_end_lower_than_they_began() {
        let mut room = Room::default();
        for (percent, alarmed, shut) in [
            (0, false, false),
            (79, false, false),
            (80, true, false),
            (75, true, false),
            (70, true, false),
            (69, false, false),
            (79, false, false),
            (89, true, false),
            (90, true, true),
            (80, true, true),
            (79, true, false),
            (89, true, false),
            (100, true, true),
            (0, false, false),
        ] {
            room = room.at(percent);
            let found = (room.is_alarmed, room.is_shut_to_newcomers);
            assert_eq!(found, (alarmed, shut), "{percent} %");
        }
    }
}
