use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};

use proptest::prelude::*;

use super::*;

/// Lists the leases that were given up.
struct Given(Arc<Mutex<Vec<EntryId>>>);

impl Owner for Given {
    fn abandoned(&self, lease: EntryId) {
        self.0.lock().unwrap().push(lease);
    }
}

struct Bench {
    flights: Arc<Flights<u32, Given>>,
    given: Arc<Mutex<Vec<EntryId>>>,
    next: AtomicUsize,
}

const CALL: CallId = CallId([7; 32]);

impl Bench {
    fn new() -> Self {
        Self { flights: Flights::new(), given: Arc::default(), next: AtomicUsize::new(0) }
    }

    fn lease(&self) -> EntryId {
        let number = self.next.fetch_add(1, Ordering::SeqCst) as u128;
        EntryId(number.to_le_bytes())
    }

    fn enter(&self) -> Entered<u32, Given> {
        self.flights.enter(CALL, || Given(self.given.clone()))
    }

    fn lead(&self) -> Lead<u32, Given> {
        match self.enter() {
            Entered::Lead(lead) => lead,
            Entered::Member(_) => panic!("there is a flight to join"),
        }
    }

    fn member(&self) -> Member<u32, Given> {
        match self.enter() {
            Entered::Member(member) => member,
            Entered::Lead(_) => panic!("there is no flight to join"),
        }
    }

    fn plain(&self) -> Entered<u32, Given> {
        self.flights.enter_plain(CALL, || Given(self.given.clone()))
    }

    fn grant(&self, lead: &Lead<u32, Given>) -> EntryId {
        let lease = self.lease();
        self.flights.resolve(lead.flight(), Answer::Granted(lease));
        lease
    }

    fn given(&self) -> Vec<EntryId> {
        self.given.lock().unwrap().clone()
    }
}

fn poll(member: &mut Member<u32, Given>) -> Option<Joined<u32, Given>> {
    poll_at(member, crate::clock::millis())
}

fn poll_at(member: &mut Member<u32, Given>, now: u64) -> Option<Joined<u32, Given>> {
    match member.poll(&Context::from_waker(Waker::noop()), now) {
        Poll::Ready(joined) => Some(joined),
        Poll::Pending => None,
    }
}

fn terms(lead: &mut Lead<u32, Given>) -> Option<Terms> {
    match lead.poll_terms(&Context::from_waker(Waker::noop())) {
        Poll::Ready(terms) => Some(terms),
        Poll::Pending => None,
    }
}

fn promoted(joined: Option<Joined<u32, Given>>) -> Lead<u32, Given> {
    match joined {
        Some(Joined::Promoted(lead)) => lead,
        _ => panic!("not promoted"),
    }
}

#[test]
fn a_flight_is_joined_until_its_function_begins_and_then_by_its_lease_alone() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let mut member = bench.member();
    assert_eq!(terms(&mut lead), None);
    let lease = bench.grant(&lead);
    assert_eq!(terms(&mut lead), Some(Terms::Leased(lease)));
    // A call that has not read the lease requests one of its own, which will be refused.
    let late = bench.lead();
    assert!(bench.flights.with_lease(CALL, bench.lease()).is_none());
    let mut reader = bench.flights.with_lease(CALL, lease).expect("it holds that lease");
    assert_eq!(lead.finish(Ending::Shared(5)), Some(lease));
    for member in [&mut member, &mut reader] {
        assert!(matches!(poll(member), Some(Joined::Shared(5))));
    }
    let mut after = bench.flights.with_lease(CALL, lease).expect("until the write is answered");
    assert!(matches!(poll(&mut after), Some(Joined::Shared(5))));
    drop(late);
}

