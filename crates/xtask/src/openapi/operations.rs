//! Writes the short forms of operations out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use api::Code;
use serde_json::{Map, Value, json};

use super::METHODS;

const PROBLEM: &str = "application/problem+json";
const MACHINERY: &str = "x-codes";

/// Leaves a document of plain OpenAPI.
pub fn write_out(document: &mut Value) -> Result<()> {
    let map = document.as_object_mut().context("the document is a map")?;
    let machinery = map.remove(MACHINERY).context("x-codes of the head")?;
    let schemas = map.get("components").map(|components| components["schemas"].clone()).unwrap_or_default();
    let shared = map.get("components").map(|components| components["parameters"].clone()).unwrap_or_default();
    let paths = map.get_mut("paths").and_then(Value::as_object_mut).context("there are no paths")?;
    for (path, item) in paths {
        let item = item.as_object_mut().with_context(|| format!("{path} is a map"))?;
        add_path_parameters(path, item, &shared)?;
        for method in METHODS {
            let Some(operation) = item.get_mut(method) else { continue };
            let operation = operation.as_object_mut().with_context(|| format!("{method} {path} is a map"))?;
            write_out_one(operation, &schemas, &machinery).with_context(|| format!("{method} {path}"))?;
            if method == "get" {
                say_conditional(operation).with_context(|| format!("{method} {path}"))?;
            }
        }
    }
    Ok(())
}

fn add_path_parameters(path: &str, item: &mut Map<String, Value>, shared: &Value) -> Result<()> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let listed = item.entry("parameters").or_insert_with(|| json!([]));
    let listed = listed.as_array_mut().context("parameters are a list")?;
    for name in names {
        let is_there = listed.iter().any(|parameter| {
            let to = parameter["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/parameters/"));
            let parameter = to.map_or(parameter, |to| &shared[to]);
            parameter["in"] == "path" && parameter["name"] == name
        });
        if !is_there {
            listed.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}));
        }
    }
    if listed.is_empty() {
        item.remove("parameters");
    }
    Ok(())
}

fn write_out_one(operation: &mut Map<String, Value>, schemas: &Value, machinery: &Value) -> Result<()> {
    if let Some(name) = operation.remove("request") {
        let name = name.as_str().context("`request` is a schema's name")?.to_owned();
        let example = operation.remove("example").context("`request` has an `example`")?;
        let media = json!({"schema": reference(&name), "example": example});
        operation
            .insert("requestBody".into(), json!({"required": true, "content": {"application/json": media}}));
    }
    let mut more = Vec::new();
    for (form, parameter) in [("idempotent", "idempotencyKey"), ("conditional", "ifMatch")] {
        if operation.remove(form).is_some_and(|value| value == true) {
            add_parameter(operation, parameter)?;
            more.push(&machinery[form]);
        }
    }
    let answers = operation.remove("answers").unwrap_or_else(|| json!({}));
    let problems = operation.remove("problems").unwrap_or_else(|| json!([]));
    let codes = codes(operation, &problems, machinery, &more)?;
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let responses = responses.as_object_mut().context("`responses` is a map")?;
    for (status, what) in answers.as_object().context("`answers` is a map")? {
        let what = what.as_str().with_context(|| format!("answer {status} is a word or a sentence"))?;
        insert(responses, status, answer(what, schemas)?)?;
    }
    for (status, codes) in codes {
        insert(responses, &status.to_string(), problem(&codes))?;
    }
    Ok(())
}

/// Every JSON answer to a GET has an `ETag`.
fn say_conditional(operation: &mut Map<String, Value>) -> Result<()> {
    let content = operation.get("responses").and_then(|responses| responses["200"]["content"].as_object());
    if !content.is_some_and(|content| content.keys().any(|media| media.ends_with("json"))) {
        return Ok(());
    }
    add_parameter(operation, "ifNoneMatch")?;
    let responses = operation["responses"].as_object_mut().context("`responses` is a map")?;
    insert(responses, "304", json!({"description": "The client has it already."}))
}

fn add_parameter(operation: &mut Map<String, Value>, name: &str) -> Result<()> {
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let parameters = parameters.as_array_mut().context("parameters are a list")?;
    parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
    Ok(())
}

