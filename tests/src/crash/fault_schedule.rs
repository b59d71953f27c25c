//! What befalls the processes under one seed, and when: all of it is known beforehand.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::infrastructure::Stop;

/// One blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// A process is killed, and started again after so long.
    Kill {
        /// Which: the API is 0, the workers follow.
        place: usize,
        /// How long it is gone.
        gone: Duration,
    },
    /// Every connection to the database is ended.
    DropConnections,
    /// PostgreSQL goes down and comes up again.
    Restart(Stop),
}

/// The blows of one run, each with the pause before it.
pub(super) fn schedule(seed: u64, kills: usize, workers: usize) -> Vec<(Duration, Kill)> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut blows = Vec::new();
    for kill in 0..kills {
        // One in four hits the API.
        let place = if dice.random_bool(0.25) { 0 } else { dice.random_range(1..=workers) };
        let gone = Duration::from_millis(dice.random_range(0..=900));
        blows.push((pause(&mut dice), Kill::Kill { place, gone }));
        // After one in eight the connections go as well, and after one in twenty PostgreSQL itself.
        if kill % 8 == 3 {
            blows.push((pause(&mut dice), Kill::DropConnections));
        }
        if kill % 20 == 7 {
            let stop = if dice.random_bool(0.5) { Stop::Fast } else { Stop::Immediate };
            blows.push((pause(&mut dice), Kill::Restart(stop)));
        }
    }
    blows
}

fn pause(dice: &mut StdRng) -> Duration {
    Duration::from_millis(dice.random_range(50..=1_200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_brings_the_same_blows() {
        assert_eq!(schedule(7, 20, 3), schedule(7, 20, 3));
        assert_ne!(schedule(7, 20, 3), schedule(8, 20, 3));
        assert!(schedule(7, 20, 3).iter().any(|(_, blow)| matches!(blow, Kill::Restart(_))));
    }
}
