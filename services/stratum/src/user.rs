//! Who a miner says he is: user name, password options, agent.

use orebook_schema::WorkerName;

use crate::DifficultyText;

/// A user name, split: `LOGIN`, `LOGIN.WORKER`, `LOGIN+WORKER` or `LOGIN/WORKER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName {
    /// Payout address or registered name, as written, 1 to 128 of `A-Z a-z 0-9 _ : -`; whether it is one is the gateway's to
    /// find out.
    pub login: Box<str>,
    /// The rig's name, `default` if none was given.
    pub worker: WorkerName,
}

impl UserName {
    /// Most bytes of a whole user name; a longer one is refused.
    pub const BYTES_MAX: usize = 128;
    /// A rig's name if none is given.
    pub const DEFAULT_WORKER: &'static str = "default";

    /// Splits at the first `.`, without one at the first `+` or `/`. `None` if the login is empty, the worker's name is longer
    /// than 64, or a character is outside what both may have; an empty worker's name is the default one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if Self::BYTES_MAX < text.len() {
            return None;
        }
        let (login, worker) = text
            .split_once('.')
            .or_else(|| text.split_once(['+', '/']))
            .unwrap_or((text, ""));
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
        if login.is_empty() || !login.bytes().all(legal) {
            return None;
        }
        let worker = if worker.is_empty() {
            Self::DEFAULT_WORKER
        } else {
            worker
        };
        Some(Self {
            login: login.into(),
            worker: WorkerName::parse(worker)?,
        })
    }
}

/// What a password asks for. Unknown keys and values that make no sense are ignored; nothing else of a password is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordOptions {
    /// `d` or `diff`: the difficulty to start with.
    pub difficulty: Option<DifficultyText>,
    /// `md` or `mindiff`: the least difficulty.
    pub difficulty_min: Option<DifficultyText>,
    /// `c` or `coin`: 1 to 16 of `A-Z a-z 0-9 -`, lower-cased.
    pub coin: Option<Box<str>>,
    /// `m=solo`: shares to the solo pot.
    pub solo: bool,
    /// `id` or `worker`: the rig's name.
    pub worker: Option<WorkerName>,
}

impl PasswordOptions {
    /// Most bytes of a password that are read for options; a longer one has none.
    pub const BYTES_MAX: usize = 256;

    /// Reads `k=v` pairs between commas or semicolons; of a repeated key the last one with a meaning counts.
    #[must_use]
    pub fn parse(password: &str) -> Self {
        let mut options = Self::default();
        if Self::BYTES_MAX < password.len() {
            return options;
        }
        for pair in password.split([',', ';']) {
            let Some((key, value)) = pair.split_once('=') else {
                continue;
            };
            options.take(key.trim(), value.trim());
        }
        options
    }

    fn take(&mut self, key: &str, value: &str) {
        match key.to_ascii_lowercase().as_str() {
            "d" | "diff" => {
                self.difficulty = DifficultyText::parse(value).or(self.difficulty.take())
            }
            "md" | "mindiff" => {
                self.difficulty_min = DifficultyText::parse(value).or(self.difficulty_min.take());
            }
            "c" | "coin" => self.coin = coin(value).or(self.coin.take()),
            "m" => self.solo = value.eq_ignore_ascii_case("solo"),
            "id" | "worker" => self.worker = WorkerName::parse(value).or(self.worker.take()),
            _ => {}
        }
    }
}

fn coin(text: &str) -> Option<Box<str>> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    ((1..=16).contains(&text.len()) && text.bytes().all(legal))
        .then(|| text.to_ascii_lowercase().into())
}

/// What software a miner says it runs: at most 64 characters of printable ASCII; others are shown as `?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent(Box<str>);

impl Agent {
    /// Most characters kept; the rest is cut off.
    pub const CHARS_MAX: usize = 64;

    /// Makes any text harmless.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let shown = |c: char| match c {
            ' '..='~' => c,
            _ => '?',
        };
        Self(text.chars().take(Self::CHARS_MAX).map(shown).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