#[test]
fn a_lease_that_is_read_before_its_answer_was_handled_is_joined() {
    let bench = Bench::new();
    let lead = bench.lead();
    let lease = bench.lease();
    lead.flight().requests(lease);
    // Redis grants leases in the order of the lane, but threads handle its answers in any order.
    let mut reader = bench.flights.with_lease(CALL, lease).expect("it has requested that lease");
    assert!(bench.flights.with_lease(CALL, bench.lease()).is_none());
    bench.flights.resolve(lead.flight(), Answer::Granted(lease));
    assert_eq!(lead.finish(Ending::Shared(1)), Some(lease));
    assert!(matches!(poll(&mut reader), Some(Joined::Shared(1))));
}

#[test]
fn a_refused_lease_has_all_calls_read_again() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let mut member = bench.member();
    bench.flights.resolve(lead.flight(), Answer::Refused);
    assert_eq!(terms(&mut lead), Some(Terms::Dissolved));
    assert!(matches!(poll(&mut member), Some(Joined::Again)));
    lead.leave();
    assert_eq!(bench.flights.len(), 0);
}

#[test]
fn a_lease_of_unknown_outcome_cannot_be_joined_and_is_not_populated() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    bench.flights.resolve(lead.flight(), Answer::Unknown(Reason::Timeout));
    assert_eq!(terms(&mut lead), Some(Terms::Plain(Reason::Timeout)));
    drop(bench.lead());
    assert_eq!(lead.finish(Ending::Shared(1)), None);
}

#[test]
fn without_a_store_a_flight_is_joined_until_it_has_ended() {
    let bench = Bench::new();
    let lead = bench.lead();
    let lease = bench.grant(&lead);
    let Entered::Member(mut member) = bench.plain() else { panic!("it is going on") };
    lead.finish(Ending::Shared(1));
    assert!(matches!(poll(&mut member), Some(Joined::Shared(1))));
    assert!(bench.flights.with_lease(CALL, lease).is_some(), "it is still in the table");
    assert!(matches!(bench.plain(), Entered::Lead(_)));
}

#[test]
fn a_dropped_leader_is_followed_by_a_member_under_the_same_lease() {
    let bench = Bench::new();
    let lead = bench.lead();
    let (mut first, mut second) = (bench.member(), bench.member());
    let lease = bench.grant(&lead);
    drop(lead);
    let mut heir = promoted(poll(&mut first));
    drop(first);
    assert!(poll(&mut second).is_none(), "one is enough");
    assert_eq!(terms(&mut heir), Some(Terms::Leased(lease)));
    assert_eq!(heir.finish(Ending::Shared(2)), Some(lease));
    assert!(matches!(poll(&mut second), Some(Joined::Shared(2))));
    assert!(bench.given().is_empty());
}

#[test]
fn a_leader_dropped_before_the_answer_is_followed_too() {
    let bench = Bench::new();
    let lead = bench.lead();
    let flight = lead.flight().clone();
    let mut member = bench.member();
    drop(lead);
    let mut heir = promoted(poll(&mut member));
    assert_eq!(terms(&mut heir), None);
    let lease = bench.lease();
    bench.flights.resolve(&flight, Answer::Granted(lease));
    assert_eq!(terms(&mut heir), Some(Terms::Leased(lease)));
}

#[test]
fn the_last_to_leave_gives_the_lease_up_also_before_it_is_granted() {
    let bench = Bench::new();
    let lead = bench.lead();
    let lease = bench.grant(&lead);
    drop(lead);
    assert_eq!(bench.given(), [lease]);
    assert_eq!(bench.flights.len(), 0);

    let lead = bench.lead();
    let flight = lead.flight().clone();
    drop(lead);
    let lease = bench.lease();
    bench.flights.resolve(&flight, Answer::Granted(lease));
    assert_eq!(bench.given()[1..], [lease]);
    assert_eq!(bench.flights.len(), 0);
}

#[test]
fn a_leader_that_did_not_wait_for_the_answer_keeps_nothing() {
    let bench = Bench::new();
    let lead = bench.lead();
    let flight = lead.flight().clone();
    assert_eq!(lead.finish(Ending::Shared(1)), None);
    let lease = bench.lease();
    bench.flights.resolve(&flight, Answer::Granted(lease));
    assert_eq!(bench.given(), [lease]);
    assert_eq!(bench.flights.len(), 0);
}

