use super::*;
use crate::background;

const LONG: Duration = Duration::from_secs(60);

fn ask(asks: &Asks, limit: Duration) -> Answered {
    asks.ask(&Key::named("key"), false, Instant::now() + limit)
}

async fn told(answered: Answered) -> Result<Found, Sent> {
    background::timeout(LONG, pin!(answered)).await.expect("it is told in time")
}

#[tokio::test]
async fn the_first_to_tell_counts_and_whoever_waits_is_woken() {
    let asks = Asks::new();
    let waiting = tokio::spawn(told(ask(&asks, LONG)));
    let together = loop {
        match asks.take() {
            Some(together) => break together,
            None => tokio::task::yield_now().await,
        }
    };
    tokio::task::yield_now().await;
    together.asks[0].answer.tell(Ok(Found::default()));
    together.asks[0].answer.tell(Err(Sent::Down));
    assert!(matches!(waiting.await, Ok(Ok(_))));
}

#[tokio::test]
async fn who_goes_away_is_not_awaited_any_more() {
    let asks = Asks::new();
    drop(ask(&asks, LONG));
    let taken = asks.take().unwrap();
    assert_eq!((taken.asks.len(), taken.reading), (0, 1));
}

#[test]
fn a_long_queue_is_taken_in_batches_and_leaves_no_room_behind() {
    let asks = Asks::new();
    let waiting: Vec<_> = (0..10_000).map(|_| ask(&asks, LONG)).collect();
    let mut sizes = Vec::new();
    while let Some(taken) = asks.take() {
        assert!(taken.asks.capacity() <= MOST);
        sizes.push(taken.asks.len());
    }
    assert!(sizes.iter().all(|size| *size <= MOST) && sizes.iter().sum::<usize>() == 10_000);
    assert!(lock(&asks.queue).asks.capacity() <= ROOM);
    drop(waiting);
}

#[tokio::test]
async fn a_lane_that_nothing_drives_keeps_nobody_beyond_his_time() {
    let asks = Asks::new();
    background::spawn(watch(asks.clone()));
    for _ in 0..2 {
        // One waits to be sent, and one for an answer.
        let sent = ask(&asks, Duration::from_millis(100));
        let place = asks.take().unwrap().place;
        let queued = ask(&asks, Duration::from_millis(100));
        let patient = ask(&asks, LONG);
        assert!(matches!(told(sent).await, Err(Sent::Timeout)));
        assert!(matches!(told(queued).await, Err(Sent::Timeout)));
        let other = asks.take().unwrap().place;
        drop(patient);
        for place in [place, other] {
            lock(&asks.queue).sent.remove(place);
        }
        let rests = async {
            while !lock(&asks.queue).idle {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, rests).await.expect("the watch rests");
    }
}

#[tokio::test]
async fn once_closed_everybody_is_told() {
    let asks = Asks::new();
    let watching = background::spawn(watch(asks.clone())).unwrap();
    let before = ask(&asks, LONG);
    asks.close();
    assert!(matches!(told(before).await, Err(Sent::Down)));
    assert!(matches!(told(ask(&asks, LONG)).await, Err(Sent::Down)));
    watching.await.unwrap();
}

#[tokio::test]
async fn what_drove_a_lane_tells_everybody_at_its_end() {
    for begins in [true, false] {
        let asks = Asks::new();
        let before = ask(&asks, LONG);
        let gathering = tokio::spawn(gather(Weak::new(), Weak::new(), asks.clone()));
        if begins {
            // The lane is gone: it ends by itself.
            gathering.await.unwrap();
        } else {
            gathering.abort();
        }
        assert!(matches!(told(before).await, Err(Sent::Down)));
        assert!(matches!(told(ask(&asks, LONG)).await, Err(Sent::Down)));
    }
}
