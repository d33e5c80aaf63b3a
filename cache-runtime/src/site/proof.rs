//! How a function's values have fared so far at being decoded from their own bytes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::returns::Form;

/// A function is not cached any more once calls with this many different arguments have returned values
/// that do not decode, and no value has.
const LOST: u32 = 16;

/// Hints, by function. Accesses are relaxed: no other memory depends on them.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The form from which the last value was decoded.
    form: AtomicU8,
    /// Whether any value was decoded.
    any: AtomicBool,
    /// One bit of 64 for the arguments of each call whose value was lost.
    lost: AtomicU64,
}

impl Proof {
    /// The form that the next value is tried in first.
    pub(crate) fn form(&self) -> Form {
        Form::of(self.form.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Notes a value that was decoded from its bytes.
    pub(crate) fn came_back(&self, form: Form) {
        self.form.store(form.bits(), Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Notes a value that does not decode to itself. True where it seems that none of the function's values
    /// does: one call that is made again and again says nothing about calls with other arguments.
    pub(crate) fn lost(&self, arguments: u64) -> bool {
        let bit = 1 << (arguments % 64);
        let lost = self.lost.fetch_or(bit, Ordering::Relaxed) | bit;
        !self.any.load(Ordering::Relaxed) && lost.count_ones() >= LOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_given_up_after_many_different_calls_and_none_that_came_back() {
        let proof = Proof::default();
        for _ in 0..100 {
            assert!(!proof.lost(7));
        }
        for arguments in 100..100 + u64::from(LOST) - 2 {
            assert!(!proof.lost(arguments));
        }
        assert!(proof.lost(200));
        proof.came_back(Form::default());
        assert!(!proof.lost(201));
    }

    #[test]
    fn the_last_form_that_worked_is_tried_first() {
        let proof = Proof::default();
        assert_eq!(proof.form(), Form::default());
        let form = Form::of(2).unwrap();
        proof.came_back(form);
        assert_eq!(proof.form(), form);
    }
}
