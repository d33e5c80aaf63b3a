//! No cache at all: one GET over a multiplexed connection, undecoded. The first call of a key
//! stores what ours would encode.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde::Serialize;

use crate::values::{Got, Large, Reads, Small, body};

pub struct Bare(MultiplexedConnection);

async fn get<T: Serialize>(
    connection: &MultiplexedConnection,
    key: String,
    run: impl Future<Output = T> + Send,
) -> Got<T> {
    let mut connection = connection.clone();
    match connection.get::<_, Option<Vec<u8>>>(&key).await {
        Ok(Some(bytes)) => Got::Bytes(bytes),
        Ok(None) => {
            let bytes = rmp_serde::to_vec_named(&run.await).expect("it can be encoded");
            let stored: Result<(), _> = connection.set_ex(&key, &bytes, 3600).await;
            stored.map_or_else(|error| Got::Failed(error.to_string()), |()| Got::Bytes(bytes))
        }
        Err(error) => Got::Failed(error.to_string()),
    }
}

impl Reads for Bare {
    const NAME: &'static str = "bare GET, undecoded";

    async fn start(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a well-formed URL");
        Self(client.get_multiplexed_async_connection().await.expect("the server answers"))
    }

    async fn small(&self, id: u64) -> Got<Small> {
        get(&self.0, format!("bare:small:{id}"), body::small(id)).await
    }

    async fn large(&self, id: u64) -> Got<Large> {
        get(&self.0, format!("bare:large:{id}"), body::large(id)).await
    }
}
