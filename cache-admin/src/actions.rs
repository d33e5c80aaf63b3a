//! What operators do: look at an entry, invalidate, switch, warm.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cache_runtime::__admin::{Inspected, inspect, invalidate_key, settings};
use cache_runtime::{Error, StoredKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::{Caller, Role};
use crate::counters::seconds;
use crate::fleet::SwitchError;
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::view::{self, Scope};
use crate::warmers::WarmError;

type Body<T> = Result<Json<T>, JsonRejection>;

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;

/// The longest time for which something is switched off, in seconds.
const DAY: u64 = 24 * 60 * 60;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Look {
    key: String,
}

/// `POST entry`.
pub(crate) async fn entry(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Body<Look>,
) -> Result<Response, Refusal> {
    let Look { key } = read(body)?;
    let found = inspect(&shared.cache, &key).await.map_err(|error| of_store(&error))?;
    let Some(found) = found else {
        return Ok(Json(json!({ "key": key, "state": "absent", "live": null })).into_response());
    };
    let mut answer = json!({
        "key": key,
        "state": found.kind.map_or("foreign", StoredKind::as_str),
        "live": found.live,
        "ttl_left_seconds": seconds(found.ttl_left),
        "size_bytes": found.size,
    });
    if let (Some(kind), Value::Object(fields)) = (found.kind, &mut answer) {
        fields.insert("function".into(), json!(found.function));
        fields.insert("age_seconds".into(), json!(seconds(found.age)));
        fields.insert("cost_seconds".into(), json!(found.cost.as_secs_f64()));
        fields.insert("version".into(), json!(found.version));
        fields.insert("stale".into(), json!(found.stale));
        if kind == StoredKind::Value && caller.role >= Role::Reveal {
            let (name, value) = reveal(&found);
            let result = if name == "value" { "shown" } else { "not readable" };
            shared.audit.record(&caller.who, "reveal", format!("key {key}"), "", result);
            fields.insert(name.into(), value);
        }
    }
    Ok(Json(answer).into_response())
}

/// The value, or why there is none to show.
fn reveal(found: &Inspected) -> (&'static str, Value) {
    match found.value::<Value>() {
        Ok(value) => ("value", value),
        Err(why) => ("value_error", Value::String(why)),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invalidate {
    prefix: Option<String>,
    tag: Option<String>,
    key: Option<String>,
    all: Option<bool>,
    confirm: Option<String>,
    reason: Option<String>,
}

/// What is to be invalidated.
#[derive(Debug, Clone)]
enum Target {
    Prefix(String),
    Tag(String),
    Key(String),
    All,
}

impl Target {
    fn text(&self) -> String {
        match self {
            Self::Prefix(prefix) => format!("prefix {prefix}"),
            Self::Tag(tag) => format!("tag {tag}"),
            Self::Key(key) => format!("key {key}"),
            Self::All => "everything".to_owned(),
        }
    }
}

impl Invalidate {
    fn target(&self) -> Result<Target, Refusal> {
        match (&self.prefix, &self.tag, &self.key, self.all) {
            (Some(prefix), None, None, None) => Ok(Target::Prefix(prefix.clone())),
            (None, Some(tag), None, None) => Ok(Target::Tag(tag.clone())),
            (None, None, Some(key), None) => Ok(Target::Key(key.clone())),
            (None, None, None, Some(true)) => Ok(Target::All),
            _ => Err(Refusal::bad("name exactly one of `prefix`, `tag`, `key` and `all`: true")),
        }
    }
}

/// `POST invalidate`.
pub(crate) async fn invalidate(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Body<Invalidate>,
) -> Result<Response, Refusal> {
    let body = read(body)?;
    let target = body.target()?;
    let reason = reason(body.reason.as_deref())?;
    if settings(&shared.cache).topology == "off" {
        return Err(Refusal(StatusCode::CONFLICT, "the cache is off by its configuration".into()));
    }
    if matches!(target, Target::All) {
        let namespace = settings(&shared.cache).namespace;
        if body.confirm.as_deref() != Some(&namespace) {
            let problem = "`confirm` has to be the namespace of the cache".to_owned();
            return Err(Refusal(StatusCode::CONFLICT, problem));
        }
        if !shared.clears.allows() {
            return Err(Refusal::busy("everything is cleared once a second at most"));
        }
    }
    detached(async move {
        let done = carry_out(&shared, &target).await;
        let result = match &done {
            Ok(_) => "ok".to_owned(),
            Err(error) if is_pending(&target, error) => format!("pending: {error}"),
            Err(error) => format!("failed: {error}"),
        };
        shared.audit.record(&caller.who, "invalidate", target.text(), &reason, &result);
        match done {
            Ok(removed) => {
                Ok(answer(StatusCode::OK, &json!({ "removed": removed, "pending": false })))
            }
            Err(error) if is_pending(&target, &error) => {
                Ok(answer(StatusCode::ACCEPTED, &json!({ "removed": null, "pending": true })))
            }
            Err(error) => Err(of_store(&error)),
        }
    })
    .await
}

/// Whether the runtime sends the invalidation again until Redis confirms it: all but clearing everything, and
/// keys that are none of this cache's.
fn is_pending(target: &Target, error: &Error) -> bool {
    !matches!(target, Target::All) && !error.is_value()
}

/// How many keys were removed, where that is known.
async fn carry_out(shared: &Shared, target: &Target) -> Result<Option<u64>, Error> {
    match target {
        Target::Prefix(prefix) => shared.cache.invalidate_prefix(prefix).await?,
        Target::Tag(tag) => shared.cache.invalidate_tag(tag).await?,
        Target::Key(key) => invalidate_key(&shared.cache, key).await?,
        Target::All => return shared.member.clear().await.map(Some),
    }
    Ok(None)
}

/// Which processes a switch concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reach {
    Process,
    Fleet,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    on: bool,
    prefix: Option<String>,
    reason: Option<String>,
    seconds: Option<u64>,
    reach: Reach,
}

impl Switch {
    fn text(&self) -> String {
        let what = self.prefix.as_ref().map(|prefix| format!("prefix {prefix}"));
        let what = what.unwrap_or_else(|| "everything".to_owned());
        let time = self.seconds.filter(|_| !self.on).map(|seconds| format!(" for {seconds} s"));
        let reach = if self.reach == Reach::Fleet { "fleet" } else { "process" };
        format!("{what}{}, {reach}", time.unwrap_or_default())
    }
}

/// `POST switch`.
pub(crate) async fn switch(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Body<Switch>,
) -> Result<Response, Refusal> {
    let body = read(body)?;
    let reason = if body.on && body.reason.as_deref().is_none_or(|reason| reason.trim().is_empty())
    {
        String::new()
    } else {
        reason(body.reason.as_deref())?
    };
    if !body.on && !body.seconds.is_some_and(|seconds| (1..=DAY).contains(&seconds)) {
        return Err(Refusal::bad("`seconds` has to be between 1 and 86400"));
    }
    if body.reach == Reach::Fleet && !shared.member.is_shared() {
        let problem =
            "the store is not shared with other processes: the reach can be `process` only";
        return Err(Refusal(StatusCode::CONFLICT, problem.to_owned()));
    }
    detached(async move {
        let extra = if body.on { None } else { extra(&shared, &body).await };
        let done = turn(&shared, &body, &reason, &caller.who).await;
        let result = done.as_ref().err().map(|Refusal(_, why)| format!("failed: {why}"));
        let action = if body.on { "switch on" } else { "switch off" };
        let result = result.as_deref().unwrap_or("ok");
        shared.audit.record(&caller.who, action, body.text(), &reason, result);
        done?;
        let (runs, seconds) = extra.unzip();
        Ok(answer(
            StatusCode::OK,
            &json!({
                "reach": body.reach,
                "extra_runs_per_second": runs,
                "extra_seconds_per_second": seconds,
            }),
        ))
    })
    .await
}

async fn turn(shared: &Shared, body: &Switch, reason: &str, who: &str) -> Result<(), Refusal> {
    let (member, prefix) = (&shared.member, body.prefix.as_deref());
    let time = Duration::from_secs(body.seconds.unwrap_or_default());
    match (body.reach, body.on) {
        (Reach::Process, true) => member.switch_process_on(prefix),
        (Reach::Process, false) => member.switch_process_off(prefix, time, reason, who),
        (Reach::Fleet, true) => {
            if !member.switch_fleet_on(prefix).await.map_err(of_switch)? {
                let problem = "nothing of this name is switched off in the fleet".to_owned();
                return Err(Refusal(StatusCode::NOT_FOUND, problem));
            }
        }
        (Reach::Fleet, false) => {
            let prefix = body.prefix.clone();
            member.switch_fleet_off(prefix, time, reason, who).await.map_err(of_switch)?;
        }
    }
    let off = shared.cache.switches().iter().any(|switch| switch.prefix == body.prefix);
    if !body.on && !off {
        let problem = "this process knows too many prefixes, and did not switch this one off";
        return Err(Refusal(StatusCode::CONFLICT, problem.to_owned()));
    }
    Ok(())
}

/// What a switch costs by the figures of the last minute: runs of functions a second, and the time that they
/// take; `None` before there are figures.
async fn extra(shared: &Shared, body: &Switch) -> Option<(f64, f64)> {
    let scope = if body.reach == Reach::Fleet { Scope::Fleet } else { Scope::Process };
    let (group, seconds) = view::group(shared, body.prefix.as_deref(), scope).await;
    let seconds = seconds as f64;
    let saved = group.minute.saved_millis as f64 / 1000.0;
    (seconds > 0.0).then(|| (group.minute.served as f64 / seconds, saved / seconds))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warm {
    name: String,
    reason: Option<String>,
}

/// `POST warm`.
pub(crate) async fn warm(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Body<Warm>,
) -> Result<Response, Refusal> {
    let body = read(body)?;
    let reason = reason(body.reason.as_deref())?;
    if !shared.warmers.iter().any(|warmer| warmer.name == body.name) {
        return Err(Refusal(StatusCode::NOT_FOUND, "there is no warmer of this name".to_owned()));
    }
    detached(async move {
        let named = shared.warmers.iter().find(|warmer| warmer.name == body.name);
        let Some(warmer) = named else { return Err(Refusal::failed()) };
        let started = warmer.start(&shared.cache).await;
        let result = match &started {
            Ok(total) => format!("started: {total} calls"),
            Err(WarmError::Running) => "refused: it runs already".to_owned(),
            Err(WarmError::Panicked) => "failed: the list of its calls has panicked".to_owned(),
        };
        shared.audit.record(&caller.who, "warm", body.name.clone(), &reason, &result);
        match started {
            Ok(total) => {
                Ok(answer(StatusCode::ACCEPTED, &json!({ "name": body.name, "total": total })))
            }
            Err(WarmError::Running) => {
                Err(Refusal(StatusCode::CONFLICT, "this warmer runs already".to_owned()))
            }
            Err(WarmError::Panicked) => Err(Refusal::failed()),
        }
    })
    .await
}

fn read<T>(body: Body<T>) -> Result<T, Refusal> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(rejection) => {
            let status = match rejection.status() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                other => other,
            };
            Err(Refusal(status, rejection.body_text()))
        }
    }
}

