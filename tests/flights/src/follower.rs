//! Those who wait.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use shuttle::future::block_on;

use crate::books::{Holding, Ran};
use crate::clock;
use crate::entry::EntryId;
use crate::kinds::End;
use crate::leader::Leader;
use crate::runtime::flight::{Joined, Member};
use crate::schedule::pause;
use crate::world::World;

/// A member of a flight.
pub struct Follower {
    world: World,
    member: Member<Ran, Holding>,
    way: Way,
}

/// How a member got in, which says what it may get.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// The run begins after `since`.
    BeforeItBegins {
        since: u64,
    },
    /// The run is the one under the lease, or begins after `since`.
    ByLease {
        lease: EntryId,
        since: u64,
    },
    WhateverGoesOn,
}

impl Way {
    fn leads_to(self, ran: Ran) -> bool {
        match self {
            Self::BeforeItBegins { since } => ran.began > since,
            Self::ByLease { lease, since } => ran.lease == Some(lease) || ran.began > since,
            Self::WhateverGoesOn => true,
        }
    }
}

impl Follower {
    pub(crate) fn new(world: &World, member: Member<Ran, Holding>, way: Way) -> Self {
        Self { world: world.clone(), member, way }
    }

    /// Waits to be woken, and leads where that falls to it.
    pub fn waits(self) -> End {
        self.waits_or(Leader::goes_on)
    }

    /// Waits to be woken, and does as told where it is to lead.
    pub fn waits_or(mut self, leads: impl FnOnce(Leader) -> End) -> End {
        let joined = block_on(poll_fn(|cx| self.member.poll(cx, clock::millis())));
        self.came(joined, leads)
    }

    /// Looks again and again, always so much later that a leader may have stalled.
    pub fn looks_again(mut self, leads: impl FnOnce(Leader) -> End) -> End {
        let mut now = clock::millis();
        loop {
            if let Some(joined) = self.look(now) {
                return self.came(joined, leads);
            }
            now = self.world.time_passes();
            pause();
        }
    }

    /// Looks again and again, with wakers that enter the flights themselves.
    pub fn looks_with_nosy_wakers(mut self) -> End {
        loop {
            if let Some(joined) = self.look_nosily() {
                return self.came(joined, Leader::goes_on);
            }
            pause();
        }
    }

    /// Looks once with such a waker, and leaves.
    pub fn looks_with_a_nosy_waker_and_leaves(mut self) -> End {
        match self.look_nosily() {
            Some(joined) => self.came(joined, Leader::leaves),
            None => self.leaves(),
        }
    }

    /// Looks once, leaves, and hands on what it gets.
    pub fn looks_and_leaves(mut self) -> End {
        match self.look(clock::millis()) {
            Some(joined) => self.came(joined, Leader::leaves),
            None => self.leaves(),
        }
    }

    /// Is dropped.
    pub fn leaves(self) -> End {
        drop(self);
        End::Gone
    }

    fn look(&mut self, now: u64) -> Option<Joined<Ran, Holding>> {
        self.look_with(Waker::noop(), now)
    }

    fn look_nosily(&mut self) -> Option<Joined<Ran, Holding>> {
        let waker = Waker::from(Arc::new(Nosy(self.world.clone())));
        self.look_with(&waker, clock::millis())
    }

    fn look_with(&mut self, waker: &Waker, now: u64) -> Option<Joined<Ran, Holding>> {
        match self.member.poll(&Context::from_waker(waker), now) {
            Poll::Ready(joined) => Some(joined),
            Poll::Pending => None,
        }
    }

    fn came(self, joined: Joined<Ran, Holding>, leads: impl FnOnce(Leader) -> End) -> End {
        match joined {
            Joined::Shared(ran) => {
                let joined = !ran.overtaken && self.way.leads_to(ran);
                assert!(joined, "a payload of a run that was not to be joined");
                End::Shared
            }
            Joined::Alone => {
                self.world.books.is_sent_off();
                End::Alone
            }
            Joined::Again => End::Again,
            Joined::Promoted(lead) => {
                let leader = Leader::new(&self.world, lead);
                drop(self);
                leads(leader)
            }
        }
    }
}

/// Enters the flights, and leaves, when it is woken and when it is dropped.
struct Nosy(World);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        drop(self.0.enter_plain());
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        drop(self.0.enter_plain());
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").finish_non_exhaustive()
    }
}
