//! What `tonic-prost-build` makes of a service with one method, by hand, since it takes protoc.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{AreasReply, AreasRequest};

const PATH: &str = "/market.Areas/List";

/// `service Areas { rpc List(AreasRequest) returns (AreasReply); }`
pub trait Areas: Send + Sync + 'static {
    /// The areas of a kind.
    fn list(
        &self,
        request: Request<AreasRequest>,
    ) -> impl Future<Output = Result<Response<AreasReply>, Status>> + Send;
}

/// Serves [`Areas`].
#[derive(Clone, Debug)]
pub struct AreasServer<A>(pub A);

impl<A> NamedService for AreasServer<A> {
    const NAME: &'static str = "market.Areas";
}

struct List<A>(Arc<A>);

impl<A: Areas> UnaryService<AreasRequest> for List<A> {
    type Response = AreasReply;
    type Future = BoxFuture<Response<AreasReply>, Status>;

    fn call(&mut self, request: Request<AreasRequest>) -> Self::Future {
        let areas = self.0.clone();
        Box::pin(async move { areas.list(request).await })
    }
}

impl<A: Areas + Clone> Service<http::Request<Body>> for AreasServer<A> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let list = List(Arc::new(self.0.clone()));
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let codec = ProstCodec::<AreasReply, AreasRequest>::default();
            Ok(Grpc::new(codec).unary(list, request).await)
        })
    }
}

/// The method of a client.
///
/// # Errors
///
/// The status that the server answers with.
pub async fn list(channel: Channel, kind: &str) -> Result<AreasReply, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = Request::new(AreasRequest { kind: kind.to_owned() });
    let path = http::uri::PathAndQuery::from_static(PATH);
    let codec = ProstCodec::<AreasRequest, AreasReply>::default();
    Ok(client.unary(request, path, codec).await?.into_inner())
}
