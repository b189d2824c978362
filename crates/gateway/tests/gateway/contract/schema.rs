//! The part of JSON Schema (2020-12) that the document uses. A keyword that it does not know is an error, never passed over.

use regex::Regex;
use serde_json::Value;

/// Says nothing about values.
const WORDS: [&str; 7] = ["description", "format", "default", "title", "deprecated", "example", "x-event"];

/// Whether the value is of the schema; the first thing that is wrong, with its place.
pub fn validate(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    check(document, schema, value).map_err(|(place, why)| format!("/{}: {why}", place.join("/")))
}

/// Where in the value, from the inside out, and what.
type Wrong = (Vec<String>, String);

fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), Wrong> {
    let rules = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(rules) => rules,
        _ => return wrong(format!("nothing is allowed here: {value}")),
    };
    for (keyword, rule) in rules {
        match keyword.as_str() {
            "$ref" => check(document, resolve(document, rule), value)?,
            "allOf" => items(rule).iter().try_for_each(|inner| check(document, inner, value))?,
            "oneOf" | "anyOf" => {
                let results: Vec<_> = items(rule).iter().map(|inner| check(document, inner, value)).collect();
                let fitting = results.iter().filter(|result| result.is_ok()).count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    return wrong(format!("{fitting} alternatives fit: {results:?}"));
                }
            }
            "properties" | "required" | "additionalProperties" if value.is_object() => {
                object(document, keyword, rule, rules.get("properties"), value)?;
            }
            "items" if value.is_array() => {
                for (index, item) in items(value).iter().enumerate() {
                    check(document, rule, item).map_err(|error| within(error, &index.to_string()))?;
                }
            }
            "properties" | "required" | "additionalProperties" | "items" => {}
            keyword if WORDS.contains(&keyword) => {}
            keyword => plain(keyword, rule, value)?,
        }
    }
    Ok(())
}

fn object(
    document: &Value,
    keyword: &str,
    rule: &Value,
    properties: Option<&Value>,
    value: &Value,
) -> Result<(), Wrong> {
    let members = value.as_object().expect("asked for objects only");
    match keyword {
        "required" => {
            let missing = items(rule).iter().find(|name| !members.contains_key(name.as_str().unwrap()));
            missing.map_or(Ok(()), |name| wrong(format!("{name} is missing")))
        }
        "properties" => rule.as_object().unwrap().iter().try_for_each(|(name, inner)| {
            let Some(member) = members.get(name) else { return Ok(()) };
            check(document, inner, member).map_err(|error| within(error, name))
        }),
        _ => {
            let known = |name: &str| properties.is_some_and(|properties| properties.get(name).is_some());
            members.iter().filter(|(name, _)| !known(name)).try_for_each(|(name, member)| {
                check(document, rule, member).map_err(|error| within(error, name))
            })
        }
    }
}

/// Keywords that look at one value only.
fn plain(keyword: &str, rule: &Value, value: &Value) -> Result<(), Wrong> {
    let number = || rule.as_u64().unwrap_or_else(|| panic!("{keyword} is a number"));
    let characters = value.as_str().map(|text| text.chars().count() as u64);
    let members = value.as_object().map(|members| members.len() as u64);
    let length = value.as_array().map(|list| list.len() as u64);
    let good = match keyword {
        "type" => {
            let one = std::slice::from_ref(rule);
            rule.as_array().map_or(one, Vec::as_slice).iter().any(|kind| is_a(kind, value))
        }
        "const" => value == rule,
        "enum" => items(rule).contains(value),
        "pattern" => {
            let pattern = Regex::new(rule.as_str().unwrap()).unwrap();
            value.as_str().is_none_or(|text| pattern.is_match(text))
        }
        "minLength" => characters.is_none_or(|count| count >= number()),
        "maxLength" => characters.is_none_or(|count| count <= number()),
        "minItems" => length.is_none_or(|count| count >= number()),
        "maxItems" => length.is_none_or(|count| count <= number()),
        "maxProperties" => members.is_none_or(|count| count <= number()),
        "minimum" => value.as_i64().is_none_or(|it| it >= rule.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|it| it <= rule.as_i64().unwrap()),
        "uniqueItems" => {
            value.as_array().is_none_or(|list| (1..list.len()).all(|at| !list[..at].contains(&list[at])))
        }
        unknown => panic!("the keyword {unknown} has no meaning here yet"),
    };
    if good { Ok(()) } else { wrong(format!("{value} against {keyword} {rule}")) }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        unknown => panic!("there is no type {unknown}"),
    }
}

fn resolve<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
    document.pointer(pointer).unwrap()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}

fn wrong<T>(why: String) -> Result<T, Wrong> {
    Err((Vec::new(), why))
}

fn within((mut place, why): Wrong, name: &str) -> Wrong {
    place.insert(0, name.to_owned());
    (place, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_of_the_schema_is_found_with_its_place() {
        let document = json!({"components": {"schemas": {"Name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}}}});
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["name"],
            "properties": {
                "name": {"$ref": "#/components/schemas/Name"},
                "kind": {"oneOf": [{"const": 1}, {"type": "null"}, {"enum": ["a", "b"]}]},
                "list": {"type": "array", "maxItems": 2, "items": {"type": "integer", "minimum": 0, "maximum": 9}},
            },
        });
        for good in [json!({"name": "abc"}), json!({"name": "a", "kind": null, "list": [0, 9]})] {
            assert_eq!(validate(&document, &schema, &good), Ok(()));
        }
        for (bad, place) in [
            (json!([]), "/:"),
            (json!({}), "/:"),
            (json!({"name": "abcd"}), "/name:"),
            (json!({"name": "A"}), "/name:"),
            (json!({"name": "a", "more": 1}), "/more:"),
            (json!({"name": "a", "kind": 2}), "/kind:"),
            (json!({"name": "a", "list": [0, 1, 2]}), "/list:"),
            (json!({"name": "a", "list": [0, 10]}), "/list/1:"),
            (json!({"name": "a", "list": [0, "1"]}), "/list/1:"),
        ] {
            let error = validate(&document, &schema, &bad).unwrap_err();
            assert!(error.starts_with(place), "{bad}: {error}");
        }
    }
}
