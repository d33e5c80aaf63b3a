//! The metrics of `redis_exporter` that the kit uses, and where the exporter has them from.

use crate::table::Kind;

/// Where the exporter has a figure from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A field of `INFO`; `ok` and `up` count as 1, other words as 0.
    Info(&'static str),
    /// A field of `INFO` that only replicas have.
    OfReplica(&'static str),
    /// Its own contact with Redis: 1 where that works.
    Contact,
    /// Always 1, with `maxmemory_policy` of `INFO` as a label.
    Policy,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct RedisMetric {
    /// Its name, as Prometheus has it.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Where the exporter has it from.
    pub field: Field,
    /// Its meaning.
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: Kind, field: Field, help: &'static str) -> RedisMetric {
    RedisMetric { name, kind, field, help }
}

/// All that rules and dashboard use. Names after `exporter.go` and `info.go` of `redis_exporter` 1.88.
pub const REDIS: [RedisMetric; 16] = {
    use Field::{Contact, Info, OfReplica, Policy};
    use Kind::{Counter, Gauge};
    [
        metric("redis_up", Gauge, Contact, "1 while Redis answers the exporter."),
        metric("redis_instance_info", Gauge, Policy, "Always 1, with the policy as a label."),
        metric(
            "redis_memory_used_bytes",
            Gauge,
            Info("used_memory"),
            "Memory that Redis has given out.",
        ),
        metric(
            "redis_memory_max_bytes",
            Gauge,
            Info("maxmemory"),
            "Its limit, maxmemory; 0 is none.",
        ),
        metric(
            "redis_memory_used_rss_bytes",
            Gauge,
            Info("used_memory_rss"),
            "Memory that the system has given to Redis.",
        ),
        metric(
            "redis_evicted_keys_total",
            Counter,
            Info("evicted_keys"),
            "Keys that were removed because memory was full.",
        ),
        metric(
            "redis_expired_keys_total",
            Counter,
            Info("expired_keys"),
            "Keys that were removed at the end of their time.",
        ),
        metric(
            "redis_eviction_exceeded_time_ms_total",
            Counter,
            Info("total_eviction_exceeded_time"),
            "Milliseconds during which memory was over its limit.",
        ),
        metric(
            "redis_connected_clients",
            Gauge,
            Info("connected_clients"),
            "Connections of clients.",
        ),
        metric(
            "redis_max_clients",
            Gauge,
            Info("maxclients"),
            "The most connections that Redis accepts.",
        ),
        metric(
            "redis_rejected_connections_total",
            Counter,
            Info("rejected_connections"),
            "Connections beyond that number.",
        ),
        metric(
            "redis_tracking_total_keys",
            Gauge,
            Info("tracking_total_keys"),
            "Keys of whose changes Redis tells clients.",
        ),
        metric(
            "redis_commands_processed_total",
            Counter,
            Info("total_commands_processed"),
            "Commands that Redis has carried out.",
        ),
        metric(
            "redis_master_link_up",
            Gauge,
            OfReplica("master_link_status"),
            "1 while a replica follows its master.",
        ),
        metric(
            "redis_rdb_last_bgsave_status",
            Gauge,
            Info("rdb_last_bgsave_status"),
            "1 unless the last snapshot failed.",
        ),
        metric(
            "redis_aof_last_write_status",
            Gauge,
            Info("aof_last_write_status"),
            "1 unless the last append to the file failed.",
        ),
    ]
};
