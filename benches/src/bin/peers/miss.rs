//! Misses: a new key each call, a function that is ready at once, and the write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::contest::{Lane, Load, Pace, drive, rounds};
use crate::hit::{Field, at, print};
use crate::values::Peer;

/// Ids that nobody has asked for.
static NEXT: AtomicU64 = AtomicU64::new(1 << 32);

pub fn fresh() -> u64 {
    NEXT.fetch_add(1, Relaxed)
}

fn lane<P: Peer>(peer: &Arc<P>, tasks: u64, pace: Pace) -> Lane<Load> {
    let peer = peer.clone();
    Lane::new(P::NAME, move || {
        let peer = peer.clone();
        let call = |peer: Arc<P>, _, _| async move { peer.small(fresh()).await };
        async move { drive(&peer, tasks, pace.turn, call).await }
    })
}

pub async fn miss(field: &Field, pace: Pace) {
    for tasks in [1, 64] {
        let lanes = [
            lane(&field.ours, tasks, pace),
            lane(&field.cached, tasks, pace),
            lane(&field.hitbox, tasks, pace),
            lane(&field.kit, tasks, pace),
            lane(&field.tiers, tasks, pace),
            lane(&field.by_hand, tasks, pace),
        ];
        let done = rounds(&lanes, pace.rounds).await;
        print(&format!("Miss, 200 bytes, {}", at(tasks)), &lanes, &done);
    }
}
