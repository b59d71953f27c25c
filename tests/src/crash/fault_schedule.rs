//! Random but reproducible schedule of faults: the same seed gives the same faults.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::infrastructure::StopMode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessFault {
    /// Kills a process.
    Kill {
        /// Index of the process: 0 is the API process, higher numbers are worker processes.
        index: usize,
        /// Time from the kill until the process is restarted.
        downtime: Duration,
    },
    /// Terminates all connections to the database.
    DropConnections,
    RestartDatabase(StopMode),
}

/// Returns the faults of a run in their order, each with the pause before the fault.
pub(super) fn schedule(seed: u64, kills: usize, workers: usize) -> Vec<(Duration, ProcessFault)> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut faults = Vec::new();
    for kill in 0..kills {
        // One kill in four hits the API.
        let index = if rng.random_bool(0.25) { 0 } else { rng.random_range(1..=workers) };
        let downtime = Duration::from_millis(rng.random_range(0..=900));
        faults.push((pause(&mut rng), ProcessFault::Kill { index, downtime }));
        // One kill in eight is followed by a drop of all connections, one in twenty by a restart of PostgreSQL.
        if kill % 8 == 3 {
            faults.push((pause(&mut rng), ProcessFault::DropConnections));
        }
        if kill % 20 == 7 {
            let stop = if rng.random_bool(0.5) { StopMode::Fast } else { StopMode::Immediate };
            faults.push((pause(&mut rng), ProcessFault::RestartDatabase(stop)));
        }
    }
    faults
}

fn pause(rng: &mut StdRng) -> Duration {
    Duration::from_millis(rng.random_range(50..=1_200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(schedule(7, 20, 3), schedule(7, 20, 3));
        assert_ne!(schedule(7, 20, 3), schedule(8, 20, 3));
        assert!(schedule(7, 20, 3).iter().any(|(_, fault)| matches!(fault, ProcessFault::RestartDatabase(_))));
    }
}
