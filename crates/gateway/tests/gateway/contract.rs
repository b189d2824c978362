//! Every exchange of these tests against the API's document: the status is documented for the operation, the body is of its schema, the
//! problem's code is listed. And that the router and the document list the same operations.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::LazyLock;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::rig::{get, rig};

mod schema;

use schema::validate;

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

/// Codes of requests that reach no operation.
const BEFORE_ROUTES: [&str; 3] = ["no_such_route", "method_not_allowed", "cross_site"];

/// Panics where the answer is not what the document promises.
#[track_caller]
pub fn check(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    let path = path.split('?').next().unwrap();
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = json["code"].as_str().filter(|_| !status.is_success());
    if code.is_some_and(|code| BEFORE_ROUTES.contains(&code)) {
        return;
    }
    let (template, operation) =
        operation(method, path).unwrap_or_else(|| panic!("{method} {path} is not documented: {status}"));
    let place = format!("{method} {template} {status}");
    let answer = &operation["responses"][status.as_str()];
    assert!(answer.is_object(), "{place}: the status is not documented; {}", String::from_utf8_lossy(body));
    note(&format!("{method} {template} {} {}", status.as_u16(), code.unwrap_or("-")));
    let Some(content) = answer["content"].as_object() else {
        assert!(body.is_empty(), "{place}: a body is not documented");
        return;
    };
    let media = headers[header::CONTENT_TYPE].to_str().unwrap().split(';').next().unwrap();
    let media =
        content.get(media).unwrap_or_else(|| panic!("{place}: the media type {media} is not documented"));
    let schema = &media["schema"];
    let result = if let Some(event) = schema["x-event"].as_str() {
        events(body).try_for_each(|event_data| validate(&DOCUMENT, named(event), &event_data))
    } else if schema["type"] == "string" {
        Ok(())
    } else {
        validate(&DOCUMENT, schema, &json)
    };
    if let Err(why) = result {
        panic!("{place}: not as documented: {why}\n{json:#}");
    }
}

fn named(schema: &str) -> &Value {
    &DOCUMENT["components"]["schemas"][schema]
}

/// The `data` of each event of a stream.
fn events(body: &[u8]) -> impl Iterator<Item = Value> {
    let text = std::str::from_utf8(body).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
}

fn operation(method: &Method, path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // As in the router, a path without parameters comes first.
    let exact = paths.get_key_value(path);
    let templates = paths.iter().filter(|(template, _)| fits(template, path));
    let (template, item) = exact.into_iter().chain(templates).next()?;
    let method = if method == Method::HEAD { &Method::GET } else { method };
    Some((template.as_str(), item.get(method.as_str().to_lowercase())?))
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(
            |(part, text)| {
                if part.starts_with('{') { !text.is_empty() } else { *part == text }
            },
        )
}

/// For `cargo xtask covered`.
fn note(line: &str) {
    let Some(log) = std::env::var_os("CONTRACT_LOG") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The router can't be asked, but each path tells its methods to whoever comes with a wrong one.
#[tokio::test]
async fn the_router_and_the_document_list_the_same_operations() {
    let rig = rig().await;
    let mut routed = BTreeSet::new();
    for path in gateway::paths() {
        let concrete = path.replace(['{', '}'], "");
        let request = Request::builder()
            .method("PROPFIND")
            .uri(concrete)
            .header(header::HOST, "gateway")
            .body(Full::default());
        let answer = rig.send(None, request.unwrap()).await;
        answer.refused("method_not_allowed");
        let allowed = answer.headers[header::ALLOW].to_str().unwrap().to_owned();
        // GET implies HEAD (RFC 9110, 9.3.2).
        for method in allowed.split(',').map(str::trim).filter(|method| *method != "HEAD") {
            routed.insert((path.to_owned(), method.to_owned()));
        }
    }
    let mut documented = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            documented.insert((path.clone(), method.to_uppercase()));
        }
    }
    let undocumented: Vec<_> = routed.difference(&documented).collect();
    let unrouted: Vec<_> = documented.difference(&routed).collect();
    assert!(undocumented.is_empty(), "describe in crates/api/openapi: {undocumented:?}");
    assert!(unrouted.is_empty(), "described, but there is no such route: {unrouted:?}");
}

/// The document and the gateway agree about where an `Idempotency-Key` is read.
#[test]
fn idempotent_operations_are_those_of_the_document() {
    let parameter = serde_json::json!({"$ref": "#/components/parameters/idempotencyKey"});
    let says = |item: &Value| {
        item["post"]["parameters"].as_array().is_some_and(|parameters| parameters.contains(&parameter))
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let documented: BTreeSet<&str> =
        paths.iter().filter(|(_, item)| says(item)).map(|(path, _)| path.as_str()).collect();
    assert_eq!(documented, gateway::IDEMPOTENT_PATHS.iter().copied().collect());
}

/// The document and the gateway agree about what `If-Match` is for.
#[test]
fn conditional_operations_are_those_of_the_document() {
    let parameter = serde_json::json!({"$ref": "#/components/parameters/ifMatch"});
    let mut conditional = 0;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let is_tagged = gateway::TAGGED_PATHS.iter().any(|thing| {
            path.strip_prefix(thing).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let is_tagged = is_tagged && !gateway::UNCONDITIONAL_PATHS.contains(&path.as_str());
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            let parameters = operation["parameters"].as_array();
            let says = parameters.is_some_and(|parameters| parameters.contains(&parameter));
            assert_eq!(says, is_tagged && method != "get", "{method} {path}");
            conditional += usize::from(says);
        }
    }
    assert!(conditional > 10, "{conditional}");
}

#[tokio::test]
async fn the_document_is_served_as_it_is_committed() {
    let rig = rig().await;
    let answer = rig.send(None, get("/v1/openapi.json", None)).await;
    assert_eq!(answer.expect(StatusCode::OK), *DOCUMENT);
}

/// The examples of request bodies are of the schema that they illustrate.
#[test]
fn examples_are_of_their_schemas() {
    let mut examples = 0;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let media = &operation["requestBody"]["content"]["application/json"];
            if media.is_object() {
                let result = validate(&DOCUMENT, &media["schema"], &media["example"]);
                assert_eq!(result, Ok(()), "{method} {path}");
                examples += 1;
            }
        }
    }
    assert!(examples > 0);
}
