//! Breadth-first search of everything that can happen.

mod fingerprint;
mod walk;

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::check::Violation;
use crate::state::State;
use crate::step::{self, Move};
use fingerprint::fingerprint;

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// How many states were seen.
    pub states: usize,
    /// How many steps the longest of the shortest ways to a state has.
    pub depth: usize,
    /// Whether there is nothing else to see.
    pub exhausted: bool,
    /// How long it took.
    pub took: Duration,
    /// The shortest way to break the promise, if there is one.
    pub broken: Option<(Violation, Vec<String>)>,
}

/// The way to a state: the state before it and the place of the step among all that were possible.
#[derive(Clone, Copy)]
struct Way {
    before: u32,
    step: u16,
}

impl Case {
    /// Searches until the promise is broken or there is nothing else to see.
    #[must_use]
    pub fn search(&self) -> Found {
        self.search_up_to(usize::MAX)
    }

    /// Searches, and gives up after that many states.
    #[must_use]
    pub fn search_up_to(&self, limit: usize) -> Found {
        let began = Instant::now();
        let first = State::first(self);
        // States are remembered by 128 bits of hash: two that collide would be taken for one,
        // which at 100 million states has a chance of 1 in 10^22.
        let mut seen = HashSet::<u128, BuildHasherDefault<Half>>::default();
        seen.insert(fingerprint(self, &first));
        let mut ways = vec![Way { before: u32::MAX, step: 0 }];
        let mut level = vec![(first, 0)];
        let mut found = Found::nothing();
        while !level.is_empty() && found.broken.is_none() && found.exhausted {
            let mut deeper = Vec::new();
            'level: for (state, at) in level {
                let moves = step::moves(self, &state, false);
                if waits_for_ever(&state, &moves) {
                    found.broken = Some((Violation::WaitsForEver, self.replay(&ways, at)));
                    break;
                }
                for (step, next) in moves.into_iter().enumerate() {
                    if !seen.insert(fingerprint(self, &next.state)) && next.violation.is_none() {
                        continue;
                    }
                    let here = ways.len() as u32;
                    ways.push(Way { before: at, step: step as u16 });
                    if let Some(violation) = next.violation {
                        found.broken = Some((violation, self.replay(&ways, here)));
                        break 'level;
                    }
                    deeper.push((next.state, here));
                }
                if ways.len() > limit {
                    found.exhausted = false;
                    break;
                }
            }
            level = deeper;
            found.depth += 1;
        }
        found.states = ways.len();
        found.took = began.elapsed();
        found
    }

    /// Takes the way to a state once more, this time in words.
    fn replay(&self, ways: &[Way], to: u32) -> Vec<String> {
        let mut steps = Vec::new();
        let mut at = ways[to as usize];
        while at.before != u32::MAX {
            steps.push(at.step);
            at = ways[at.before as usize];
        }
        let mut state = State::first(self);
        let step = |step: u16| {
            let taken = step::moves(self, &state, true).swap_remove(usize::from(step));
            state = taken.state;
            taken.words
        };
        steps.into_iter().rev().map(step).collect()
    }
}

/// Whether some call is not at its end, and nothing that is sure to happen moves anything.
fn waits_for_ever(state: &State, moves: &[Move]) -> bool {
    state.calls.iter().any(crate::state::Call::is_pending) && !moves.iter().any(|next| next.sure)
}

impl Found {
    fn nothing() -> Self {
        Self { states: 0, depth: 0, exhausted: true, took: Duration::ZERO, broken: None }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, depth, exhausted, took, broken } = self;
        let all = if *exhausted && broken.is_none() { "all " } else { "" };
        write!(f, "{all}{states} states to depth {depth} in {:.1} s", took.as_secs_f32())?;
        if let Some((violation, words)) = broken {
            write!(f, ": {violation}")?;
            for (number, words) in words.iter().enumerate() {
                write!(f, "\n  {:2}. {words}", number + 1)?;
            }
        }
        Ok(())
    }
}

/// Fingerprints are hashes already: half of one is enough to find its place.
#[derive(Default)]
struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are u128")
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}
