//! Tests of rollouts with the database, in which the tests end the updates themselves, and with real workers in the
//! simulated AWS.

mod failures;
pub(crate) mod fixture;
mod fleet;
mod members;
mod requests;
mod scale;
mod walks;
mod waves;
