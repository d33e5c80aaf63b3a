//! Which calls are being computed on this thread lease now, innermost last; and which computations
//! of a cache wait for which others.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// By the call that is being computed: those whose computation it waits for, one for each wait.
#[derive(Default)]
pub(crate) struct WaitGraph(Mutex<HashMap<CallId, Vec<CallId>>>);

/// One wait, for as long as it lasts.
pub(crate) struct Wait {
    all: Arc<WaitGraph>,
    computing: Vec<CallId>,
    on: CallId,
}

impl WaitGraph {
    /// Notes that what is being computed here waits for the computation of `on`; `None` where that
    /// waits for this, by however many others: to wait would be to wait for ever.
    pub(crate) fn enter(self: &Arc<Self>, on: CallId) -> Option<Wait> {
        let mut computing = Vec::new();
        if DEPTH.get() > 0 {
            COMPUTING.with_borrow(|calls| computing.extend(calls.iter().map(|(id, _)| *id)));
            let mut edges = self.edges();
            if reaches(&edges, on, &computing) {
                return None;
            }
            for call in &computing {
                edges.entry(*call).or_default().push(on);
            }
        }
        Some(Wait { all: self.clone(), computing, on })
    }

    fn edges(&self) -> MutexGuard<'_, HashMap<CallId, Vec<CallId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reaches(edges: &HashMap<CallId, Vec<CallId>>, from: CallId, to: &[CallId]) -> bool {
    let (mut next, mut seen) = (vec![from], vec![from]);
    while let Some(call) = next.pop() {
        for on in edges.get(&call).into_iter().flatten() {
            if to.contains(on) {
                return true;
            }
            if !seen.contains(on) {
                seen.push(*on);
                next.push(*on);
            }
        }
    }
    false
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.computing.is_empty() {
            return;
        }
        let mut edges = self.all.edges();
        for call in &self.computing {
            let Some(waits) = edges.get_mut(call) else { continue };
            if let Some(place) = waits.iter().position(|on| *on == self.on) {
                waits.swap_remove(place);
            }
            if waits.is_empty() {
                edges.remove(call);
            }
        }
    }
}