#[test]
fn a_leader_that_is_woken_and_not_polled_is_overtaken_by_one() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let (mut first, mut second) = (bench.member(), bench.member());
    let lease = bench.grant(&lead);
    let mut waker = None;
    lead.poll_stamped(&Context::from_waker(Waker::noop()), |_, cx| {
        waker = Some(cx.waker().clone());
    });
    let later = crate::clock::millis() + 10_000;
    assert!(poll_at(&mut first, later).is_none(), "it was not woken: its function is slow");
    waker.unwrap().wake();
    assert!(poll(&mut first).is_none(), "it was woken just now");
    let heir = promoted(poll_at(&mut first, later));
    assert!(poll_at(&mut second, later).is_none(), "one is enough");
    assert_eq!(heir.finish(Ending::Shared(1)), Some(lease));
    assert!(matches!(poll(&mut second), Some(Joined::Shared(1))));
    // The one that was overtaken comes back: its result is its own.
    assert_eq!(lead.finish(Ending::Shared(2)), None);
}

/// The function panics while it is polled, which drops its leader.
fn panic_in(mut lead: Lead<u32, Given>) {
    catch_unwind(AssertUnwindSafe(|| {
        lead.poll_stamped(&Context::from_waker(Waker::noop()), |_, _| -> () {
            resume_unwind(Box::new("as asked"))
        });
        drop(lead);
    }))
    .unwrap_err();
}

#[test]
fn a_panic_hands_over_under_the_same_lease_and_the_last_of_three_sends_all_off() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let mut members = [(); 4].map(|()| bench.member());
    let lease = bench.grant(&lead);
    for member in &mut members[..2] {
        panic_in(lead);
        lead = promoted(poll(member));
        assert_eq!(terms(&mut lead), Some(Terms::Leased(lease)));
    }
    assert!(poll(&mut members[2]).is_none(), "one is enough");
    panic_in(lead);
    for member in &mut members[2..] {
        assert!(matches!(poll(member), Some(Joined::Alone)));
    }
    assert_eq!(bench.given(), [lease]);
    assert_eq!(bench.flights.len(), 0);
}

#[test]
fn a_leader_that_is_dropped_by_the_panic_of_a_sibling_hands_over_however_often() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let mut member = bench.member();
    let lease = bench.grant(&lead);
    for _ in 0..10 {
        let mut next = bench.flights.with_lease(CALL, lease).unwrap();
        catch_unwind(AssertUnwindSafe(|| {
            let _lead = lead;
            resume_unwind(Box::new("as asked"));
        }))
        .unwrap_err();
        lead = promoted(poll(&mut next));
    }
    assert_eq!(lead.finish(Ending::Shared(1)), Some(lease));
    assert!(matches!(poll(&mut member), Some(Joined::Shared(1))));
}

/// A waker that panics.
struct Rude;

impl Wake for Rude {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("as asked"));
    }
}

/// A waker that counts its uses.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waker_that_panics_neither_fails_the_leader_nor_keeps_others_asleep() {
    let bench = Bench::new();
    let lead = bench.lead();
    let counting = Arc::new(Counting::default());
    let members: Vec<_> = (0..20)
        .map(|number| {
            let mut member = bench.member();
            let rude = Waker::from(Arc::new(Rude));
            let waker = if number % 2 == 0 { rude } else { counting.clone().into() };
            assert!(member.poll(&Context::from_waker(&waker), 0).is_pending());
            member
        })
        .collect();
    bench.flights.resolve(lead.flight(), Answer::Unknown(Reason::Timeout));
    assert_eq!(lead.finish(Ending::Shared(1)), None);
    assert_eq!(counting.0.load(Ordering::SeqCst), 10);
    assert_eq!(bench.flights.len(), 0);
    drop(members);
}

