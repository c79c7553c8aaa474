//! The folds. `money` decides; the others show, and nobody is paid by them.

mod kept;

pub mod money;

pub mod blocks;

pub mod control;

pub mod hashrate;

pub mod obeyed;

pub mod rounds;

pub mod workers;
