//! The memory of a lookup: a box beside the call's future, which would otherwise have room for it in every
//! caller of a cached function.
//!
//! A thread reuses the boxes of its finished lookups, so that a hit over Redis allocates for its answer alone
//! (`peers hit` in `benches/` counts the allocations).

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::Lookup;

/// How many unused boxes a thread keeps.
const SPARE: usize = 64;

const TAKEN: &str = "a pooled lookup is in its box until it is taken out";

type Slot = Box<Option<Lookup>>;

thread_local! {
    static SPARES: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

/// A lookup in a box of its thread's pool.
pub(crate) struct PooledLookup(Option<Slot>);

impl PooledLookup {
    pub(crate) fn new(lookup: Lookup) -> Self {
        let spare = SPARES.try_with(|spares| spares.borrow_mut().pop()).ok().flatten();
        let mut slot = spare.unwrap_or_default();
        *slot = Some(lookup);
        Self(Some(slot))
    }

    pub(crate) fn into_inner(mut self) -> Lookup {
        let mut slot = self.0.take().expect(TAKEN);
        let lookup = slot.take().expect(TAKEN);
        reuse(slot);
        lookup
    }
}

/// Keeps the empty box for the thread's next lookup. Fails silently while the thread ends.
fn reuse(slot: Slot) {
    let _ = SPARES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < SPARE {
            spares.push(slot);
        }
    });
}

impl Deref for PooledLookup {
    type Target = Lookup;

    fn deref(&self) -> &Lookup {
        self.0.as_ref().and_then(|slot| slot.as_ref().as_ref()).expect(TAKEN)
    }
}

impl DerefMut for PooledLookup {
    fn deref_mut(&mut self) -> &mut Lookup {
        self.0.as_mut().and_then(|slot| slot.as_mut().as_mut()).expect(TAKEN)
    }
}

impl Drop for PooledLookup {
    fn drop(&mut self) {
        if let Some(mut slot) = self.0.take() {
            // Before the pool is borrowed: the lookup's drop may run code that calls a cached function.
            *slot = None;
            reuse(slot);
        }
    }
}
