//! The projector: a feed that gives final positions to the folds, the API over their rows, the page, metrics.
//!
//! It knows no RocksDB: whoever starts it passes a store for each fold ([`Member`]), in memory or on disk. Figures are
//! computed by `orebook-replay` alone; this crate reads rows at one position and writes them as JSON (`docs/api.md`).
//!
//! Reading order: [`folds()`], [`Projector`], [`Books`], [`router`], [`Server`], [`Metrics`]; apart from them [`Activity`].

mod activity;

mod api;

mod assets;

mod books;

mod feed;

mod folds;

mod metrics;

mod moment;

mod server;

pub use self::activity::{
    Activity, ActivityReader, GATEWAYS_MAX, HOURS, MayBegin, MaySay, NETWORKS_MAX, REJECTED_MAX,
    WORKERS_MAX,
};
pub use self::api::{
    Accounts, ApiConfig, MirrorSays, ParseAccount, QUESTIONS_MAX, Refusal, Says, ShowAccount,
    Verify, router,
};
pub use self::assets::{ASSETS, Asset};
pub use self::books::{Books, Heads, NotNow, Point, Tip};
pub use self::feed::{Fatal, Member, Projector};
pub use self::folds::folds;
pub use self::metrics::{METRICS_TYPE, Metrics, SOURCE_BYTES_MAX, Source, Summary};
pub use self::server::{
    CONNECTION_LIFE, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, Server,
};
