use super::*;
use crate::Cache;
use crate::entry::{EntryKind, Token};
use crate::store::Read;

const LIFE: Duration = Duration::from_secs(60);
const OWNER: Owner = Owner { function: 1, arguments: 2, version: 3 };

fn id() -> EntryId {
    EntryId::fresh().unwrap()
}

fn value(tokens: &[Token]) -> Write {
    let draft = Draft {
        kind: EntryKind::Value,
        id: id(),
        owner: OWNER,
        cost: Duration::ZERO,
        life: LIFE,
        window: LIFE / 2,
        tokens,
        body: b"value",
        compress_above: usize::MAX,
    };
    Write::Whole { bytes: draft.encode(), life: LIFE }
}

/// A key of an in-process store, and the tokens that its entries depend on.
struct Shelf {
    cache: Cache,
    key: Key,
    tokens: Tokens,
}

impl Shelf {
    async fn new() -> Self {
        let (cache, key) = (Cache::in_memory(), Key::named("k"));
        let tokens = cache.inner().store.seed(&key, &[None], LIFE, LIFE).await.unwrap();
        Self { cache, key, tokens }
    }

    fn inner(&self) -> &crate::cache::Inner {
        self.cache.inner()
    }

    async fn set(&self, seen: &Seen, write: Write) -> bool {
        self.inner().store.compare_and_set(&self.key, seen, write, LIFE).await.unwrap()
    }

    async fn bytes(&self) -> Option<Bytes> {
        self.inner().store.read(&self.key, Read::Timed, LIFE).await.unwrap().bytes
    }

    async fn entry(&self) -> Entry {
        Entry::parse(self.bytes().await.unwrap()).unwrap()
    }

    /// Puts a value under the key, whatever the key holds.
    async fn value(&self) -> Entry {
        let seen = match self.bytes().await {
            Some(bytes) => Entry::parse(bytes).unwrap().seen(),
            None => Seen::absent(),
        };
        assert!(self.set(&seen, value(&self.tokens)).await);
        self.entry().await
    }

    async fn claim(&self, entry: &Entry) -> Lease {
        let claim = Lease::claim(id(), entry.clone(), LIFE, LIFE);
        assert!(self.set(&entry.seen(), claim.taking()).await);
        claim
    }

    async fn lease(&self, seen: &Entry) -> Lease {
        let lease = Lease::plain(id(), OWNER, self.tokens.clone(), LIFE);
        assert!(self.set(&seen.seen(), lease.taking()).await);
        lease
    }
}

#[tokio::test]
async fn a_claim_that_has_been_extended_is_not_taken_over() {
    let shelf = Shelf::new().await;
    assert!(shelf.set(&Seen::absent(), value(&shelf.tokens)).await);
    let entry = shelf.entry().await;
    let ours = Lease::claim(id(), entry.clone(), LIFE / 3, LIFE / 30);
    assert!(shelf.set(&entry.seen(), ours.taking()).await);
    // A second process reads the claim when it has run out; then its holder extends it.
    let claimed = shelf.entry().await;
    assert_eq!(claimed_for(&claimed, LIFE / 4, LIFE / 30), None);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(shelf.set(&ours.seen(), ours.extension(LIFE)).await);
    let theirs = Lease::claim(id(), claimed.clone(), LIFE / 4, LIFE / 30);
    assert!(!shelf.set(&claimed.seen(), theirs.taking()).await);
    // The holder can populate without knowing which of its extensions has arrived.
    assert!(shelf.set(&ours.seen(), value(&shelf.tokens)).await);
    assert_eq!(shelf.entry().await.claim(), None);
}

#[tokio::test]
async fn a_lease_that_came_to_nothing_leaves_the_state_from_before() {
    let shelf = Shelf::new().await;
    let entry = shelf.value().await;
    let claim = shelf.claim(&entry).await;
    claim.release(&shelf.inner().leases, &shelf.key, OnRelease::Restore, None).await;
    let after = shelf.entry().await;
    assert!(after.claim().is_none() && after.released().is_none());
    assert!(after.id != entry.id && after.id != claim.id);
    assert_eq!(*after.body(100).unwrap(), *b"value");
    // The claim is spent.
    assert!(!shelf.set(&claim.seen(), value(&shelf.tokens)).await);

    let lease = shelf.lease(&after).await;
    assert_eq!(shelf.entry().await.kind, EntryKind::Lease);
    lease.release(&shelf.inner().leases, &shelf.key, OnRelease::Restore, None).await;
    assert!(shelf.bytes().await.is_none());
}

#[tokio::test]
async fn a_run_that_stored_nothing_leaves_a_mark_under_which_all_may_populate() {
    let shelf = Shelf::new().await;
    for (claims, on_release) in [
        (false, OnRelease::KeepValue),
        (false, OnRelease::RemoveValue),
        (true, OnRelease::RemoveValue),
        (true, OnRelease::KeepValue),
    ] {
        let entry = shelf.value().await;
        let lease = if claims { shelf.claim(&entry).await } else { shelf.lease(&entry).await };
        lease.release(&shelf.inner().leases, &shelf.key, on_release, None).await;
        let mark = shelf.entry().await;
        let stays = claims && on_release == OnRelease::KeepValue;
        assert_eq!(mark.kind, if stays { EntryKind::Value } else { EntryKind::Unstored });
        assert_eq!(is_released(&mark, LIFE), stays);
        assert!(!is_released(&mark, LIFE / 2), "not for long");
        assert!(mark.id != lease.id && mark.tokens().eq(shelf.tokens.iter().copied()));
        assert!(!shelf.set(&lease.seen(), value(&shelf.tokens)).await, "the lease is spent");

        let [first, second] = [Lease::joint(&mark), Lease::joint(&mark)];
        second.release(&shelf.inner().leases, &shelf.key, OnRelease::RemoveValue, None).await;
        assert_eq!(shelf.entry().await.id, mark.id, "others run under it");
        assert!(shelf.set(&first.seen(), value(&shelf.tokens)).await);
        assert!(!shelf.set(&second.seen(), value(&shelf.tokens)).await);
    }
}

#[tokio::test]
async fn a_claim_outlives_its_value_as_a_lease() {
    let shelf = Shelf::new().await;
    let entry = shelf.value().await;
    let claim = Lease::claim(id(), entry.clone(), BRINK, LIFE);
    assert!(shelf.set(&entry.seen(), claim.taking()).await);
    let seen = claim.seen();
    assert!(shelf.set(&seen, claim.extension(LIFE)).await);
    let lease = shelf.entry().await;
    assert_eq!((lease.kind, lease.id), (EntryKind::Lease, claim.id));
    assert!(shelf.set(&claim.seen(), claim.extension(LIFE)).await, "and is extended");
    claim.release(&shelf.inner().leases, &shelf.key, OnRelease::KeepValue, None).await;
    assert_eq!(shelf.entry().await.kind, EntryKind::Unstored);
}
