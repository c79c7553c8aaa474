//! Mining programs as `/metrics` tells them apart: a closed set, so that no client can make a label.

use orebook_schema::activity::AgentText;

/// A program by what it says of itself ([`AgentText::family`], letters of either case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentFamily(u8);

/// Labels, in the order of their indices. The first is of who said nothing, the last of what is not in the table.
const NAMES: [&str; AgentFamily::COUNT] = [
    "none",
    "ethminer",
    "lolminer",
    "t-rex",
    "teamredminer",
    "cgminer",
    "bfgminer",
    "bmminer",
    "bosminer",
    "bitaxe",
    "nbminer",
    "cpuminer",
    "phoenixminer",
    "gminer",
    "srbminer",
    "xmrig",
    "xmrig-proxy",
    "orebook",
    "nicehash",
    "other",
];

/// Programs that go by another name than their family, or by several: how they begin, in lower case.
const ALSO: [(&str, &str); 9] = [
    ("cpuminer-", "cpuminer"),
    ("cpuminer_", "cpuminer"),
    ("srbminer-", "srbminer"),
    ("trex", "t-rex"),
    ("ethminer-", "ethminer"),
    ("cgminer-", "cgminer"),
    ("orebook-", "orebook"),
    ("bosminer-", "bosminer"),
    ("excavator", "nicehash"),
];

impl AgentFamily {
    /// How many there are.
    pub const COUNT: usize = 20;
    /// Of who said nothing.
    pub const NONE: Self = Self(0);

    /// The family of a program.
    #[must_use]
    pub fn of(agent: &AgentText) -> Self {
        let said = agent.family();
        if said.is_empty() {
            return Self::NONE;
        }
        let begins = |start: &str| {
            let head = said.get(..start.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        let also = ALSO.iter().find(|(start, _)| begins(start));
        let name = also.map_or(said, |(_, name)| *name);
        let known = NAMES
            .iter()
            .skip(1)
            .position(|known| known.eq_ignore_ascii_case(name));
        let index = known.map_or(Self::COUNT - 1, |place| place + 1);
        Self(u8::try_from(index).unwrap_or_default())
    }

    /// As a label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self.index()).copied().unwrap_or_default()
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn name_of(index: usize) -> &'static str {
        NAMES.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_name_whatever_its_version() {
        for (agent, family) in [
            ("", "none"),
            ("ethminer/0.19.0-18+commit.12345678", "ethminer"),
            ("ethminer-genoil/1.1.7", "ethminer"),
            ("lolMiner 1.88", "lolminer"),
            ("T-Rex/0.26.8", "t-rex"),
            ("trex/0.1", "t-rex"),
            ("TeamRedMiner/0.10.21", "teamredminer"),
            ("cgminer/4.12.0", "cgminer"),
            ("bfgminer/5.5.0", "bfgminer"),
            ("bmminer/2.0.0/Antminer S19", "bmminer"),
            ("NBMiner/42.3", "nbminer"),
            ("cpuminer/2.5.1", "cpuminer"),
            ("cpuminer-opt/3.23.1", "cpuminer"),
            ("PhoenixMiner/6.2c", "phoenixminer"),
            ("GMiner/3.44", "gminer"),
            ("SRBMiner-MULTI/2.6.1", "srbminer"),
            ("XMRig/6.21.0 (Linux x86_64)", "xmrig"),
            ("bosminer-plus-tuner/0.9", "bosminer"),
            ("ethminers/1", "other"),
            ("xgminer/1", "other"),
            ("/", "none"),
            ("????", "other"),
        ] {
            let found = AgentFamily::of(&AgentText::of(agent));
            assert_eq!(found.name(), family, "{agent}");
        }
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AgentFamily::COUNT);
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        assert!(names.iter().all(|name| name.bytes().all(legal)));
        let is_known = |(_, name): &(&str, &str)| NAMES.contains(name);
        assert!(ALSO.iter().all(is_known));
    }
}
