//! Writes, and what they invalidate.

use cache_runtime::{Cache, cache_invalidate, invalidate};
use support::{Bound, Dice, Function, Invalidation, Unit, now};

use crate::database;
use crate::functions::{Item, OUTER, SHARED, local, nested, plain, stale};

/// How many items there are.
const ITEMS: u32 = 12;

/// The functions that have the prefix [`SHARED`].
const OF_SHARED: [Function; 3] = [Function::Plain, Function::Stale, Function::Local];

/// One of each way of naming entries.
#[derive(Clone, Copy, Debug)]
enum Naming {
    Key(Function),
    Several,
    Prefix,
    OuterPrefix,
    Tag,
    /// What a function that writes names, by its attribute.
    Writer,
}

/// Commits an item and invalidates all calls that read it.
pub(crate) async fn overwrite(item: u32) -> Invalidation {
    database::commit(item).await;
    invalidation(Naming::Several, item).await
}

/// Commits an item and invalidates what is made of it.
pub(crate) async fn write(item: u32, dice: &mut Dice) -> Invalidation {
    let namings = if is_narrow() { 24 } else { 30 };
    let naming = match dice.below(namings) {
        0..4 => Naming::Key(Function::Plain),
        4..8 => Naming::Key(Function::Stale),
        8..12 => Naming::Key(Function::Local),
        12..24 => Naming::Several,
        24 | 25 => Naming::Prefix,
        26 => Naming::OuterPrefix,
        27 | 28 => Naming::Tag,
        _ => Naming::Writer,
    };
    database::commit(item).await;
    invalidation(naming, item).await
}

/// Half of the time nobody names a prefix or a tag: copies live longer than a second.
fn is_narrow() -> bool {
    (now() / 2_400_000_000).is_multiple_of(2)
}

/// Invalidates without a write: `key`, `prefix` or `tag`. Whether it was confirmed.
pub(crate) async fn by_name(what: &str, item: u32) -> bool {
    let naming = match what {
        "key" => Naming::Key(Function::Plain),
        "prefix" => Naming::Prefix,
        "tag" => Naming::Tag,
        _ => panic!("no such group: {what}"),
    };
    send(naming, item).await == Bound::All
}

async fn invalidation(naming: Naming, item: u32) -> Invalidation {
    let mut units = Vec::new();
    for unit in named(naming, item) {
        units.push((unit, owed(unit, naming).await));
    }
    let begin = now();
    let bound = send(naming, item).await;
    Invalidation { begin, end: now(), bound, names: format!("{naming:?} {item}"), units }
}

/// The entries that are removed.
fn named(naming: Naming, item: u32) -> Vec<Unit> {
    let items = 0..ITEMS;
    let each = |functions: &[Function], item| {
        functions.iter().map(|function| Unit::new(*function, item)).collect::<Vec<_>>()
    };
    match naming {
        Naming::Key(function) => vec![Unit::new(function, item)],
        Naming::Several => each(&Function::OF_ITEMS, item),
        Naming::Prefix => items.flat_map(|item| each(&OF_SHARED, item)).collect(),
        Naming::OuterPrefix => items.map(|item| Unit::new(Function::Nested, item)).collect(),
        Naming::Tag | Naming::Writer => {
            let same = items.filter(|other| other % 2 == item % 2);
            same.flat_map(|item| each(&Function::OF_ITEMS, item)).collect()
        }
    }
}

/// The version that calls owe from now on: none where what the function calls stays.
async fn owed(unit: Unit, naming: Naming) -> u64 {
    let inner_stays = matches!(naming, Naming::OuterPrefix | Naming::Key(_));
    if unit.function == Function::Nested && inner_stays {
        return 0;
    }
    database::version(unit.item).await
}

async fn send(naming: Naming, number: u32) -> Bound {
    let (item, cache) = (Item::new(number), Cache::global());
    let sent = match naming {
        Naming::Key(Function::Stale) => invalidate(stale(item, 0)).await,
        Naming::Key(Function::Local) => invalidate(local(item, 0)).await,
        Naming::Key(_) => invalidate(plain(item, 0)).await,
        Naming::Several => {
            let (plain, stale) = (plain(item, 0), stale(item, 0));
            invalidate((plain, stale, local(item, 0), nested(item, 0))).await
        }
        Naming::Prefix => cache.invalidate_prefix(SHARED).await,
        Naming::OuterPrefix => cache.invalidate_prefix(OUTER).await,
        Naming::Tag => cache.invalidate_tag(&format!("half:{}", item.half)).await,
        Naming::Writer => {
            writer(item).await;
            return Bound::Own;
        }
    };
    if sent.is_ok() { Bound::All } else { Bound::Own }
}

#[cache_invalidate(plain(item, 0), tag = "half:{item.half}")]
async fn writer(item: Item) {
    tokio::task::yield_now().await;
}
