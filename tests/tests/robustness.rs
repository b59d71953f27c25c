//! Tests of crashes, lost connections, concurrency and load.

mod aws_access;
mod crash;
mod failover;
mod feed;
mod fleet;
mod followers;
mod journal_writes;
mod limits;
mod random_faults;
mod region_writes;
mod shutdown;
mod workers;