#[test]
fn a_lease_that_is_granted_wakes_its_leader_alone() {
    let bench = Bench::new();
    for answer in [Answer::Granted(bench.lease()), Answer::Unknown(Reason::Timeout)] {
        let mut lead = bench.lead();
        let [leading, waiting] = [(); 2].map(|()| Arc::new(Counting::default()));
        let mut member = bench.member();
        let waker = waiting.clone().into();
        assert!(member.poll(&Context::from_waker(&waker), 0).is_pending());
        let waker = leading.clone().into();
        assert!(lead.poll_terms(&Context::from_waker(&waker)).is_pending());
        bench.flights.resolve(lead.flight(), answer);
        let woken = |waker: &Counting| waker.0.load(Ordering::SeqCst);
        assert_eq!((woken(&leading), woken(&waiting)), (1, 0));
        let flight = lead.flight().clone();
        lead.finish(Ending::Shared(1));
        assert_eq!(woken(&waiting), 1);
        bench.flights.remove(&flight);
    }
}

#[test]
fn a_leader_that_gave_up_waiting_for_the_answer_closes_the_flight_before_its_function_begins() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let flight = lead.flight().clone();
    bench.flights.resolve(&flight, Answer::Unknown(Reason::Timeout));
    assert_eq!(terms(&mut lead), Some(Terms::Plain(Reason::Timeout)));
    // The lease is granted after all, while the function runs: no call may join by it.
    let lease = bench.lease();
    bench.flights.resolve(&flight, Answer::Granted(lease));
    assert!(bench.flights.with_lease(CALL, lease).is_none());
    assert!(!flight.holds(lease));
    assert_eq!(bench.given(), [lease]);
    assert_eq!(lead.finish(Ending::Shared(1)), None);
}

#[test]
fn a_leader_that_was_overtaken_and_panics_leaves_the_flight_as_it_is() {
    let bench = Bench::new();
    let mut lead = bench.lead();
    let (mut first, mut second) = (bench.member(), bench.member());
    let lease = bench.grant(&lead);
    lead.poll_stamped(&Context::from_waker(Waker::noop()), |_, cx| cx.waker().wake_by_ref());
    let heir = promoted(poll_at(&mut first, crate::clock::millis() + 10_000));
    panic_in(lead);
    assert!(poll(&mut second).is_none());
    assert_eq!(heir.finish(Ending::Shared(3)), Some(lease));
    assert!(matches!(poll(&mut second), Some(Joined::Shared(3))));
}

#[test]
fn a_flight_that_was_joined_while_it_was_being_left_is_not_abandoned() {
    let bench = Bench::new();
    let lead = bench.lead();
    let lease = bench.grant(&lead);
    let mut reader = bench.flights.with_lease(CALL, lease).unwrap();
    // What the last party does once it has seen that it is the last.
    bench.flights.abandon(lead.flight());
    drop(lead);
    assert!(bench.given().is_empty());
    assert_eq!(promoted(poll(&mut reader)).finish(Ending::Shared(1)), Some(lease));
}

/// One step of a random schedule; a number chooses among the flights, leaders or members that there are.
#[derive(Debug, Clone)]
enum Move {
    Enter,
    EnterPlain,
    Resolve(usize, u8),
    JoinLease(usize),
    PollMember(usize, bool),
    DropMember(usize),
    DropLead(usize),
    PanicLead(usize),
    Finish(usize),
    WakeLead(usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    let one = 0..8usize;
    prop_oneof![
        4 => Just(Move::Enter),
        1 => Just(Move::EnterPlain),
        3 => (one.clone(), 0..3u8).prop_map(|(n, answer)| Move::Resolve(n, answer)),
        1 => one.clone().prop_map(Move::JoinLease),
        4 => (one.clone(), any::<bool>()).prop_map(|(n, late)| Move::PollMember(n, late)),
        1 => one.clone().prop_map(Move::DropMember),
        1 => one.clone().prop_map(Move::DropLead),
        1 => one.clone().prop_map(Move::PanicLead),
        2 => one.clone().prop_map(Move::Finish),
        1 => one.prop_map(Move::WakeLead),
    ]
}

fn pick<T>(from: &mut Vec<T>, number: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(number % from.len()))
}

