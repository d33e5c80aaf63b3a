//! Random walks, for cases that are too large to exhaust.

use std::time::{Duration, Instant};

use super::{Found, waits_for_ever};
use crate::case::Case;
use crate::check::Violation;
use crate::state::State;
use crate::step;

impl Case {
    /// Walks at random, again and again, for that long. No proof, but it goes deep.
    #[must_use]
    pub fn walk(&self, time: Duration) -> Found {
        let began = Instant::now();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut found = Found { exhausted: false, ..Found::nothing() };
        while found.broken.is_none() && began.elapsed() < time {
            self.walk_once(&mut random, &mut found);
        }
        found.took = began.elapsed();
        found
    }

    fn walk_once(&self, random: &mut u64, found: &mut Found) {
        let mut state = State::first(self);
        let mut choices = Vec::new();
        // Long enough for every walk that does not go in circles.
        while choices.len() < 400 {
            let mut moves = step::moves(self, &state, false);
            if waits_for_ever(&state, &moves) {
                found.broken = Some((Violation::WaitsForEver, self.tell(&choices)));
            }
            if moves.is_empty() || found.broken.is_some() {
                break;
            }
            let choice = (xorshift(random) % moves.len() as u64) as usize;
            choices.push(choice);
            let next = moves.swap_remove(choice);
            if let Some(violation) = next.violation {
                found.broken = Some((violation, self.tell(&choices)));
                break;
            }
            state = next.state;
        }
        found.states += choices.len();
        found.depth = found.depth.max(choices.len());
    }

    fn tell(&self, choices: &[usize]) -> Vec<String> {
        let mut state = State::first(self);
        let step = |&choice: &usize| {
            let taken = step::moves(self, &state, true).swap_remove(choice);
            state = taken.state;
            taken.words
        };
        choices.iter().map(step).collect()
    }
}

/// Marsaglia's generator: the same walks every time.
fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 11
}