/// A status may have several media types, each described once: OAuth's errors stand beside ours.
fn insert(responses: &mut Map<String, Value>, status: &str, answer: Value) -> Result<()> {
    let Some(before) = responses.get_mut(status) else {
        responses.insert(status.into(), answer);
        return Ok(());
    };
    let twice = || anyhow!("status {status} is described twice");
    let more = answer["content"].as_object().ok_or_else(twice)?;
    let content = before["content"].as_object_mut().ok_or_else(twice)?;
    for (media, schema) in more {
        if content.insert(media.clone(), schema.clone()).is_some() {
            return Err(twice());
        }
    }
    Ok(())
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// A word is a schema, a sentence an answer without a body.
fn answer(what: &str, schemas: &Value) -> Result<Value> {
    if what.contains(' ') {
        return Ok(json!({"description": what}));
    }
    let schema = schemas.get(what).with_context(|| format!("there is no schema {what}"))?;
    let description = schema["description"].as_str().with_context(|| format!("{what} has no description"))?;
    Ok(json!({"description": description, "content": {"application/json": {"schema": reference(what)}}}))
}

/// The codes of an operation by their status: its own and those of the machinery.
fn codes(
    operation: &Map<String, Value>,
    problems: &Value,
    machinery: &Value,
    more: &[&Value],
) -> Result<BTreeMap<u16, Vec<Code>>> {
    let is_public = operation.get("security").is_some_and(|security| *security == json!([]));
    let mut lists = vec![problems, &machinery["every"]];
    if operation.contains_key("requestBody") {
        lists.push(&machinery["body"]);
    }
    lists.extend_from_slice(more);
    if !is_public {
        lists.push(&machinery["bearer"]);
    }
    let mut codes: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for list in lists {
        for name in list.as_array().context("codes are a list")? {
            let name = name.as_str().context("a code is a word")?;
            let code = Code::parse(name).with_context(|| format!("`{name}` is not in api::Code"))?;
            let same = codes.entry(code.status()).or_default();
            if !same.contains(&code) {
                same.push(code);
            }
        }
    }
    for codes in codes.values_mut() {
        codes.sort_by_key(|code| code.as_str());
    }
    if codes.is_empty() {
        bail!("every operation can fail");
    }
    Ok(codes)
}

fn problem(codes: &[Code]) -> Value {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({"allOf": [reference("Problem"), {"properties": {"code": {"enum": names}}}]});
    let mut content = Map::new();
    content.insert(PROBLEM.into(), json!({"schema": schema}));
    json!({"description": lines.join(" "), "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(operation: &Value) -> Value {
        json!({
            "x-codes": {"every": ["internal"], "body": ["malformed"], "idempotent": ["idempotency_mismatch"], "conditional": ["precondition_failed"], "bearer": ["token_missing"]},
            "paths": {"/v1/things/{name}": {"post": operation}},
            "components": {"schemas": {"Thing": {"description": "A thing."}}},
        })
    }

    #[test]
    fn short_forms_become_plain_openapi() {
        let mut document = document(&json!({
            "request": "Thing", "example": {}, "answers": {"201": "Thing", "204": "It is gone."},
            "problems": ["malformed", "invalid_name"], "idempotent": true,
        }));
        write_out(&mut document).unwrap();
        let item = &document["paths"]["/v1/things/{name}"];
        assert_eq!(item["parameters"][0]["name"], "name");
        let post = &item["post"];
        assert_eq!(post["requestBody"]["content"]["application/json"]["schema"], reference("Thing"));
        assert_eq!(post["responses"]["201"]["description"], "A thing.");
        assert_eq!(post["responses"]["204"], json!({"description": "It is gone."}));
        let codes = |status: &str| {
            post["responses"][status]["content"][PROBLEM]["schema"]["allOf"][1]["properties"]["code"]["enum"]
                .clone()
        };
        assert_eq!(codes("400"), json!(["invalid_name", "malformed"]));
        assert_eq!(codes("401"), json!(["token_missing"]));
        assert_eq!(codes("422"), json!(["idempotency_mismatch"]));
        assert_eq!(post["parameters"][0]["$ref"], "#/components/parameters/idempotencyKey");
        assert_eq!(codes("500"), json!(["internal"]));
        assert!(document.get("x-codes").is_none());
    }

    #[test]
    fn a_public_operation_needs_no_token_and_unknown_words_are_refused() {
        let mut public = document(&json!({"security": [], "answers": {"200": "Thing"}}));
        write_out(&mut public).unwrap();
        assert!(public["paths"]["/v1/things/{name}"]["post"]["responses"].get("401").is_none());
        for wrong in [
            json!({"answers": {"200": "Nothing"}}),
            json!({"problems": ["no_such_code"]}),
            json!({"request": "Thing"}),
        ] {
            assert!(write_out(&mut document(&wrong)).is_err(), "{wrong}");
        }
    }
}
