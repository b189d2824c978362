//! A Postman collection (v2.1) of the document: one folder that can be run from sign-up to deletion, and every operation by its area.
//!
//! newman runs the first folder against a real cell (`scripts/newman.sh`).

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::operations;

const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// One request of the run: operation, body (Postman's variables in it), status, code of a refusal, and what it leaves for later ones.
struct Step {
    operation: &'static str,
    title: &'static str,
    body: Option<&'static str>,
    status: u16,
    code: Option<&'static str>,
    keeps: &'static [(&'static str, &'static str)],
}

const fn step(operation: &'static str, title: &'static str, body: Option<&'static str>, status: u16) -> Step {
    Step { operation, title, body, status, code: None, keeps: &[] }
}

const CREDENTIALS: Option<&str> = Some(r#"{"name": "{{user}}", "password": "{{password}}"}"#);
const TOKENS: &[(&str, &str)] = &[("token", "access_token"), ("refresh_token", "refresh_token")];

/// Sign up, log in, publish, create, look, stop, start, delete, sign out; with the refusals that belong to it.
const RUN: &[Step] = &[
    step("health", "It is up", None, 200),
    step("signUp", "Sign up", CREDENTIALS, 201),
    Step { code: Some("name_taken"), ..step("signUp", "Sign up again", CREDENTIALS, 409) },
    Step {
        code: Some("bad_credentials"),
        ..step(
            "logIn",
            "Log in with a wrong password",
            Some(r#"{"name": "{{user}}", "password": "not the password"}"#),
            401,
        )
    },
    Step { keeps: TOKENS, ..step("logIn", "Log in", CREDENTIALS, 200) },
    step("me", "Who am I?", None, 200),
    Step {
        keeps: TOKENS,
        ..step(
            "refresh",
            "Exchange the refresh token",
            Some(r#"{"refresh_token": "{{refresh_token}}"}"#),
            200,
        )
    },
    step("missingBlobs", "What is missing?", Some(r#"{"digests": []}"#), 200),
    step("publish", "Publish", Some(r#"{"manifest": {{manifest}}, "record": "{{record}}"}"#), 201),
    step(
        "publish",
        "Publish the same again",
        Some(r#"{"manifest": {{manifest}}, "record": "{{record}}"}"#),
        200,
    ),
    step("listApps", "All apps", None, 200),
    step("app", "One app", None, 200),
    step("createEnclave", "Create", Some(r#"{"name": "{{enclave}}", "app": "{{app}}"}"#), 202),
    Step {
        code: Some("name_taken"),
        ..step("createEnclave", "Create again", Some(r#"{"name": "{{enclave}}", "app": "{{app}}"}"#), 409)
    },
    step("enclaveStages", "Wait until it runs", None, 200),
    step("enclave", "Look at it", None, 200),
    step("listEnclaves", "My enclaves", None, 200),
    step("enclaveToken", "A token for it", None, 200),
    step("enclaveLogs", "Its output", None, 200),
    step("stopEnclave", "Stop", None, 200),
    step("startEnclave", "Start", None, 202),
    step("enclaveStages", "Wait until it runs again", None, 200),
    step("deleteEnclave", "Delete", None, 204),
    Step { code: Some("not_found"), ..step("enclave", "It is gone", None, 404) },
    step("signOut", "Sign out", None, 204),
    Step { code: Some("session_revoked"), ..step("me", "The token has ended", None, 401) },
];

/// Variables that a run needs; `scripts/newman.sh` fills the last ones.
const VARIABLES: &[(&str, &str)] = &[
    ("url", "https://localhost:8443"),
    ("user", "postman"),
    ("password", "a password for postman"),
    ("app", "postman-hello"),
    ("enclave", "notes"),
    ("token", ""),
    ("refresh_token", ""),
    ("manifest", "{}"),
    ("record", ""),
];

/// The collection of a document.
pub fn collection(document: &Value) -> Result<Value> {
    let mut run = Vec::new();
    for step in RUN {
        let found = operations(document).find(|(_, _, operation)| operation["operationId"] == step.operation);
        let (path, method, operation) = found.with_context(|| format!("no operation {}", step.operation))?;
        let mut item = request(step.title, path, method, operation, step.body);
        item["event"] =
            json!([{"listen": "test", "script": {"type": "text/javascript", "exec": tests(step)}}]);
        run.push(item);
    }
    let mut folders =
        vec![json!({"name": "run", "description": "From sign-up to deletion, in this order.", "item": run})];
    for tag in document["tags"].as_array().into_iter().flatten() {
        let items: Vec<Value> = operations(document)
            .filter(|(_, _, operation)| operation["tags"][0] == tag["name"])
            .map(|(path, method, operation)| {
                let title = operation["summary"].as_str().unwrap_or_default();
                let example = &operation["requestBody"]["content"]["application/json"]["example"];
                let body = serde_json::to_string_pretty(example).ok().filter(|_| !example.is_null());
                request(title, path, method, operation, body.as_deref())
            })
            .collect();
        folders.push(json!({"name": tag["name"], "description": tag["description"], "item": items}));
    }
    let variables: Vec<Value> =
        VARIABLES.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    Ok(json!({
        "info": {"name": document["info"]["title"], "description": document["info"]["description"], "schema": SCHEMA},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": variables,
        "item": folders,
    }))
}

fn request(title: &str, path: &str, method: &str, operation: &Value, body: Option<&str>) -> Value {
    let place = |part: &str| match (part, path) {
        ("{name}", path) if path.starts_with("/v1/enclaves") => "{{enclave}}".to_owned(),
        ("{name}", path) if path.starts_with("/v1/apps") => "{{app}}".to_owned(),
        (part, _) => part.replace('{', "{{").replace('}', "}}"),
    };
    let parts: Vec<String> = path.split('/').skip(1).map(place).collect();
    let mut request = Map::new();
    request.insert("method".into(), method.to_uppercase().into());
    request.insert(
        "url".into(),
        json!({"raw": format!("{{{{url}}}}/{}", parts.join("/")), "host": ["{{url}}"], "path": parts}),
    );
    request.insert("header".into(), json!([]));
    if operation["security"] == json!([]) {
        request.insert("auth".into(), json!({"type": "noauth"}));
    }
    if let Some(body) = body {
        request.insert("header".into(), json!([{"key": "Content-Type", "value": "application/json"}]));
        request.insert(
            "body".into(),
            json!({"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}),
        );
    }
    json!({"name": title, "request": request})
}

/// Status, code, and the last word of a start.
fn tests(step: &Step) -> Vec<String> {
    let mut lines = vec![format!(
        "pm.test(\"status {0}\", () => pm.expect(pm.response.code, pm.response.text()).to.equal({0}));",
        step.status
    )];
    if let Some(code) = step.code {
        lines.push(format!(
            "pm.test(\"code {code}\", () => pm.expect(pm.response.json().code).to.equal(\"{code}\"));"
        ));
    }
    if step.operation == "enclaveStages" {
        lines.push(
            "pm.test(\"it has become ready\", () => pm.expect(pm.response.text()).to.include('\"ready\"'));"
                .into(),
        );
    }
    lines.extend(step.keeps.iter().map(|(variable, member)| {
        format!("pm.collectionVariables.set(\"{variable}\", pm.response.json().{member});")
    }));
    lines
}
