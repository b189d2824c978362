//! Test vectors of whole bundles, for verifiers in other languages: `testdata/vectors/bundles.json`.
//!
//! Each is `{name, bundle, challenge, roots, policy, at, expect}` as described beside the file. Single defects have their
//! vectors in `xtask`; here are the keys, trees, logs and times that honest evidence may have, and known attacks.

mod attacks;
mod honest;

use evidence::Evidence;
use names::{Digest, Level, hex};
use serde_json::{Value, json};

use crate::{Draft, NOW, World};

/// The file's text: one vector a line.
#[must_use]
pub fn text() -> String {
    let vectors = honest::vectors().into_iter().chain(attacks::vectors());
    let lines: Vec<String> = vectors.map(|vector| vector.0.to_string()).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// One vector; what is asked around the bundle may still be changed.
struct Vector(Value);

impl Vector {
    /// The owner's client asks.
    fn new(expect: &str, name: &str, world: &World, evidence: &Evidence) -> Self {
        let bundle: Value = serde_json::from_slice(&evidence.to_json()).expect("a bundle is JSON");
        let challenge = json!({
            "nonce": hex(&[0x42; 32]), "audience": hex(&[0x01; 32]), "purpose": "serve",
            "channel": hex(&[0xcc; 32]), "certificate": Digest::of(world.facade_certificate.der()),
            "made_at": NOW - 1, "max_age": 10,
        });
        Self(json!({
            "name": name, "bundle": bundle, "challenge": challenge, "roots": [root(world, "tpm")],
            "policy": world.policy(), "at": NOW, "expect": expect,
        }))
    }

    fn drafted(expect: &str, name: &str, change: impl FnOnce(&mut Draft<'_>)) -> Self {
        let world = World::new();
        let mut draft = world.draft();
        change(&mut draft);
        Self::new(expect, name, &world, &draft.seal())
    }

    fn sealed(expect: &str, name: &str, change: impl FnOnce(&mut Evidence)) -> Self {
        let world = World::new();
        let mut evidence = world.draft().seal();
        change(&mut evidence);
        Self::new(expect, name, &world, &evidence)
    }

    /// The verifier asks about the node; any version is accepted, and a client would miss the verdict.
    fn node(expect: &str, name: &str, change: impl FnOnce(&mut Draft<'_>)) -> Self {
        let world = World::new();
        let mut draft = world.node_draft();
        change(&mut draft);
        Self::new(expect, name, &world, &draft.seal())
            .with("policy/versions", json!("any"))
            .with("challenge/purpose", json!("node"))
            .with("challenge/audience", json!("spiffe://sealwright.internal/part/verifier"))
            .without("challenge/channel")
            .without("challenge/certificate")
    }

    fn recorded(self) -> Self {
        self.without("challenge")
    }

    /// Sets a member by its path.
    fn with(mut self, path: &str, value: Value) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
        self.0.pointer_mut(&parent).expect("the parent is there")[name] = value;
        self
    }

    fn without(mut self, path: &str) -> Self {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
        let parent = self.0.pointer_mut(&parent).and_then(Value::as_object_mut);
        parent.expect("the parent is there").remove(name);
        self
    }

    /// The bundle as a text, with something done to it that no JSON value can show.
    fn with_text(mut self, change: impl FnOnce(&str) -> String) -> Self {
        let text = self.0["bundle"].to_string();
        let changed = change(&text);
        assert_ne!(changed, text, "the change does something");
        self.0["bundle"] = changed.into();
        self
    }
}

fn root(world: &World, level: &str) -> Value {
    let certificate = evidence::Bytes(world.root.der().to_vec());
    json!({ "name": format!("forged root, {level}"), "level": level, "certificate": certificate })
}

const LEVELS: [Level; 4] = [Level::Simulated, Level::Virtual, Level::Tpm, Level::Tee];
