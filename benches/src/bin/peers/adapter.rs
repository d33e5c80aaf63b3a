//! The contestants, each used as its own documentation says.

pub mod bare;
pub mod by_hand;
pub mod cached_redis;
pub mod cachekit_redis;
pub mod hitbox_redis;
pub mod near;
pub mod ours;
pub mod tiers_redis;

pub use bare::Bare;
pub use by_hand::ByHand;
pub use cached_redis::Cached;
pub use cachekit_redis::Kit;
pub use hitbox_redis::Hitbox;
pub use ours::Ours;
pub use tiers_redis::Tiers;
