use super::*;
use crate::background;
use crate::deadline;

const LONG: Duration = Duration::from_secs(60);

fn read(reads: &ReadQueue, limit: Duration) -> PendingRead {
    reads.enqueue(&Key::named("key"), false, Instant::now() + limit)
}

async fn answer(pending: PendingRead) -> Result<Found, CommandError> {
    deadline::timeout(LONG, pin!(pending)).await.expect("a result in time")
}

#[tokio::test]
async fn the_first_result_counts_and_wakes_the_caller() {
    let reads = ReadQueue::new();
    let waiting = tokio::spawn(answer(read(&reads, LONG)));
    let batch = loop {
        match reads.take() {
            Some(batch) => break batch,
            None => tokio::task::yield_now().await,
        }
    };
    tokio::task::yield_now().await;
    batch.reads[0].answer.set(Ok(Found::default()));
    batch.reads[0].answer.set(Err(CommandError::Down));
    assert!(matches!(waiting.await, Ok(Ok(_))));
}

#[tokio::test]
async fn a_dropped_read_is_left_out_of_the_batch_and_still_counted() {
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
async fn on_a_lane_that_nothing_drives_reads_time_out() {
    let reads = ReadQueue::new();
    background::spawn(watch(reads.clone()));
    for _ in 0..2 {
        // One read is sent and unanswered, one is still queued.
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
async fn closing_fails_queued_and_later_reads() {
    let reads = ReadQueue::new();
    let watching = background::spawn(watch(reads.clone())).unwrap();
    let before = read(&reads, LONG);
    reads.close();
    assert!(matches!(answer(before).await, Err(CommandError::Down)));
    assert!(matches!(answer(read(&reads, LONG)).await, Err(CommandError::Down)));
    watching.await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_gathering_task_fails_queued_and_later_reads() {
    for begins in [true, false] {
        let reads = ReadQueue::new();
        let before = read(&reads, LONG);
        let gathering = tokio::spawn(gather(Weak::new(), Weak::new(), reads.clone()));
        if begins {
            // The lane is gone, so the task ends by itself.
            gathering.await.unwrap();
        } else {
            gathering.abort();
        }
        assert!(matches!(answer(before).await, Err(CommandError::Down)));
        assert!(matches!(answer(read(&reads, LONG)).await, Err(CommandError::Down)));
    }
}
