//! Two processes of the service over one Redis, with a page each, and callers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use support::Server;
use tempfile::TempDir;

use crate::process::{Call, Service, program};

/// The token of the role `operate`.
pub(crate) const OPERATE: &str = "operate-4f1c9a0b7d2e8836";
/// The token of the role `view`.
pub(crate) const VIEW: &str = "view-b0a2c5d7e9f1a3b4";

const KINDS: [&str; 6] = ["buy", "sold", "auction", "new-homes", "rent", "student"];
const PLACES: [&str; 6] = ["Bow", "Camden", "Hackney", "Islington", "Lewisham", "Richmond"];

/// The processes of a test, with what they need.
pub(crate) struct Scene {
    pub(crate) redis: Server,
    pub(crate) services: [Arc<Service>; 2],
    _folder: TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        Self::start_with(20_000, &[], &[]).await
    }

    /// Starts it with so many listings in the database, further options, and further variables.
    pub(crate) async fn start_with(
        listings: u32,
        options: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let redis = Server::start().await;
        let database = folder.path().join("property.db");
        let services =
            [(); 2].map(|()| Arc::new(service(&database, listings, &redis, options, variables)));
        Self { redis, services, _folder: folder }
    }

    /// The address of the page of one process, with a token as a browser takes it.
    pub(crate) fn page(&self, process: usize, token: &str, path: &str) -> String {
        let address = self.services[process].base.strip_prefix("http://").expect("an address");
        format!("http://tester:{token}@{address}{path}")
    }

    /// Calls both processes from as many clients each, until the load ends.
    pub(crate) fn load(&self, clients: usize, pause: Duration) -> Load {
        let (ends, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |number: usize| {
            let service = self.services[number % 2].clone();
            let (ends, answered) = (ends.clone(), answered.clone());
            thread::spawn(move || {
                for turn in number.. {
                    if ends.load(Ordering::SeqCst) {
                        return;
                    }
                    request(&service, number, turn);
                    answered.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(pause);
                }
            })
        };
        let clients = (0..2 * clients).map(client).collect();
        Load { ends, answered, clients }
    }
}

fn service(
    database: &Path,
    listings: u32,
    redis: &Server,
    options: &[&str],
    variables: &[(&str, &str)],
) -> Service {
    let mut command = program(database, listings);
    command.env("REDIS_URL", redis.url()).env("CACHE_ENVIRONMENT", "staging:amber");
    command.env("CACHE_NAMESPACE", "homes");
    command.env("CACHE_ADMIN_TOKEN", OPERATE).env("CACHE_VIEW_TOKEN", VIEW);
    command.args(options).envs(variables.iter().copied());
    Service::launch(command)
}

/// One request that has to succeed. Lists repeat; of the valuations, one in four is of a home that nobody
/// has asked about.
fn request(service: &Service, client: usize, turn: usize) {
    let kind = KINDS[turn / 3 % KINDS.len()];
    let answer = match turn % 3 {
        0 => service.call(Call(&format!("/api/areas/{kind}"), None)),
        1 => service.call(Call(&format!("/api/property-types/{kind}"), None)),
        _ => service.call(Call("/api/property/valuation", Some(&home(client, turn)))),
    };
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn home(client: usize, turn: usize) -> String {
    let place = PLACES[turn % PLACES.len()];
    let (bedrooms, floor_area) = match turn % 4 {
        0 => (1 + turn / 12 % 20, 10 + (331 * client + 7 * turn) % 1990),
        _ => (2, 60),
    };
    json!({
        "type": "buy",
        "area": place,
        "property_type": "flat",
        "bedrooms": bedrooms,
        "floor_area": floor_area,
    })
    .to_string()
}

/// Callers under way.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Ends it. Every request was answered with success, or this panics.
    pub(crate) fn end(mut self) -> usize {
        self.ends.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("every request succeeds");
        }
        self.answered()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
    }
}
