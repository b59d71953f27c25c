//! What the tests share: a database each, and a whole Freehold around a simulated organisation whose clock they move.

#![allow(clippy::missing_panics_doc, clippy::expect_used, clippy::unwrap_used, reason = "this is for tests")]

pub mod bad_luck;
pub mod crash;
pub mod database;
pub mod feed_load;
pub mod fixture;
pub mod fleet;
pub mod hooks;
pub mod journal_wire;
pub mod mishap;
pub mod picture;
pub mod receiver;
pub mod scenarios;
pub mod served;
pub mod signup;
pub mod tokens;
pub mod verdict;
