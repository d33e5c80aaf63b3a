//! `cachectl switch`: the cache, or a prefix, off for a while, and on.

use serde_json::json;

use super::args::{Common, Reach, State, Switch};
use super::failure::{Exit, Failure};
use super::fleet::Fleet;
use super::http::Api;
use super::terminal;
use crate::fleet::SwitchError;

/// The longest time for which something is switched off.
const DAY: u64 = 24 * 60 * 60;

pub(super) async fn run(common: &Common, options: &Switch, as_json: bool) -> Result<Exit, Failure> {
    let off = options.state == State::Off;
    let seconds = options.time.as_secs();
    let reason = options.reason.clone().unwrap_or_default();
    if off && reason.trim().is_empty() {
        return Err(Failure::usage("switch off: give a --reason, which the other operators see"));
    }
    if off && !(1..=DAY).contains(&seconds) {
        return Err(Failure::usage("--for: between 1 s and a day"));
    }
    let processes = match &common.admin {
        Some(url) => {
            let mut body =
                json!({ "on": !off, "prefix": options.prefix, "reach": options.reach.as_str() });
            if off {
                body["seconds"] = json!(seconds);
                body["reason"] = json!(reason);
            }
            Api::at(url)?.post("switch", body).await?;
            None
        }
        None if options.reach == Reach::Process => {
            return Err(Failure::usage("--reach process: name the process by --admin"));
        }
        None => by_redis(&Fleet::of(common).await?, options, &reason).await?,
    };
    tell(options, processes, as_json);
    Ok(Exit::Fine)
}

/// Writes the switch for all processes, or removes it; how many of them there are, where that can be found out.
async fn by_redis(fleet: &Fleet, options: &Switch, reason: &str) -> Result<Option<usize>, Failure> {
    let failed = |error: SwitchError| match error {
        SwitchError::Store(error) => Failure::failed(error.to_string()),
        SwitchError::Full => {
            Failure::failed("8 switches are in force, and there is no room for more")
        }
    };
    let prefix = options.prefix.as_deref();
    match options.state {
        State::Off => {
            let prefix = options.prefix.clone();
            let switched = fleet.member.switch_fleet_off(prefix, options.time, reason, "cachectl");
            switched.await.map_err(failed)?;
        }
        State::On => {
            if !fleet.member.switch_fleet_on(prefix).await.map_err(failed)? {
                return Err(Failure::failed("nothing of this name is switched off in the fleet"));
            }
        }
    }
    // The switch is written by now, whether its readers can be counted or not.
    Ok(fleet.processes().await.ok())
}

fn tell(options: &Switch, processes: Option<usize>, as_json: bool) {
    let what = options.prefix.as_ref().map(|prefix| format!("prefix {prefix}"));
    let what = what.unwrap_or_else(|| "the cache".to_owned());
    let state = options.state.as_str();
    if as_json {
        terminal::print_json(&json!({
            "schema": 1,
            "command": "switch",
            "state": state,
            "prefix": options.prefix,
            "reach": options.reach.as_str(),
            "seconds": (options.state == State::Off).then_some(options.time.as_secs()),
            "processes": processes,
        }));
    } else {
        let time = humantime::format_duration(options.time);
        let time = if options.state == State::Off { format!(" for {time}") } else { String::new() };
        let reach = match (options.reach, processes) {
            (Reach::Process, _) => "in this process".to_owned(),
            (_, Some(count)) => format!("in {count} processes, within five seconds"),
            (_, None) => "in all processes, within five seconds".to_owned(),
        };
        terminal::print(&format!("{what} is switched {state}{time} {reach}"));
    }
    if processes == Some(0) {
        terminal::complain(
            "note: no process takes part in the fleet, so none sees the switch; a process does with \
             `cache_admin::router` or `cache_admin::heartbeat`",
        );
    }
}