proptest! {
    /// In any schedule, every lease that was granted is populated or given up exactly once; in the end no call
    /// waits, and the table is empty.
    #[test]
    fn every_lease_is_populated_or_given_up_once_and_no_call_is_left_waiting(
        moves in proptest::collection::vec(any_move(), 1..60)
    ) {
        let bench = Bench::new();
        let (mut leads, mut members) = (Vec::new(), Vec::new());
        let mut unanswered = Vec::new();
        let (mut granted, mut populated) = (Vec::new(), Vec::new());
        let finish = |lead: Lead<u32, Given>, populated: &mut Vec<EntryId>| {
            let flight = lead.flight().clone();
            if let Some(lease) = lead.finish(Ending::Shared(1)) {
                populated.push(lease);
                bench.flights.remove(&flight);
            }
        };
        for step in moves {
            match step {
                Move::Enter => match bench.enter() {
                    Entered::Lead(lead) => {
                        unanswered.push(lead.flight().clone());
                        leads.push(lead);
                    }
                    Entered::Member(member) => members.push(member),
                },
                Move::EnterPlain => match bench.plain() {
                    Entered::Lead(lead) => leads.push(lead),
                    Entered::Member(member) => members.push(member),
                },
                Move::Resolve(number, answer) => if let Some(flight) = pick(&mut unanswered, number) {
                    let lease = bench.lease();
                    bench.flights.resolve(&flight, match answer {
                        0 => Answer::Refused,
                        1 => Answer::Unknown(Reason::Timeout),
                        _ => { granted.push(lease); Answer::Granted(lease) }
                    });
                },
                Move::JoinLease(number) => if let Some(lease) = granted.get(number) {
                    members.extend(bench.flights.with_lease(CALL, *lease));
                },
                Move::PollMember(number, late) => if let Some(mut member) = pick(&mut members, number) {
                    let now = crate::clock::millis() + if late { 10_000 } else { 0 };
                    match poll_at(&mut member, now) {
                        None => members.push(member),
                        Some(Joined::Promoted(lead)) => leads.push(lead),
                        Some(_) => {}
                    }
                },
                Move::DropMember(number) => drop(pick(&mut members, number)),
                Move::DropLead(number) => drop(pick(&mut leads, number)),
                Move::PanicLead(number) => pick(&mut leads, number).into_iter().for_each(panic_in),
                Move::Finish(number) => if let Some(mut lead) = pick(&mut leads, number) {
                    match terms(&mut lead) {
                        None => leads.push(lead),
                        Some(Terms::Dissolved) => lead.leave(),
                        Some(_) => finish(lead, &mut populated),
                    }
                },
                Move::WakeLead(number) => if !leads.is_empty() {
                    let number = number % leads.len();
                    leads[number].poll_stamped(&Context::from_waker(Waker::noop()), |_, cx| {
                        cx.waker().wake_by_ref();
                    });
                },
            }
        }
        for flight in unanswered {
            let lease = bench.lease();
            granted.push(lease);
            bench.flights.resolve(&flight, Answer::Granted(lease));
        }
        // All leaders and members go on until done.
        while !(leads.is_empty() && members.is_empty()) {
            let before = (leads.len(), members.len());
            for mut lead in std::mem::take(&mut leads) {
                match terms(&mut lead) {
                    Some(Terms::Dissolved) => lead.leave(),
                    Some(_) => finish(lead, &mut populated),
                    None => leads.push(lead),
                }
            }
            for mut member in std::mem::take(&mut members) {
                match poll(&mut member) {
                    None => members.push(member),
                    Some(Joined::Promoted(lead)) => leads.push(lead),
                    Some(_) => {}
                }
            }
            prop_assert!(before != (leads.len(), members.len()), "a call waits for ever");
        }
        prop_assert_eq!(bench.flights.len(), 0);
        let mut ended = [populated, bench.given()].concat();
        ended.sort_by_key(|lease| lease.0);
        granted.sort_by_key(|lease| lease.0);
        prop_assert_eq!(ended, granted);
    }
}
