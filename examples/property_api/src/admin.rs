//! The page of the cache, where there is a token for it.

use anyhow::Context as _;
use axum::Router;
use cache_admin::{Access, Admin, Role};
use cache_runtime::Cache;
use sqlx::SqlitePool;

use crate::api;

/// The variables that hold tokens for the page, and what their holders may do.
const TOKENS: [(&str, Role); 2] =
    [("CACHE_ADMIN_TOKEN", Role::Operate), ("CACHE_VIEW_TOKEN", Role::View)];

/// Adds the cache's page, where there is a token for it.
pub(crate) fn with_page(app: Router, db: SqlitePool, path: &str) -> anyhow::Result<Router> {
    let Some(access) = access()? else {
        tracing::info!("no page of the cache: set CACHE_ADMIN_TOKEN for one at {path}");
        return Ok(app);
    };
    let admin = Admin::new(&Cache::global(), access)
        .warmer("areas", move || std::future::ready(api::all_areas(&db)));
    Ok(app.nest_service(path, admin.router()))
}

/// Every token that is set, with its role; `None` without one.
fn access() -> anyhow::Result<Option<Access>> {
    let mut access: Option<Access> = None;
    for (variable, role) in TOKENS {
        let Some(token) = secret(variable)? else { continue };
        let with_it = match access {
            Some(access) => access.or_token(role, token),
            None => Access::token(role, token),
        };
        access = Some(with_it.context(variable)?);
    }
    Ok(access)
}

/// A path such as `/cache` or `/a/b/`, beside those of the API. axum panics at a path that has a meaning
/// of its own, such as `/{name}`, or that is taken.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let names = path.strip_prefix('/').ok_or("it has to begin with `/` and a name")?;
    let plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !names.split('/').all(plain) {
        return Err("its names are made of ASCII letters, digits, `-`, `_` and `.`".to_owned());
    }
    match names.split('/').next() {
        Some(taken @ ("api" | "health")) => Err(format!("`/{taken}` is a path of the API")),
        _ => Ok(path.to_owned()),
    }
}

/// A variable, or the content of the file that the variable of that name with `_FILE` names.
fn secret(name: &str) -> anyhow::Result<Option<String>> {
    if let Ok(secret) = std::env::var(name) {
        return Ok(Some(secret));
    }
    let variable = format!("{name}_FILE");
    let Ok(file) = std::env::var(&variable) else { return Ok(None) };
    let secret = std::fs::read_to_string(&file).with_context(|| format!("{variable}: {file}"))?;
    Ok(Some(secret.trim_end().to_owned()))
}
