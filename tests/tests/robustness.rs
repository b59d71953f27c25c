//! Tests of crashes, lost connections, concurrency and load.

mod aws_access;
mod crash;
mod failover;
mod feed;
mod fleet;
mod journal_writes;
mod random_faults;
mod shutdown;
mod workers;
