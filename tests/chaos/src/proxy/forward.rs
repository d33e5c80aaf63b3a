//! One direction of a connection.

use std::collections::VecDeque;
use std::time::Duration;

use support::Dice;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::frames::Frames;
use super::garble::{garble, part};
use super::manner::{Manner, Order};

/// Chunks that are held back at most; then nothing more is read.
const HELD: usize = 4096;

/// One direction: what it has been told, and what is on its way.
pub(super) struct Way {
    orders: watch::Receiver<Order>,
    born: u64,
    dice: Dice,
    /// Where replies end; requests are not looked into.
    frames: Option<Frames>,
    /// What is to go out when, in order.
    held: VecDeque<(Instant, Vec<u8>)>,
    /// Nothing goes out after what is held.
    cut: bool,
}

impl Way {
    pub(super) fn requests(orders: watch::Receiver<Order>, born: u64, dice: Dice) -> Self {
        Self { orders, born, dice, frames: None, held: VecDeque::new(), cut: false }
    }

    pub(super) fn replies(orders: watch::Receiver<Order>, born: u64, dice: Dice) -> Self {
        Self { frames: Some(Frames::default()), ..Self::requests(orders, born, dice) }
    }

    fn manner(&mut self) -> Manner {
        self.orders.borrow_and_update().towards(self.born)
    }

    /// Takes what has come in.
    fn take(&mut self, bytes: &[u8], manner: Manner) {
        let Some(frames) = &mut self.frames else { return self.hold(bytes.to_vec(), manner) };
        frames.push(bytes);
        while !self.cut
            && let Some(frame) = self.frames.as_mut().and_then(Frames::next)
        {
            let frame = self.answer(frame, manner);
            self.hold(frame, manner);
        }
    }

    /// What goes out in place of a reply.
    fn answer(&mut self, frame: Vec<u8>, manner: Manner) -> Vec<u8> {
        match manner {
            Manner::CutReply(one_in) if self.dice.below(one_in) == 0 => {
                self.cut = true;
                frame[..part(&frame, &mut self.dice)].to_vec()
            }
            Manner::Garble(how, one_in) if self.dice.below(one_in) == 0 => {
                garble(frame, how, &mut self.dice)
            }
            _ => frame,
        }
    }

    fn hold(&mut self, bytes: Vec<u8>, manner: Manner) {
        let late = match manner {
            Manner::Lose => return,
            Manner::Delay { each_way, jitter } => {
                let jitter = jitter.as_micros() as u64;
                each_way + Duration::from_micros(self.dice.below(jitter + 1))
            }
            _ => Duration::ZERO,
        };
        let due = Instant::now() + late;
        let last = self.held.back().map_or(due, |(last, _)| *last);
        self.held.push_back((due.max(last), bytes));
    }

    /// Waits until something of what is held is due; for ever where nothing is.
    async fn due(&self) {
        match self.held.front() {
            Some((due, _)) if *due > Instant::now() => sleep_until(*due).await,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Sends the first of what is held.
    async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let Some((_, bytes)) = self.held.pop_front() else { return Ok(()) };
        let mut rest = &bytes[..];
        while let Manner::Drip(size) = self.manner()
            && !rest.is_empty()
        {
            let (drop, after) = rest.split_at(size.min(rest.len()));
            to.write_all(drop).await?;
            sleep(Duration::from_millis(1)).await;
            rest = after;
        }
        to.write_all(rest).await
    }
}

/// Forwards until one of the two has ended, or is to be.
pub(super) async fn forward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut way: Way,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let manner = way.manner();
        let swallows = matches!(manner, Manner::Swallow(_));
        let mut orders = way.orders.clone();
        let reads = !swallows && !way.cut && way.held.len() < HELD;
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            () = way.due(), if !swallows => if way.send(to).await.is_err() { return },
            read = from.read(&mut buffer), if reads => match read {
                Ok(size @ 1..) => way.take(&buffer[..size], manner),
                _ => break,
            },
        }
        if way.cut && way.held.is_empty() {
            return;
        }
    }
    while !way.held.is_empty() && way.send(to).await.is_ok() {}
}
