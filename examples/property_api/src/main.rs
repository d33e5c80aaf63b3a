//! The API of a property site: slow statistics over 300,000 listings in `SQLite`, cached in Redis.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1 cargo run --release -p property_api
//! curl -i localhost:8080/api/areas/buy    # x-cache: computed
//! curl -i localhost:8080/api/areas/buy    # x-cache: hit
//! ```
//!
//! Without `REDIS_URL` values are kept in the process, and if Redis goes away the service goes on
//! without it. `--measure` prints what the cache is worth. With `CACHE_ADMIN_TOKEN` (16 characters or more) the
//! cache's page is at `/cache`: the token is the password, with any user name.

mod api;
mod database;
mod error;
mod listings;
mod market;
mod measure;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use cache_admin::{Access, Admin, Role};
use cache_runtime::Cache;
use clap::Parser;
use sqlx::SqlitePool;
use tokio::net::TcpListener;

/// The API of a property site, cached in Redis.
#[derive(Debug, Parser)]
struct Options {
    /// The port on the loopback interface; 0 takes a free one.
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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    announce(listener.local_addr()?);
    let app = with_admin(api::router(db.clone()), db)?;
    axum::serve(listener, app).with_graceful_shutdown(interrupted()).await?;
    if let Err(error) = Cache::global().close(Duration::from_secs(5)).await {
        eprintln!("{error}");
    }
    Ok(())
}

/// Adds the cache's page at `/cache`, where there is a token for it.
fn with_admin(app: Router, db: SqlitePool) -> anyhow::Result<Router> {
    let Ok(token) = std::env::var("CACHE_ADMIN_TOKEN") else {
        tracing::info!("no page of the cache: set CACHE_ADMIN_TOKEN for one at /cache");
        return Ok(app);
    };
    let access = Access::token(Role::Operate, token).context("CACHE_ADMIN_TOKEN")?;
    let admin = Admin::new(&Cache::global(), access)
        .warmer("areas", move || std::future::ready(api::all_areas(&db)));
    Ok(app.nest_service("/cache", admin.router()))
}

/// For whoever started the service with port 0.
fn announce(address: SocketAddr) {
    // Made now, so that a wrong setting is told at the start rather than at the first request.
    let cache = Cache::global().health().status;
    println!("listening on http://{address}");
    tracing::info!(%address, ?cache, "listening");
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the default one ends the process.
        std::future::pending::<()>().await;
    }
    tracing::info!("shutting down");
}
