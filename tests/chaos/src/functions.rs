//! The functions that the callers call.

use std::sync::Arc;

use cache_runtime::{Cache, Error, Outcome, cache_result, invalidate, observe};
use support::key_of;

use crate::world::{Answer, Failed, Function, World, fails, group};

#[cache_result(ttl = 60, prefix = "plain", skip(world))]
async fn plain(world: Arc<World>, key: u32) -> Answer {
    world.run(Function::Plain, key).await
}

#[cache_result(ttl = 60, prefix = "local", skip(world), local)]
async fn local(world: Arc<World>, key: u32) -> Answer {
    world.run(Function::Local, key).await
}

#[cache_result(ttl = 60, prefix = "tagged", skip(world), tags = ["group:{group}"])]
async fn tagged(world: Arc<World>, key: u32, group: u32) -> Answer {
    world.run(Function::Tagged, key).await
}

#[cache_result(ttl = 60, prefix = "fallible", skip(world))]
async fn fallible(world: Arc<World>, key: u32) -> Result<Answer, Failed> {
    let answer = world.run(Function::Fallible, key).await;
    if fails(key, answer.version) { Err(Failed(answer)) } else { Ok(answer) }
}

#[cache_result(ttl = "300ms", prefix = "stale", skip(world), stale_while_revalidate = 2)]
async fn stale(world: Arc<World>, key: u32) -> Answer {
    world.run(Function::Stale, key).await
}

/// Calls a function by its name.
pub(crate) async fn call(
    world: &Arc<World>,
    function: Function,
    key: u32,
) -> (Result<Answer, Failed>, Outcome) {
    let world = world.clone();
    let (answer, outcome) = match function {
        Function::Plain => observe(plain(world, key)).await,
        Function::Local => observe(local(world, key)).await,
        Function::Tagged => observe(tagged(world, key, group(key))).await,
        Function::Fallible => return observe(fallible(world, key)).await,
        Function::Stale => observe(stale(world, key)).await,
    };
    (Ok(answer), outcome)
}

/// Invalidates one call of a function.
pub(crate) async fn forget(world: &Arc<World>, function: Function, key: u32) -> Result<(), Error> {
    let world = world.clone();
    match function {
        Function::Plain => invalidate(plain(world, key)).await,
        Function::Local => invalidate(local(world, key)).await,
        Function::Tagged => invalidate(tagged(world, key, group(key))).await,
        Function::Fallible => invalidate(fallible(world, key)).await,
        Function::Stale => invalidate(stale(world, key)).await,
    }
}

/// Under which key a call is stored.
pub(crate) async fn name(function: Function, key: u32) -> String {
    let world = Arc::new(World::new());
    let name = async {
        match function {
            Function::Plain => key_of(plain(world, key)).await,
            Function::Local => key_of(local(world, key)).await,
            Function::Tagged => key_of(tagged(world, key, group(key))).await,
            Function::Fallible => key_of(fallible(world, key)).await,
            Function::Stale => key_of(stale(world, key)).await,
        }
    };
    // No store has a say in it.
    Cache::in_memory().scope(name).await
}
