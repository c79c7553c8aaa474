//! The log: frames, admission, finality, segments, spool, publisher, reader.
//!
//! Normative page: `schema/LEDGER-FORMAT.md`. This crate touches files only through [`disk::Disk`] and logs only through
//! [`log::Log`]; it knows no clock, thread, runtime or random source: times and randomness are arguments.
//!
//! Reading order: [`tree`], [`sign`], [`authority`], [`credit`], [`admit`], [`build`] (pure), [`disk`], [`segment`], [`spool`]
//! (files), [`log`], [`reader`], [`publisher`], [`archiver`] (the walk of a frame), [`republish`]; beside them [`activity`].

pub mod tree;

pub mod sign;

pub mod authority;

pub mod credit;

pub mod admit;

pub mod build;

pub mod disk;

pub mod segment;

pub mod spool;

pub mod log;

pub mod reader;

pub mod publisher;

pub mod archiver;

pub mod republish;

pub mod activity;
