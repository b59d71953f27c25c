//! Tests of rollouts with the database. Updates do not reach AWS: the tests end the operations themselves.

pub(crate) mod fixture;
mod members;
mod requests;
mod scale;
mod waves;
