//! The admin page and JSON API of [`cache_runtime`], as an axum router: figures, the reasons behind them, and
//! safe actions.
//!
//! # Guarantees
//!
//! - **No request passes without a decision about access.** [`Access`] has no default, and every route refuses a
//!   request without a credential, unknown paths too. Roles are enforced by the server.
//! - **Calls do not wait for this crate.** Figures are read from counters that the runtime keeps anyway. A
//!   process writes its report for the others in a task of its own.
//! - **Values are shown to [`Role::Reveal`] alone,** one at a time, and each time is written to the audit log.
//! - **Everything that changes something** is a POST with a JSON body from the page's own origin, or from a
//!   program, has a reason, and is logged at target `cache_admin::audit`.
//! - **The page loads nothing,** and its Content-Security-Policy allows only its own script and style.
//! - **Without Redis the page still answers,** with the figures of its own process.
//!
//! # Mounting
//!
//! ```
//! use axum::Router;
//! use cache_admin::{Access, Role};
//! use cache_runtime::Cache;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), cache_admin::WeakToken> {
//! let access = Access::token(Role::Operate, "4f1c9a0b7d2e8836")?;
//! let admin = cache_admin::router(&Cache::in_memory(), access);
//! let app: Router = Router::new().nest_service("/cache", admin);
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! The page is at `/cache` and `/cache/`; with `nest`, only the first is routed. A browser asks for the token as a password, with any user name. A
//! proxy in front has to pass `Host` on, by which requests from other origins are told apart. Serve it over
//! TLS: tokens are sent with each request.
//!
//! # Routes
//!
//! [`ENDPOINTS`] lists them, with the role that each takes.
//!
//! Errors are `{"error": "<sentence>"}`: 400 for a body that is no request, 401 without a valid token, 403
//! where the host's check refuses or the request comes from another origin, 404, 405 for a role that is too low or
//! another method, 409 where a confirmation is wrong or something is under way, 413 for a body of more than
//! 16 KiB, 415 for one that is no JSON, 429 for more than ten POSTs a second (callers who may only view have ten of their own; one that clears everything), and
//! 503 where Redis does not answer.
//!
//! # The fleet
//!
//! Processes of one namespace over one Redis see each other: each writes a report every five seconds to one of 64
//! keys, which expires after fifteen. `stats` sums counters and gauges over them; `history`, `histograms` and
//! `health` are of the process that answers. A process reports its 50 busiest prefixes by name and the others as
//! a sum, `unnamed`. [`heartbeat`] makes a process without a page a member.
//!
//! A switch for the fleet concerns each process from its next beat on, five seconds later at most, and ends by
//! the expiry of its key. Where Redis is lost meanwhile, a process keeps the switch until its time is over.

//! # Crate features
//!
//! None is on by default.
//!
//! - `opentelemetry`: [`metrics::register`] makes observable instruments of `OpenTelemetry`.
//! - `metrics`: [`metrics::push`] and [`metrics::push_every`] for the recorder of the `metrics` crate.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod actions;
mod admin;
mod audit;
#[cfg(feature = "cachectl")]
#[doc(hidden)]
pub mod cachectl;
mod counters;
mod fleet;
pub mod metrics;
mod page;
mod refusal;
mod router;
pub mod server_timing;
mod shared;
mod view;
mod warmers;

pub use access::{Access, Role, WeakToken};
pub use admin::{Admin, router};
pub use fleet::{Heartbeat, heartbeat};
pub use router::{ENDPOINTS, Endpoint};
