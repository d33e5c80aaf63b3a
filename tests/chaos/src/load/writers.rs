//! Those who commit other versions, and say so to the cache.

use std::sync::Arc;
use std::time::Duration;

use support::Dice;
use tokio::time::sleep;

use super::Shared;
use crate::functions;
use crate::world::{Function, GROUPS, KEYS, World, group};

/// Between two invalidations of a writer.
const PAUSE: Duration = Duration::from_millis(15);

/// Commits and invalidates, now and then, until the load ends.
pub(super) async fn write(shared: Arc<Shared>, mut dice: Dice) {
    while !shared.has_ended() {
        let function = Function::ALL[dice.below(Function::ALL.len() as u64) as usize];
        match dice.below(10) {
            0 => write_prefix(&shared, function).await,
            1 => write_tag(&shared, dice.below(u64::from(GROUPS)) as u32).await,
            _ => write_one(&shared, function, dice.below(u64::from(KEYS)) as u32).await,
        }
        sleep(PAUSE).await;
    }
}

async fn write_one(shared: &Shared, function: Function, key: u32) {
    let Shared { cache, world, .. } = shared;
    let firm = shared.is_firm();
    let version = world.commit(function, key);
    // Whether or not it could be delivered, this process is bound.
    let _ = cache.scope(functions::forget(world, function, key)).await;
    world.bind(function, key, version, firm);
}

async fn write_prefix(shared: &Shared, function: Function) {
    let firm = shared.is_firm();
    let versions = commit(&shared.world, function, 0..KEYS);
    let _ = shared.cache.invalidate_prefix(function.prefix()).await;
    bind(&shared.world, function, versions, firm);
}

async fn write_tag(shared: &Shared, tagged: u32) {
    let firm = shared.is_firm();
    let keys = (0..KEYS).filter(|key| group(*key) == tagged);
    let versions = commit(&shared.world, Function::Tagged, keys);
    let _ = shared.cache.invalidate_tag(&format!("group:{tagged}")).await;
    bind(&shared.world, Function::Tagged, versions, firm);
}

fn commit(world: &World, function: Function, keys: impl Iterator<Item = u32>) -> Vec<(u32, u64)> {
    keys.map(|key| (key, world.commit(function, key))).collect()
}

fn bind(world: &World, function: Function, versions: Vec<(u32, u64)>, firm: bool) {
    for (key, version) in versions {
        world.bind(function, key, version, firm);
    }
}
