//! What the tests of the other files stand on: servers in every arrangement, as a plain client sees them.

use support::{Authority, ClusterServers, Passwords, Sentinels, TlsServer, eventually, slot_of};

#[tokio::test]
async fn a_server_with_tls_takes_no_plain_connection() {
    for server in [TlsServer::start().await, TlsServer::start_for_known_clients().await] {
        assert_eq!(server.command::<String>(&["PING"]).await, "PONG");
        let plain = redis::Client::open(format!("redis://{}", server.address())).unwrap();
        plain.get_multiplexed_async_connection().await.unwrap_err();
    }
}

#[tokio::test]
async fn a_server_with_tls_tells_clients_by_their_certificates() {
    let server = TlsServer::start_for_known_clients().await;
    let [client_cert, client_key] =
        Authority::new().client().map(|file| std::fs::read(file).unwrap());
    let root_cert = Some(std::fs::read(server.authority().ca()).unwrap());
    let stranger = Some(redis::ClientTlsConfig { client_cert, client_key });
    for client_tls in [None, stranger] {
        let files = redis::TlsCertificates { client_tls, root_cert: root_cert.clone() };
        let client = redis::Client::build_with_tls(server.url(), files).unwrap();
        client.get_multiplexed_async_connection().await.unwrap_err();
    }
}

#[tokio::test]
async fn sentinels_replace_a_master_that_was_killed() {
    let mut servers = Sentinels::start().await;
    let first = servers.master().await;
    assert_eq!(first, 0);
    assert_eq!(servers.kill_master().await, first);
    let second = servers.wait_for_another_master(first).await;
    servers.nodes()[second].command::<()>(&["SET", "key", "value"]).await;
    assert_eq!(servers.commands_of(second, &["set"]).await, 1);
}

#[tokio::test]
async fn sentinels_replace_a_master_that_was_frozen() {
    let servers = Sentinels::start().await;
    let first = servers.freeze_master().await;
    let second = servers.wait_for_another_master(first).await;
    servers.thaw(first);
    eventually("it follows", || async {
        // A master that becomes a replica closes the connections of its clients, this one too.
        let role = servers.nodes()[first].try_command::<Vec<redis::Value>>(&["ROLE"]).await;
        role.is_ok_and(|role| role[0] == redis::Value::BulkString(b"slave".to_vec()))
    })
    .await;
    assert_eq!(servers.master().await, second);
}

#[tokio::test]
async fn a_failover_by_command_leaves_a_master_that_does_not_know_of_it() {
    let data = Some("data".to_owned());
    let passwords = Passwords { data, sentinels: Some("watch".to_owned()) };
    let mut servers = Sentinels::start_with(passwords).await;
    assert!(servers.url().starts_with("redis+sentinel://:data@127.0.0.1:"), "{}", servers.url());
    servers.kill_sentinel(2);
    servers.failover_by_command().await;
    let second = servers.wait_for_another_master(0).await;
    assert_ne!(second, 0);
    servers.nodes()[0].command::<()>(&["SET", "key", "lost"]).await;
}

#[tokio::test]
async fn the_slots_are_those_of_the_servers() {
    let cluster = ClusterServers::start().await;
    for key in ["", "a", "{a}b", "a{}b", "a{b}{c}", "{", "}{a", "cache:areas:ä"] {
        let slot: u16 = cluster.nodes()[0].command(&["CLUSTER", "KEYSLOT", key]).await;
        assert_eq!(slot_of(key), slot, "{key}");
    }
}

/// Writes a key where it belongs.
async fn set(cluster: &ClusterServers, key: &str) {
    let master = cluster.master_of(slot_of(key)).await;
    cluster.nodes()[master].command::<()>(&["SET", key, "value"]).await;
}

async fn a_master_is_replaced(cluster: &mut ClusterServers) {
    let keys = ["a", "b", "c", "d", "e"];
    for key in keys {
        set(cluster, key).await;
    }
    assert_eq!(cluster.keys().await, keys);
    let master = cluster.master_of(slot_of("a")).await;
    cluster.kill(master);
    cluster.wait_until_ok(master).await;
    assert_eq!(cluster.master_of(slot_of("a")).await, master + 3);
    set(cluster, "a").await;
    cluster.restart(master).await;
    eventually("it follows", || async { cluster.keys().await == keys }).await;
}

#[tokio::test]
async fn a_cluster_replaces_a_master_that_was_killed() {
    a_master_is_replaced(&mut ClusterServers::start_with_password("data").await).await;
}

#[tokio::test]
async fn a_cluster_with_tls_replaces_a_master_that_was_killed() {
    let mut cluster = ClusterServers::start_with_tls().await;
    assert!(cluster.authority().is_some());
    a_master_is_replaced(&mut cluster).await;
}

#[tokio::test]
async fn a_cluster_replaces_a_master_that_was_frozen() {
    let cluster = ClusterServers::start().await;
    let master = cluster.master_of(slot_of("a")).await;
    cluster.freeze(master);
    cluster.wait_until_ok(master).await;
    assert_eq!(cluster.master_of(slot_of("a")).await, master + 3);
    cluster.thaw(master);
    set(&cluster, "a").await;
}

#[tokio::test]
async fn a_slot_goes_to_another_master_with_its_keys() {
    for cluster in [ClusterServers::start().await, ClusterServers::start_with_password("x").await] {
        let (slot, from) = (slot_of("a"), cluster.master_of(slot_of("a")).await);
        let to = (from + 1) % 3;
        set(&cluster, "a").await;
        let migration = cluster.begin_to_migrate(slot, to).await;
        let code = async |node: usize, words: &[&str]| {
            let answer = cluster.nodes()[node].try_command::<()>(words).await;
            answer.err().and_then(|error| error.code().map(str::to_owned))
        };
        assert_eq!(code(from, &["GET", "a"]).await, None);
        assert_eq!(code(from, &["GET", "{a}new"]).await.as_deref(), Some("ASK"));
        cluster.move_keys(&migration).await;
        assert_eq!(code(from, &["GET", "a"]).await.as_deref(), Some("ASK"));
        cluster.finish(&migration).await;
        assert_eq!(code(from, &["GET", "a"]).await.as_deref(), Some("MOVED"));
        assert_eq!(cluster.master_of(slot).await, to);
        let value: String = cluster.nodes()[to].command(&["GET", "a"]).await;
        assert_eq!(value, "value");
        assert!(cluster.commands_of(to, &["get"]).await > 0);
        cluster.migrate_slot(slot, from).await;
        assert_eq!(cluster.master_of(slot).await, from);
    }
}
