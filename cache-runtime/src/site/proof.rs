//! What has been seen of how a function's values come back from their own bytes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use crate::returns::Form;

/// So many calls with different arguments have to lose their values, before any value has come back,
/// until a function is not cached any more.
const LOST: u32 = 16;

#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The form from which the last one came back.
    form: AtomicU8,
    any: AtomicBool,
    /// A bit for each of those whose value was lost, by their arguments.
    lost: AtomicU64,
}

impl Proof {
    /// The form to begin with.
    pub(crate) fn form(&self) -> Form {
        Form::of(self.form.load(Ordering::Relaxed)).unwrap_or_default()
    }

    pub(crate) fn came_back(&self, form: Form) {
        self.form.store(form.bits(), Ordering::Relaxed);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Notes a value that does not come back; true where the function's type seems never to do so. One
    /// call that is made again and again says nothing about others.
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
