use super::*;
use crate::background;
use crate::deadline;

const LONG: Duration = Duration::from_secs(60);

fn read(reads: &ReadQueue, limit: Duration) -> PendingRead {
    reads.enqueue(&Key::named("key"), false, Instant::now() + limit)
}

async fn answer(pending: PendingRead) -> Result<Found, CommandError> {
    deadline::timeout(LONG, pin!(pending)).await.expect("it is told in time")
}

#[tokio::test]
async fn the_first_to_tell_counts_and_whoever_waits_is_woken() {
    let reads = ReadQueue::new();
    let waiting = tokio::spawn(answer(read(&reads, LONG)));
    let together = loop {
        match reads.take() {
            Some(together) => break together,
            None => tokio::task::yield_now().await,
        }
    };
    tokio::task::yield_now().await;
    together.reads[0].answer.set(Ok(Found::default()));
    together.reads[0].answer.set(Err(CommandError::Down));
    assert!(matches!(waiting.await, Ok(Ok(_))));
}

#[tokio::test]
async fn who_goes_away_is_not_awaited_any_more() {
    let reads = ReadQueue::new();
    drop(read(&reads, LONG));
    let taken = reads.take().unwrap();
    assert_eq!((taken.reads.len(), taken.counted), (0, 1));
}

#[test]
fn a_long_queue_is_taken_in_batches_and_leaves_no_room_behind() {
    let reads = ReadQueue::new();
    let waiting: Vec<_> = (0..10_000).map(|_| read(&reads, LONG)).collect();
    let mut sizes = Vec::new();
    while let Some(taken) = reads.take() {
        assert!(taken.reads.capacity() <= MAX_BATCH);
        sizes.push(taken.reads.len());
    }
    assert!(sizes.iter().all(|size| *size <= MAX_BATCH) && sizes.iter().sum::<usize>() == 10_000);
    assert!(lock(&reads.queue).reads.capacity() <= KEPT_CAPACITY);
    drop(waiting);
}

#[tokio::test]
async fn a_lane_that_nothing_drives_keeps_nobody_beyond_his_time() {
    let reads = ReadQueue::new();
    background::spawn(watch(reads.clone()));
    for _ in 0..2 {
        // One waits to be sent, and one for an answer.
        let sent = read(&reads, Duration::from_millis(100));
        let slot = reads.take().unwrap().slot;
        let queued = read(&reads, Duration::from_millis(100));
        let patient = read(&reads, LONG);
        assert!(matches!(answer(sent).await, Err(CommandError::Timeout)));
        assert!(matches!(answer(queued).await, Err(CommandError::Timeout)));
        let other = reads.take().unwrap().slot;
        drop(patient);
        for slot in [slot, other] {
            lock(&reads.queue).sent.remove(slot);
        }
        let idle = async {
            while !lock(&reads.queue).idle {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, idle).await.expect("the watch rests");
    }
}

#[tokio::test]
async fn once_closed_everybody_is_told() {
    let reads = ReadQueue::new();
    let watching = background::spawn(watch(reads.clone())).unwrap();
    let before = read(&reads, LONG);
    reads.close();
    assert!(matches!(answer(before).await, Err(CommandError::Down)));
    assert!(matches!(answer(read(&reads, LONG)).await, Err(CommandError::Down)));
    watching.await.unwrap();
}

#[tokio::test]
async fn what_drove_a_lane_tells_everybody_at_its_end() {
    for begins in [true, false] {
        let reads = ReadQueue::new();
        let before = read(&reads, LONG);
        let gathering = tokio::spawn(gather(Weak::new(), Weak::new(), reads.clone()));
        if begins {
            // The lane is gone: it ends by itself.
            gathering.await.unwrap();
        } else {
            gathering.abort();
        }
        assert!(matches!(answer(before).await, Err(CommandError::Down)));
        assert!(matches!(answer(read(&reads, LONG)).await, Err(CommandError::Down)));
    }
}
