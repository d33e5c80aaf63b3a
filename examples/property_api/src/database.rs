//! The database file: made once, then opened for reading.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use crate::listings::{self, Listing};

/// Marks a file as ours, so that `--database` never replaces somebody else's.
const APPLICATION: i64 = 0x7072_6f70;
/// A statement takes 32,766 parameters; a row has 11.
const BATCH: usize = 1000;

const TABLE: &str = "CREATE TABLE listing (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, area TEXT NOT NULL, property_type TEXT NOT NULL,
    bedrooms INTEGER NOT NULL, floor_area INTEGER NOT NULL, built INTEGER NOT NULL,
    days_listed INTEGER NOT NULL, east REAL NOT NULL, north REAL NOT NULL, price INTEGER NOT NULL)";

/// Opens the file, and makes it first where it is missing or holds another number of listings.
pub(crate) async fn open(path: &Path, count: u32) -> anyhow::Result<SqlitePool> {
    if !is_filled(path, count).await? {
        fill(path, count).await.with_context(|| format!("cannot make {}", path.display()))?;
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    Ok(SqlitePoolOptions::new().max_connections(4).connect_with(options).await?)
}

async fn is_filled(path: &Path, count: u32) -> anyhow::Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let foreign = || format!("{} is not a file of this program: left alone", path.display());
    let mut file = SqliteConnection::connect_with(&options).await.with_context(foreign)?;
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut file)
        .await
        .with_context(foreign)?;
    ensure!(mark == APPLICATION, foreign());
    let filled: u32 =
        sqlx::query_scalar("SELECT count(*) FROM listing").fetch_one(&mut file).await?;
    file.close().await?;
    Ok(filled == count)
}

/// Fills a file under another name and renames it at the end: what has the name is complete.
async fn fill(path: &Path, count: u32) -> anyhow::Result<()> {
    let partial = Partial::beside(path);
    let options = SqliteConnectOptions::new()
        .filename(&partial.0)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("application_id", APPLICATION.to_string());
    let mut file = SqliteConnection::connect_with(&options).await?;
    sqlx::query(TABLE).execute(&mut file).await?;
    insert_all(&mut file, count).await?;
    file.close().await?;
    std::fs::File::open(&partial.0)?.sync_all()?;
    std::fs::rename(&partial.0, path)?;
    Ok(())
}

async fn insert_all(file: &mut SqliteConnection, count: u32) -> sqlx::Result<()> {
    let bar = progress(count);
    let mut listings = listings::generate(count).peekable();
    let mut transaction = file.begin().await?;
    while listings.peek().is_some() {
        let batch: Vec<Listing> = listings.by_ref().take(BATCH).collect();
        insert(&mut transaction, &batch).await?;
        bar.inc(batch.len() as u64);
    }
    transaction.commit().await?;
    bar.finish();
    Ok(())
}

async fn insert(file: &mut SqliteConnection, batch: &[Listing]) -> sqlx::Result<()> {
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO listing ");
    insert.push_values(batch, |mut row, listing| {
        row.push_bind(listing.id)
            .push_bind(listing.kind)
            .push_bind(listing.place.name)
            .push_bind(listing.property_type)
            .push_bind(listing.bedrooms)
            .push_bind(listing.floor_area)
            .push_bind(listing.built)
            .push_bind(listing.days_listed)
            .push_bind(listing.east)
            .push_bind(listing.north)
            .push_bind(listing.price);
    });
    insert.build().execute(file).await?;
    Ok(())
}

fn progress(count: u32) -> ProgressBar {
    let line = "{msg} {bar:40} {human_pos} of {human_len} listings, {elapsed}";
    let style = ProgressStyle::with_template(line).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count.into()).with_style(style).with_message("filling the database")
}

/// A file that is being filled, removed where that fails.
struct Partial(PathBuf);

impl Partial {
    /// The process id keeps two first starts apart.
    fn beside(path: &Path) -> Self {
        let partial = Self(path.with_extension(format!("{}.partial.db", std::process::id())));
        partial.remove();
        partial
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.remove();
    }
}
