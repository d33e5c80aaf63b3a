//! What a row runs over.

/// A deployment of Redis, with what is to go wrong in it.
pub trait Deployment {
    /// The URL, for `REDIS_URL`.
    fn url(&self) -> String;

    /// Begins what goes wrong.
    fn inflict(&mut self) -> impl Future<Output = ()>;

    /// Ends it, and returns once a `PING` is answered with `PONG`.
    fn heal(&mut self) -> impl Future<Output = ()>;

    /// Whether what goes wrong may bring back what was acknowledged as gone: the third exception of the
    /// promise.
    fn loses_writes(&self) -> bool {
        false
    }
}
