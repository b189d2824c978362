//! The reference page: one HTML file, without scripts and without anything from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

use super::operations;

const STYLE: &str = include_str!("reference.css");

/// The page of a document.
pub fn page(document: &Value) -> String {
    let title = text(&document["info"]["title"]);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} API</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    let tags: Vec<&Value> = document["tags"].as_array().into_iter().flatten().collect();
    page.push_str("<nav>\n<p><a href=\"#top\">Overview</a></p>\n");
    for tag in &tags {
        let name = tag["name"].as_str().unwrap_or_default();
        let _ = writeln!(page, "<h2>{}</h2>\n<ul>", escape(name));
        for (_, method, operation) in of_tag(document, name) {
            let id = text(&operation["operationId"]);
            let summary = text(&operation["summary"]);
            let _ =
                writeln!(page, "<li><a href=\"#{id}\"><b class=\"{method}\">{method}</b> {summary}</a></li>");
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<h2>types</h2>\n<ul>\n");
    for (name, _) in schemas(document) {
        let _ = writeln!(page, "<li><a href=\"#type-{name}\">{name}</a></li>");
    }
    let _ = writeln!(page, "</ul>\n</nav>\n<main>\n<h1 id=\"top\">{title} API</h1>");
    page.push_str(&prose(&document["info"]["description"]));
    for tag in &tags {
        let name = tag["name"].as_str().unwrap_or_default();
        let _ = writeln!(page, "<section>\n<h2>{}</h2>\n{}", escape(name), prose(&tag["description"]));
        for (path, method, operation) in of_tag(document, name) {
            one_operation(&mut page, document, path, method, operation);
        }
        page.push_str("</section>\n");
    }
    page.push_str("<section>\n<h2>types</h2>\n");
    for (name, schema) in schemas(document) {
        let _ = writeln!(
            page,
            "<article id=\"type-{name}\">\n<h3>{name}</h3>\n{}",
            prose(&schema["description"])
        );
        page.push_str(&schema_body(schema));
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n</main>\n</body>\n</html>\n");
    page
}

fn of_tag<'a>(document: &'a Value, tag: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a Value)> {
    operations(document).filter(move |(_, _, operation)| operation["tags"][0] == tag)
}

fn schemas(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["components"]["schemas"].as_object().into_iter().flatten()
}

fn one_operation(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let id = text(&operation["operationId"]);
    let _ = writeln!(
        page,
        "<article id=\"{id}\">\n<h3>{}</h3>\n<p class=\"call\"><b class=\"{method}\">{method}</b> <code>{}</code>{}</p>\n{}",
        text(&operation["summary"]),
        escape(path),
        if operation["security"] == serde_json::json!([]) { " <i>no token needed</i>" } else { "" },
        prose(&operation["description"]),
    );
    let shared = document["paths"][path]["parameters"].as_array();
    let own = operation["parameters"].as_array();
    let parameters: Vec<&Value> =
        shared.into_iter().chain(own).flatten().map(|it| resolve(document, it)).collect();
    if !parameters.is_empty() {
        page.push_str("<table>\n<tr><th>parameter</th><th>in</th><th></th></tr>\n");
        for parameter in parameters {
            let _ = writeln!(
                page,
                "<tr><td><code>{}</code></td><td>{}</td><td>{} {}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                kind(&parameter["schema"]),
                words(&parameter["description"]),
            );
        }
        page.push_str("</table>\n");
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        for (media, body) in content {
            let _ = writeln!(page, "<p>Body: {} <small>{}</small></p>", kind(&body["schema"]), escape(media));
            if !body["example"].is_null() {
                let example = serde_json::to_string_pretty(&body["example"]).unwrap_or_default();
                let _ = writeln!(page, "<pre>{}</pre>", escape(&example));
            }
        }
    }
    page.push_str("<table>\n<tr><th>status</th><th>answer</th></tr>\n");
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let mut bodies: Vec<String> = Vec::new();
        for (media, body) in answer["content"].as_object().into_iter().flatten() {
            if media != "application/problem+json" {
                bodies.push(format!("{} <small>{}</small>", kind(&body["schema"]), escape(media)));
            }
        }
        let _ = writeln!(
            page,
            "<tr><td><b>{status}</b></td><td>{} {}</td></tr>",
            bodies.join(", "),
            words(&answer["description"])
        );
    }
    page.push_str("</table>\n</article>\n");
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let to = value["$ref"].as_str().and_then(|to| document.pointer(to.strip_prefix('#')?));
    to.unwrap_or(value)
}

/// What a schema is, in a few words, with links.
fn kind(schema: &Value) -> String {
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.rsplit('/').next().unwrap_or(to);
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    if let Some(event) = schema["x-event"].as_str() {
        return format!("events of <a href=\"#type-{event}\">{event}</a>");
    }
    if !schema["const"].is_null() {
        return format!("<code>{}</code>", escape(&schema["const"].to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", escape(&value.to_string()))).collect();
        return values.join(" or ");
    }
    for joined in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[joined].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("object") if schema["properties"].is_object() => schema_body(schema),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", kind(&schema["additionalProperties"]))
        }
        Some(name) => format!("{}{}", escape(name), bounds(schema)),
        None => "anything".into(),
    }
}

fn bounds(schema: &Value) -> String {
    let mut words = Vec::new();
    for (keyword, before) in [
        ("minimum", "from "),
        ("maximum", "to "),
        ("minLength", "at least "),
        ("maxLength", "at most "),
        ("default", "default "),
    ] {
        if !schema[keyword].is_null() {
            let characters = if keyword.ends_with("Length") { " characters" } else { "" };
            words.push(format!("{before}{}{characters}", escape(&schema[keyword].to_string())));
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        words.push(format!("<code>{}</code>", escape(pattern)));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn schema_body(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        return format!("<p>{}</p>\n", kind(schema));
    };
    let mut table = String::from("<table>\n");
    for (name, property) in properties {
        let is_required = schema["required"]
            .as_array()
            .is_some_and(|required| required.contains(&Value::from(name.as_str())));
        let optional = if is_required { "" } else { " <i>optional</i>" };
        let _ = writeln!(
            table,
            "<tr><td><code>{}</code>{optional}</td><td>{} {}</td></tr>",
            escape(name),
            kind(property),
            words(&property["description"])
        );
    }
    table.push_str("</table>\n");
    table
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

/// One line of words with `code` and **bold** in it.
fn words(value: &Value) -> String {
    let mut out = String::new();
    for (index, part) in text(value).split('`').enumerate() {
        let marked = part.split("**").enumerate();
        let bold: String = marked
            .map(|(index, part)| if index % 2 == 1 { format!("<b>{part}</b>") } else { part.to_owned() })
            .collect();
        if index % 2 == 1 {
            let _ = write!(out, "<code>{part}</code>");
        } else {
            out.push_str(&bold);
        }
    }
    out
}

fn prose(value: &Value) -> String {
    let all = value.as_str().unwrap_or_default();
    let paragraphs = all.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    paragraphs.map(|paragraph| format!("<p>{}</p>\n", words(&Value::from(paragraph)))).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_the_document_becomes_markup() {
        assert_eq!(words(&json!("`<a>` **b** & c")), "<code>&lt;a&gt;</code> <b>b</b> &amp; c");
        assert_eq!(kind(&json!({"type": "string", "pattern": "<"})), "string (<code>&lt;</code>)");
    }
}
