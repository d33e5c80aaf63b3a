//! tonic with prost.

use cache_runtime::cache_result;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use crate::market::Database;

pub mod generated;

/// `message AreasReply { repeated string names = 1; }`
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub struct AreasReply {
    /// The names of the areas.
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
}

/// `message AreasRequest { string kind = 1; }`
#[derive(Clone, PartialEq, prost::Message)]
pub struct AreasRequest {
    /// `buy` or `rent`.
    #[prost(string, tag = "1")]
    pub kind: String,
}

#[cache_result(ttl = "1h", prefix = "tonic-areas", skip(db))]
async fn areas(db: &Database, kind: &str) -> Result<AreasReply, Status> {
    let areas = db.areas(kind).await.map_err(|error| Status::not_found(error.to_string()))?;
    Ok(AreasReply { names: areas.into_iter().map(|area| area.name).collect() })
}

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Market {
    /// What it asks.
    pub db: Database,
}

impl generated::Areas for Market {
    async fn list(&self, request: Request<AreasRequest>) -> Result<Response<AreasReply>, Status> {
        Ok(Response::new(areas(&self.db, &request.into_inner().kind).await?))
    }
}

#[cfg(test)]
mod tests {
    use cache_runtime::Cache;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::Code;
    use tonic::transport::{Endpoint, Server};

    use super::generated::{AreasServer, list};
    use super::*;

    #[tokio::test]
    async fn the_second_request_asks_no_database() {
        let market = Market::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(AreasServer(market.clone()));
        // tonic handles requests in tasks of its own, which are in no scope.
        cache_runtime::init(Cache::in_memory()).unwrap();
        let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let channel =
            Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let ask = async |kind: &str| list(channel.clone(), kind).await;
        let reply = ask("buy").await.unwrap();
        Cache::global().flush().await;
        assert_eq!(ask("buy").await.unwrap(), reply);
        assert_eq!(market.db.queries(), 1);
        assert_eq!(ask("swap").await.unwrap_err().code(), Code::NotFound);
        serving.abort();
    }
}
