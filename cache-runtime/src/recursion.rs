//! Which calls are being computed on this thread right now, innermost last.

use std::cell::{Cell, RefCell};

use crate::key::CallId;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static COMPUTING: RefCell<Vec<(CallId, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Marks a call for the length of one poll of its body; `stores` where what it returns is stored.
pub(crate) struct Computing;

pub(crate) fn enter(call: CallId, stores: bool) -> Computing {
    DEPTH.set(DEPTH.get() + 1);
    COMPUTING.with_borrow_mut(|computing| computing.push((call, stores)));
    Computing
}

impl Drop for Computing {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        COMPUTING.with_borrow_mut(Vec::pop);
    }
}

/// Whether `call` is part of its own computation: to wait for it would be to wait for ever.
pub(crate) fn is_computing(call: CallId) -> bool {
    DEPTH.get() > 0
        && COMPUTING.with_borrow(|computing| computing.iter().any(|(id, _)| *id == call))
}

/// Whether what is computed here will be stored: an old value that is tolerated here would stay
/// for as long as the one that it goes into.
pub(crate) fn is_stored() -> bool {
    DEPTH.get() > 0
        && COMPUTING.with_borrow(|computing| computing.iter().any(|(_, stores)| *stores))
}
