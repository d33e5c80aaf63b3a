//! A write of an item that is otherwise left alone, and copies of it that ought to go.

use std::time::{Duration, Instant};

use support::{Function, Operation};

use redis::aio::MultiplexedConnection;

use super::{Faults, QUIET, flush_all};
use crate::check::LOCAL_HIT;
use crate::seats::{Copies, Seats};
use crate::wire::Flow;

/// How a member may miss a write.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Its listening connection is lost just before.
    Lost,
    /// The server forgets everything, copies being all that is left.
    Flushed,
    /// What is announced is held up.
    Deaf,
    /// It is stopped.
    Stopped,
    /// It is reading: it hears of the change together with what it has read.
    Reading,
    /// It writes itself, and copies before that has arrived what it is not told of afterwards.
    Writing,
}

const WAYS: [Way; 6] =
    [Way::Lost, Way::Deaf, Way::Stopped, Way::Reading, Way::Writing, Way::Flushed];

/// A member, another one, and an item.
#[derive(Clone, Copy)]
struct Scene<'a> {
    seats: &'a Seats,
    client: &'a MultiplexedConnection,
    number: usize,
    other: usize,
    item: u64,
}

impl Faults {
    /// Has two members call on for longer than their copies may be served. Their own tasks rest:
    /// their reads would find out that nothing is heard.
    pub(super) async fn linger(&mut self, seats: &Seats, number: usize) {
        if seats.copies == Copies::No {
            return;
        }
        // In turn, so that each run has them all.
        let mut ways = [0, 1].map(|next| WAYS[(self.way + next) % WAYS.len()]);
        self.way += ways.len();
        // The impatient give the connection up before a second is over.
        ways.sort_by_key(|way| !matches!(way, Way::Deaf));
        let patient = number - number % 2;
        let (other, item) = (self.dice.below(2) as usize, self.dice.within(QUIET));
        let pause = self.millis(1100..1400);
        let [one, two] = [0, 1].map(|next| Scene {
            seats,
            client: &self.client,
            number: patient + next,
            other: (patient + 2 + (other + next) % 2) % seats.all.len(),
            item: QUIET.start + (item + next as u64) % (QUIET.end - QUIET.start),
        });
        for scene in [one, two] {
            seats.rest(scene.number, pause + Duration::from_secs(1));
        }
        // Until little is left of what the tasks were at.
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::join!(one.play(ways[0], pause), two.play(ways[1], pause));
    }
}

impl Scene<'_> {
    async fn play(self, way: Way, pause: Duration) {
        let Self { seats, number, other, .. } = self;
        let seat = &seats.all[number];
        let moment = seat.patience.timeout / 8;
        match way {
            Way::Lost => {
                self.copy().await;
                seat.wire.cut_listening();
                self.write(other).await;
            }
            Way::Flushed => {
                self.copy().await;
                flush_all(self.client.clone(), seats).await;
            }
            Way::Deaf => {
                self.copy().await;
                tokio::spawn(seat.wire.deafen(Flow::RepliesHeld, pause));
                tokio::time::sleep(moment).await;
                self.write(other).await;
            }
            Way::Stopped => {
                self.copy().await;
                let writing = async {
                    tokio::time::sleep(moment).await;
                    self.write(other).await;
                };
                tokio::join!(seats.freeze(number, pause), writing, self.read(number));
            }
            Way::Reading => {
                self.read(other).await;
                let writing = async {
                    tokio::time::sleep(moment * 2).await;
                    self.write(other).await;
                };
                let held = seat.wire.deafen(Flow::RepliesHeld, moment * 4);
                let reading = async {
                    tokio::time::sleep(moment).await;
                    self.read(number).await;
                };
                tokio::join!(held, writing, reading);
            }
            Way::Writing => {
                self.copy().await;
                let held = seat.wire.hold(Flow::RemovalsHeld, moment * 4);
                let reading = async {
                    tokio::time::sleep(moment * 2).await;
                    self.read(number).await;
                    seat.wire.deafen(Flow::RepliesHeld, moment * 6).await;
                };
                let writing = async {
                    tokio::time::sleep(moment).await;
                    self.write(number).await;
                    self.read(number).await;
                };
                tokio::join!(held, writing, reading);
            }
        }
        let end = Instant::now() + pause;
        while Instant::now() < end {
            self.read(number).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Calls until there are copies, unless it hears of nothing.
    async fn copy(self) {
        let begun = Instant::now();
        while !self.read(self.number).await && begun.elapsed() < Duration::from_millis(500) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Calls the functions whose copies last the longest; whether a copy answered the one that
    /// always has some.
    async fn read(self, number: usize) -> bool {
        let read = |function| {
            let order = format!("read {function} {} 0", self.item);
            self.seats.record(number, order)
        };
        let (local, _) = tokio::join!(read(Function::Local), read(Function::Plain));
        matches!(local, Operation::Read(read) if read.outcome == LOCAL_HIT)
    }

    async fn write(self, number: usize) {
        self.seats.record(number, format!("overwrite {}", self.item)).await;
    }
}
