//! What a row runs over.

/// A deployment of Redis, with what is to go wrong in it.
pub trait Deployment {
    /// The URL, for `REDIS_URL`.
    fn url(&self) -> String;

    /// Begins what goes wrong.
    fn inflict(&mut self) -> impl Future<Output = ()>;

    /// Ends it, or waits until it has ended by itself, and returns once there is somebody to serve
    /// everything.
    fn heal(&mut self) -> impl Future<Output = ()>;

    /// What comes later, while calls go on: a node that was replaced is back.
    fn aftermath(&mut self) -> impl Future<Output = ()> {
        async {}
    }

    /// Whether the deployment heals without help, so that nothing is to be waited for before.
    fn heals_by_itself(&self) -> bool {
        false
    }

    /// Whether what goes wrong may bring back what was acknowledged as gone: the third exception of the
    /// promise.
    fn loses_writes(&self) -> bool {
        false
    }

    /// On which part of the deployment each of these entries lies, where what goes wrong concerns it;
    /// each part has to serve again.
    fn parts(&mut self, entries: &[String]) -> impl Future<Output = Vec<Option<usize>>> {
        async { vec![Some(0); entries.len()] }
    }
}