/// A reason is required: it is what the log is read for.
fn reason(given: Option<&str>) -> Result<String, Refusal> {
    let given = given.map(str::trim).filter(|reason| !reason.is_empty());
    let given = given.ok_or_else(|| Refusal::bad("a `reason` is required"))?;
    if given.len() > LONGEST_REASON {
        return Err(Refusal::bad("the `reason` is longer than 500 bytes"));
    }
    Ok(given.to_owned())
}

/// Carries an action out to its end, also where the client closes the connection meanwhile.
async fn detached<F>(action: F) -> Result<Response, Refusal>
where
    F: Future<Output = Result<Response, Refusal>> + Send + 'static,
{
    tokio::spawn(action).await.unwrap_or_else(|_| Err(Refusal::failed()))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, Json(body)).into_response()
}

fn of_store(error: &Error) -> Refusal {
    let status =
        if error.is_value() { StatusCode::BAD_REQUEST } else { StatusCode::SERVICE_UNAVAILABLE };
    Refusal(status, error.to_string())
}

fn of_switch(error: SwitchError) -> Refusal {
    match error {
        SwitchError::Store(error) => of_store(&error),
        SwitchError::Full => {
            let problem = "8 switches of the fleet are in force, and there is no room for more";
            Refusal(StatusCode::CONFLICT, problem.to_owned())
        }
    }
}
