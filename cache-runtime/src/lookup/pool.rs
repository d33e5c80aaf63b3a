//! Where a lookup lives while it goes on.
//!
//! Apart from the call's future, which every caller of a cached function carries. What has room for
//! a lookup is used again by the next call of the thread: threads that free each other's memory
//! fight for malloc's locks, and of this size it has only a few at hand without them.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::Lookup;

/// Places that a thread keeps for the next calls.
const SPARE: usize = 64;

const TAKEN: &str = "a lookup is taken out by whoever takes its place";

type Place = Box<Option<Lookup>>;

thread_local! {
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// A lookup in a place of its own.
pub(crate) struct PooledLookup(Option<Place>);

impl PooledLookup {
    pub(crate) fn new(lookup: Lookup) -> Self {
        let spare = PLACES.try_with(|places| places.borrow_mut().pop()).ok().flatten();
        let mut place = spare.unwrap_or_default();
        *place = Some(lookup);
        Self(Some(place))
    }

    pub(crate) fn into_inner(mut self) -> Lookup {
        let mut place = self.0.take().expect(TAKEN);
        let lookup = place.take().expect(TAKEN);
        spare(place);
        lookup
    }
}

fn spare(place: Place) {
    let _ = PLACES.try_with(|places| {
        let mut places = places.borrow_mut();
        if places.len() < SPARE {
            places.push(place);
        }
    });
}

impl Deref for PooledLookup {
    type Target = Lookup;

    fn deref(&self) -> &Lookup {
        self.0.as_ref().and_then(|place| place.as_ref().as_ref()).expect(TAKEN)
    }
}

impl DerefMut for PooledLookup {
    fn deref_mut(&mut self) -> &mut Lookup {
        self.0.as_mut().and_then(|place| place.as_mut().as_mut()).expect(TAKEN)
    }
}

impl Drop for PooledLookup {
    fn drop(&mut self) {
        if let Some(mut place) = self.0.take() {
            // What is dropped with it may call a cached function: not while the places are borrowed.
            *place = None;
            spare(place);
        }
    }
}
