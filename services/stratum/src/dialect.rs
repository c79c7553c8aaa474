//! Dialects: their names, sets of them, and what a connection's first bytes say.

/// How a miner and a pool may talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// Stratum V1: sha256d and scrypt.
    StratumV1,
    /// eth-proxy: `eth_submitLogin`, work as node calls give it, pushed.
    EthProxy,
    /// EthereumStratum/1.0.0, NiceHash's: Stratum V1's methods, a prefix of the nonce.
    NiceHash,
    /// EthereumStratum/2.0.0 (EIP-1571).
    EthereumStratum2,
    /// ethminer's mode 0, as coinotron had it: Stratum V1's methods, work as in eth-proxy.
    Legacy,
    /// A node's calls over HTTP, polled.
    GetWork,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 6] = [
        Self::StratumV1,
        Self::EthProxy,
        Self::NiceHash,
        Self::EthereumStratum2,
        Self::Legacy,
        Self::GetWork,
    ];

    /// Lower-case name for configuration, metrics and counts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StratumV1 => "stratum",
            Self::EthProxy => "eth-proxy",
            Self::NiceHash => "nicehash",
            Self::EthereumStratum2 => "ethereum-stratum-2",
            Self::Legacy => "ethminer-legacy",
            Self::GetWork => "getwork",
        }
    }

    /// The dialect of a [`name`](Self::name).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of dialects: what a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// None.
    pub const NONE: Self = Self(0);
    /// Stratum V1 alone.
    pub const STRATUM_V1: Self = Self::NONE.with(Dialect::StratumV1);
    /// Every one that ethash and etchash are mined with.
    pub const ETHASH: Self = Self::NONE
        .with(Dialect::EthProxy)
        .with(Dialect::NiceHash)
        .with(Dialect::EthereumStratum2)
        .with(Dialect::Legacy)
        .with(Dialect::GetWork);
    /// All.
    pub const ALL: Self = Self::ETHASH.with(Dialect::StratumV1);

    /// The set and one more.
    #[must_use]
    pub const fn with(self, dialect: Dialect) -> Self {
        Self(self.0 | dialect.bit())
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, dialect: Dialect) -> bool {
        self.0 & dialect.bit() != 0
    }
}

impl FromIterator<Dialect> for Dialects {
    fn from_iter<I: IntoIterator<Item = Dialect>>(dialects: I) -> Self {
        dialects.into_iter().fold(Self::NONE, Self::with)
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Not enough of them: blanks only, or the beginning of an HTTP method.
    More,
    /// Lines; the first method decides which dialect.
    Lines,
    /// An HTTP request.
    Http,
    /// A TLS hello.
    Tls,
}

/// First byte of a TLS handshake record (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// How HTTP requests begin (RFC 9110, 9.3), whichever we answer.
const HTTP_METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

/// Looks at the first bytes of a connection, behind a PROXY header if there is one. Blanks before them do not count, but for
/// TLS. At most eight bytes wait for more: no line of any dialect begins as an HTTP method does.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Recognised {
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Recognised::Tls;
    }
    let bytes = bytes.trim_ascii_start();
    if bytes.is_empty() || HTTP_METHODS.iter().any(|method| is_part(method, bytes)) {
        Recognised::More
    } else if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) {
        Recognised::Http
    } else {
        Recognised::Lines
    }
}

/// Whether the bytes are a beginning of the method, and not all of it.
fn is_part(method: &[u8], bytes: &[u8]) -> bool {
    bytes.len() < method.len() && method.starts_with(bytes)
}
