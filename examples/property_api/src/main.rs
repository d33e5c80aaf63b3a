//! The API of a property site: slow statistics over 300,000 listings in `SQLite`, cached in Redis.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1 cargo run --release -p property_api
//! curl -i localhost:8080/api/areas/buy    # x-cache: computed
//! curl -i localhost:8080/api/areas/buy    # x-cache: hit
//! ```
//!
//! Without `REDIS_URL` values are kept in the process, and if Redis goes away the service goes on
//! without it. `--measure` prints what the cache is worth.
//!
//! With `CACHE_ADMIN_TOKEN` (16 bytes or more) the cache's page is at `/cache`, or at the path that
//! `--admin-path` names: the token is the password, with any user name, and its holder may change things.
//! The holder of `CACHE_VIEW_TOKEN` may only look, as Prometheus does. Each of the two may be in a file, which
//! `CACHE_ADMIN_TOKEN_FILE` or `CACHE_VIEW_TOKEN_FILE` names.

mod admin;
mod api;
mod database;
mod error;
mod listings;
mod market;
mod measure;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cache_runtime::Cache;
use clap::Parser;
use tokio::net::TcpListener;

/// The API of a property site, cached in Redis.
#[derive(Debug, Parser)]
struct Options {
    /// The address to listen at: `0.0.0.0` in a container, whose loopback interface nobody reaches.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The database file, made at the first start. Default: `property.db` in the folder for
    /// temporary files.
    #[arg(long)]
    database: Option<PathBuf>,
    /// How many listings the file holds. With another number it is made anew; answers that are
    /// already cached then live on until their time is up.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u32).range(1000..=5_000_000))]
    listings: u32,
    /// Where the page of the cache is served, if `CACHE_ADMIN_TOKEN` or `CACHE_VIEW_TOKEN` is set.
    #[arg(long, default_value = "/cache", value_parser = admin::path)]
    admin_path: String,
    /// Measures each endpoint cold and cached, prints a table, and ends.
    #[arg(long)]
    measure: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // To stderr: stdout carries the address, or the table.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::parse();
    let file = options.database.unwrap_or_else(|| std::env::temp_dir().join("property.db"));
    let db = database::open(&file, options.listings).await?;
    if options.measure {
        return measure::measure(db).await;
    }
    let listener = TcpListener::bind((options.address, options.port)).await?;
    announce(listener.local_addr()?);
    let app = admin::with_page(api::router(db.clone()), db, &options.admin_path)?;
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    if let Err(error) = Cache::global().close(Duration::from_secs(5)).await {
        eprintln!("{error}");
    }
    Ok(())
}

/// Tells a caller that has asked for port 0 which one it is.
fn announce(address: SocketAddr) {
    // Made now, so that a wrong setting is told at the start rather than at the first request.
    let cache = Cache::global().health().status;
    println!("listening on http://{address}");
    tracing::info!(%address, ?cache, "listening");
}

/// Waits for Ctrl-C, or for the signal by which containers are stopped.
async fn interrupted() {
    tokio::select! {
        () = interrupt() => {}
        () = terminate() => {}
    }
    tracing::info!("shutting down");
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the default one ends the process.
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminate() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminate() {
    std::future::pending().await
}
