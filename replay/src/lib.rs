//! What the log means: folds over final positions, the engine that drives them, digests of their rows, money.
//!
//! A fold is a pure state machine over admitted events: no clock, randomness, environment, IO or hash order. Its state is
//! typed [`rows`] behind a small trait, so that the same fold runs in memory (tests, demo, audit) and in RocksDB.
//! Money rules: `docs/rules.md`; decisions: the design's sections 4 to 6.
//!
//! Reading order: [`rows`], [`fold`], [`digest`], [`store`], [`engine`], [`folds`].

pub mod rows;

pub mod fold;

pub mod digest;

pub mod store;

pub mod engine;

pub mod folds;
