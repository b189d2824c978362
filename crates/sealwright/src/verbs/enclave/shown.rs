//! Enclaves as tables and as fields.

use api::enclaves::{Enclave, EnclaveEvent, State};
use client::time;

use crate::output::{Columns, age, fields, table};

/// One enclave, all of it.
pub(super) fn one(enclave: &Enclave) -> String {
    let mut lines = vec![("enclave", enclave.name.clone()), ("state", enclave.state.as_str().to_owned())];
    lines.extend(reason(enclave).map(|reason| ("reason", reason)));
    lines.extend(enclave.message.clone().map(|message| ("message", message)));
    lines.extend(queue(enclave.queue_position, enclave.queue_size).map(|place| ("queue", place)));
    lines.extend(stops(enclave, time::now()).map(|stops| ("stops", stops)));
    lines.extend([
        ("app", format!("{} {}", enclave.app, enclave.version)),
        ("version digest", enclave.version_digest.to_string()),
        ("incarnation", enclave.incarnation.to_string()),
        ("id", enclave.id.to_string()),
        ("host", enclave.host.clone()),
        ("edge", enclave.edge.clone()),
        ("created", time::format(enclave.created_at)),
    ]);
    let next = match enclave.state {
        State::Running => Some(format!("sealwright enclave verify {}", enclave.name)),
        State::Failed => Some(format!("sealwright enclave logs {}", enclave.name)),
        _ => None,
    };
    lines.extend(next.map(|next| ("next", next)));
    fields(&lines)
}

/// All of them.
pub(super) fn all(enclaves: &[Enclave], columns: Columns) -> String {
    let now = time::now();
    let dash = || "-".to_owned();
    let usual = |enclave: &Enclave| {
        let place = queue(enclave.queue_position, enclave.queue_size);
        [
            enclave.name.clone(),
            enclave.state.as_str().to_owned(),
            enclave.app.clone(),
            reason(enclave).or(place).unwrap_or_else(dash),
            stops(enclave, now).unwrap_or_else(dash),
        ]
    };
    match columns {
        Columns::Usual => {
            let row = |enclave: &Enclave| {
                let [name, state, app, reason, stops] = usual(enclave);
                [name, state, app, reason, stops, age(enclave.created_at, now)]
            };
            let rows: Vec<_> = enclaves.iter().map(row).collect();
            table(["NAME", "STATE", "APP", "REASON", "STOPS", "AGE"], &rows)
        }
        Columns::All => {
            let row = |enclave: &Enclave| {
                let [name, state, app, reason, stops] = usual(enclave);
                let starts = enclave.incarnation.to_string();
                let (version, host) = (enclave.version.clone(), enclave.host.clone());
                [name, state, app, version, reason, stops, starts, host, age(enclave.created_at, now)]
            };
            let rows: Vec<_> = enclaves.iter().map(row).collect();
            let headers = ["NAME", "STATE", "APP", "VERSION", "REASON", "STOPS", "STARTS", "HOST", "AGE"];
            table(headers, &rows)
        }
    }
}

/// What has happened.
pub(super) fn events(events: &[EnclaveEvent]) -> String {
    let row = |event: &EnclaveEvent| {
        let reason = code(event.reason.as_deref(), event.cause.as_deref()).unwrap_or_else(|| "-".into());
        let (seq, at) = (event.seq.to_string(), time::format(event.at));
        [seq, at, event.state.as_str().to_owned(), event.stage.clone(), reason, event.message.clone()]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    table(["NUMBER", "AT", "STATE", "STAGE", "REASON", "MESSAGE"], &rows)
}

/// A place in the queue of starts.
pub(super) fn queue(position: Option<u64>, size: Option<u64>) -> Option<String> {
    let position = position?;
    Some(size.map_or_else(|| format!("place {position}"), |size| format!("place {position} of {size}")))
}

/// When it stops by itself and why; nothing where it does not.
pub(super) fn stops(enclave: &Enclave, now: u64) -> Option<String> {
    let at = enclave.stops_at?;
    let left = if at > now { format!("in {}", age(now, at)) } else { "now".into() };
    Some(enclave.stop_reason.as_ref().map_or_else(|| left.clone(), |reason| format!("{left} ({reason})")))
}

fn reason(enclave: &Enclave) -> Option<String> {
    let stopped = enclave.stop_reason.as_deref().filter(|_| enclave.stops_at.is_none());
    code(enclave.reason.as_deref().or(stopped), enclave.cause.as_deref())
}

fn code(reason: Option<&str>, cause: Option<&str>) -> Option<String> {
    let reason = reason?;
    Some(cause.map_or_else(|| reason.to_owned(), |cause| format!("{reason} ({cause})")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn enclave(more: &serde_json::Value) -> Enclave {
        let mut json = serde_json::json!({
            "id": "00".repeat(16), "name": "notes", "app": "hello", "version": "1", "version_digest": "00".repeat(32),
            "state": "running", "incarnation": 1, "host": "h", "edge": "e:1", "owner": "00".repeat(32), "created_at": 0,
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_stop_to_come_is_counted_down_with_its_reason() {
        let idle = enclave(&serde_json::json!({"stops_at": 1600, "stop_reason": "idle"}));
        assert_eq!(stops(&idle, 1000).unwrap(), "in 10m (idle)");
        assert_eq!(stops(&idle, 2000).unwrap(), "now (idle)");
        assert_eq!(stops(&enclave(&serde_json::json!({})), 0), None);
    }

    #[test]
    fn the_real_reason_is_shown() {
        let failed =
            enclave(&serde_json::json!({"state": "failed", "reason": "app_ended", "cause": "exit-3"}));
        assert_eq!(reason(&failed).unwrap(), "app_ended (exit-3)");
        let stopped = enclave(&serde_json::json!({"state": "stopped", "stop_reason": "idle"}));
        assert_eq!(reason(&stopped).unwrap(), "idle");
        assert_eq!(queue(Some(2), Some(5)).unwrap(), "place 2 of 5");
    }

    #[test]
    fn the_first_column_is_the_name_and_the_last_the_age() {
        for columns in [Columns::Usual, Columns::All] {
            let table = all(&[enclave(&serde_json::json!({}))], columns);
            let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
            assert_eq!((header.first(), header.last()), (Some(&"NAME"), Some(&"AGE")));
        }
    }
}
