//! The calls whose functions are being polled on this thread right now, innermost last; and the graph of
//! runs that wait for other runs, in which a circle would be a deadlock.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::key::CallId;

thread_local! {
    /// The length of `COMPUTING`, which most calls find to be 0.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The calls, each with whether its output is to be stored.
    static COMPUTING: RefCell<Vec<(CallId, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a call among those being computed, for the length of one poll of its body.
pub(crate) struct Computing;

/// Begins a poll of the body of `call`; `stores` where its output is to be stored.
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

/// Whether this thread is inside the function of `call`: waiting for the call there would never end.
pub(crate) fn is_computing(call: CallId) -> bool {
    DEPTH.get() > 0
        && COMPUTING.with_borrow(|computing| computing.iter().any(|(id, _)| *id == call))
}

/// Whether this thread is inside a function whose output is to be stored. A stale value that is used there would
/// live on in that output for its whole TTL.
pub(crate) fn is_stored() -> bool {
    DEPTH.get() > 0
        && COMPUTING.with_borrow(|computing| computing.iter().any(|(_, stores)| *stores))
}

/// By a call that is being computed: the calls whose runs it waits for, once for each wait.
#[derive(Default)]
pub(crate) struct WaitGraph(Mutex<HashMap<CallId, Vec<CallId>>>);

/// One wait, in the graph until it is dropped.
pub(crate) struct Wait {
    graph: Arc<WaitGraph>,
    computing: Vec<CallId>,
    on: CallId,
}

impl WaitGraph {
    /// Adds the wait of this thread's calls for a run of `on`. `None` where `on` waits for one of them, directly or
    /// through other calls: the circle would be a deadlock.
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
        Some(Wait { graph: self.clone(), computing, on })
    }

    fn edges(&self) -> MutexGuard<'_, HashMap<CallId, Vec<CallId>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reaches(edges: &HashMap<CallId, Vec<CallId>>, from: CallId, to: &[CallId]) -> bool {
    let (mut next, mut visited) = (vec![from], vec![from]);
    while let Some(call) = next.pop() {
        for on in edges.get(&call).into_iter().flatten() {
            if to.contains(on) {
                return true;
            }
            if !visited.contains(on) {
                visited.push(*on);
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
        let mut edges = self.graph.edges();
        for call in &self.computing {
            let Some(waits) = edges.get_mut(call) else { continue };
            if let Some(index) = waits.iter().position(|on| *on == self.on) {
                waits.swap_remove(index);
            }
            if waits.is_empty() {
                edges.remove(call);
            }
        }
    }
}
