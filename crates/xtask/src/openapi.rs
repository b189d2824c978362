//! The API's document: the areas of `crates/api/openapi` merged, written out and checked, and what is made of it.
//!
//! The source is OpenAPI 3.1 with the short forms that its README describes; the result has none of them.

mod areas;
mod covered;
mod operations;
mod postman;
mod reference;
mod rules;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use covered::covered;

/// Where the areas are.
const AREAS: &str = "crates/api/openapi";
/// The document that is committed, and served by the gateway.
const DOCUMENT: &str = "docs/openapi.json";
/// A collection for Postman and newman.
const COLLECTION: &str = "docs/postman.json";
/// A page for people.
const REFERENCE: &str = "docs/api.html";

/// What is generated: path and content.
pub fn generate(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut document = areas::merge(&root.join(AREAS))?;
    operations::write_out(&mut document)?;
    let broken = rules::broken(&document);
    if !broken.is_empty() {
        bail!("{AREAS} breaks rules of its README:\n  {}", broken.join("\n  "));
    }
    let postman = postman::collection(&document)?;
    Ok(vec![
        (DOCUMENT, pretty(&document)?),
        (COLLECTION, pretty(&postman)?),
        (REFERENCE, reference::page(&document)),
    ])
}

fn pretty(value: &Value) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("write JSON")?;
    text.push('\n');
    Ok(text)
}

/// The committed document.
fn committed(root: &Path) -> Result<Value> {
    let text = std::fs::read(root.join(DOCUMENT)).with_context(|| format!("read {DOCUMENT}"))?;
    serde_json::from_slice(&text).with_context(|| format!("parse {DOCUMENT}"))
}

/// The methods of a path that are described.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Every operation of a document: path, method, operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS
            .into_iter()
            .filter_map(move |method| item.get(method).map(|operation| (path.as_str(), method, operation)))
    })
}
