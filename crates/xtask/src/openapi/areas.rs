//! Merges the areas: nothing is described twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

const HEAD: &str = "head.yaml";

/// The head with every other area in it, in the order of their names.
pub fn merge(folder: &Path) -> Result<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("list {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| {
        path.extension().is_some_and(|extension| extension == "yaml") && !path.ends_with(HEAD)
    });
    files.sort();
    let mut document = read(&folder.join(HEAD))?;
    for file in files {
        let area = read(&file)?;
        add(&mut document, area).with_context(|| format!("merge {}", file.display()))?;
    }
    Ok(document)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

fn add(document: &mut Value, area: Value) -> Result<()> {
    let Value::Object(area) = area else { bail!("an area is a map of tags, paths and components") };
    for (key, value) in area {
        match (key.as_str(), value) {
            ("tags", Value::Array(tags)) => {
                document["tags"].as_array_mut().context("tags of the head")?.extend(tags);
            }
            ("paths", Value::Object(paths)) => add_all(object(document, "paths")?, paths)?,
            ("components", Value::Object(kinds)) => {
                for (kind, values) in kinds {
                    let Value::Object(values) = values else { bail!("components.{kind} is a map") };
                    let components = object(document, "components")?;
                    let present = components.entry(kind).or_insert_with(|| Map::new().into());
                    add_all(present.as_object_mut().context("components")?, values)?;
                }
            }
            (other, _) => bail!("`{other}` has no place in an area, or is of another type"),
        }
    }
    Ok(())
}

fn object<'a>(document: &'a mut Value, key: &str) -> Result<&'a mut Map<String, Value>> {
    let map = document.as_object_mut().context("the head is a map")?;
    let value = map.entry(key).or_insert_with(|| Map::new().into());
    value.as_object_mut().with_context(|| format!("`{key}` is a map"))
}

fn add_all(into: &mut Map<String, Value>, values: Map<String, Value>) -> Result<()> {
    for (key, value) in values {
        if into.insert(key.clone(), value).is_some() {
            bail!("`{key}` is described twice");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_described_twice() {
        let mut document = json!({"tags": [], "components": {"schemas": {"A": {}}}});
        let area = |name: &str| {
            let mut schemas = Map::new();
            schemas.insert(name.into(), json!({}));
            json!({"tags": [{"name": "x"}], "paths": {"/x": {}}, "components": {"schemas": schemas}})
        };
        assert!(add(&mut document.clone(), area("A")).is_err());
        add(&mut document, area("B")).unwrap();
        assert!(add(&mut document, area("C")).is_err(), "the path is there");
        assert!(add(&mut document, json!({"servers": []})).is_err());
    }
}
