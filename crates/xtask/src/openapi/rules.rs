//! Rules of the document that its README names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::operations;

/// What breaks them, a line each.
pub fn broken(document: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let mut ids = BTreeSet::new();
    let known: BTreeSet<&str> =
        document["tags"].as_array().into_iter().flatten().filter_map(|tag| tag["name"].as_str()).collect();
    for (path, method, operation) in operations(document) {
        let place = format!("{method} {path}");
        match operation["operationId"].as_str() {
            Some(id) if !ids.insert(id) => broken.push(format!("{place}: operationId {id} is there twice")),
            Some(_) => {}
            None => broken.push(format!("{place}: no operationId")),
        }
        if operation["summary"].as_str().is_none() {
            broken.push(format!("{place}: no summary"));
        }
        let tags: Vec<&str> =
            operation["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if tags.len() != 1 || !tags.iter().all(|tag| known.contains(tag)) {
            broken.push(format!("{place}: one tag, of those that are listed"));
        }
        let succeeds = operation["responses"]
            .as_object()
            .is_some_and(|answers| answers.keys().any(|status| status.starts_with(['1', '2', '3'])));
        if !succeeds {
            broken.push(format!("{place}: no answer but refusals"));
        }
    }
    visit(document, &mut String::from("#"), document, &mut broken);
    broken
}

/// Objects are closed and references lead somewhere, everywhere but in examples.
fn visit(document: &Value, place: &mut String, value: &Value, broken: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(to) = map.get("$ref").and_then(Value::as_str)
                && to.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none()
            {
                broken.push(format!("{place}: {to} leads nowhere"));
            }
            if map.get("type").is_some_and(|kind| kind == "object") {
                if !map.contains_key("additionalProperties") {
                    broken.push(format!("{place}: an object says additionalProperties"));
                }
                // `y` and `no` are booleans to YAML.
                let words =
                    |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
                if map.get("required").is_some_and(|required| !words(required)) {
                    broken.push(format!("{place}: required is a list of words; quote them"));
                }
                let has_required_list = map.contains_key("required") || !map.contains_key("properties");
                let all_optional = map.get("additionalProperties").is_some_and(|more| *more == false);
                if !has_required_list && !all_optional {
                    broken.push(format!("{place}: an object says what is required"));
                }
            }
            for (key, inner) in map {
                if key == "example" || key == "examples" {
                    continue;
                }
                let length = place.len();
                place.push('/');
                place.push_str(key);
                visit(document, place, inner, broken);
                place.truncate(length);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| visit(document, place, inner, broken)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_broken_rule_is_found() {
        let good = json!({
            "tags": [{"name": "a"}],
            "paths": {"/x": {"get": {"operationId": "x", "summary": "X", "tags": ["a"], "responses": {"200": {}}}}},
            "components": {"schemas": {"X": {"type": "object", "additionalProperties": false, "required": [], "properties": {}}}},
        });
        assert_eq!(broken(&good), Vec::<String>::new());
        for (pointer, bad) in [
            ("/paths/~1x/get/operationId", json!(null)),
            ("/paths/~1x/get/summary", json!(null)),
            ("/paths/~1x/get/tags", json!(["b"])),
            ("/paths/~1x/get/responses", json!({"400": {}})),
            ("/components/schemas/X", json!({"type": "object"})),
            ("/components/schemas/X/required", json!([true])),
            ("/components/schemas/X", json!({"$ref": "#/components/schemas/Y"})),
        ] {
            let mut document = good.clone();
            *document.pointer_mut(pointer).unwrap() = bad;
            assert_eq!(broken(&document).len(), 1, "{pointer}");
        }
    }
}
