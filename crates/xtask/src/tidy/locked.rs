//! `Cargo.lock` never goes back below a release that mended a hole. `cargo deny` says the same with a database that many machines
//! cannot have; this list is short, and always at hand.
//!
//! `rsa` has no mended release (RUSTSEC-2023-0071: the time of its private-key operations tells the key). So it may only be used with
//! public keys in what ships: to check signatures, and to encrypt to a TPM's endorsement key.

use super::{Finding, Source};
use crate::packages::{Package, Use};

const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// Crate, its first release without the hole, and which hole.
const FLOORS: &[(&str, Version, &str)] = &[
    ("age", Version(0, 11, 1), "RUSTSEC-2024-0433: a plugin's name was run"),
    ("axum-core", Version(0, 3, 0), "RUSTSEC-2022-0055: bodies without a bound"),
    ("bcrypt", Version(0, 19, 2), "RUSTSEC-2026-0199: a damaged hash was a panic"),
    ("h2", Version(0, 4, 16), "RUSTSEC-2026-0258: a flood of empty DATA frames"),
    (
        "rustls-webpki",
        Version(0, 103, 13),
        "RUSTSEC-2026-0049, -0098, -0104: revocation and name constraints",
    ),
    ("sqlx-core", Version(0, 8, 1), "RUSTSEC-2024-0363: a bound value above 4 GiB"),
    ("tonic", Version(0, 12, 3), "RUSTSEC-2024-0376: an error of accept ended the server"),
    ("totp-rs", Version(1, 1, 0), "RUSTSEC-2022-0018: codes were not compared in constant time"),
];

const RSA: &str = "rsa";
/// Who may use it in code that ships, and only with public keys.
const PUBLIC_ONLY: [&str; 2] = ["pki", "tpm2"];
/// Programs and tools that never ship: they forge evidence with keys made for that minute.
const NEVER_SHIPPED: [&str; 2] = ["bench", "forge"];
/// What a private key of that crate is called, or done with.
const PRIVATE: [&str; 6] = [
    "RsaPrivateKey",
    "rsa::PrivateKey",
    "pkcs1v15::SigningKey",
    "pss::SigningKey",
    "DecryptingKey",
    "Decryptor",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl Version {
    /// Major, minor and patch; what is before a release is below it.
    fn parse(text: &str) -> Option<Self> {
        let release = text.split_once('+').map_or(text, |(release, _)| release);
        if release.contains('-') {
            return None;
        }
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }
}

/// Checks the locked versions, and who uses `rsa` for what.
pub fn check(packages: &[Package], sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in LOCKS {
        match sources.iter().find(|source| source.path == path) {
            Some(lock) => findings.extend(floors(lock)),
            None => findings.push(Finding::new(path, "is missing: nothing holds the versions")),
        }
    }
    findings.extend(packages.iter().filter_map(arrow_to_rsa));
    let shipped = |source: &&Source| {
        PUBLIC_ONLY.iter().any(|name| source.path.starts_with(&format!("crates/{name}/src/")))
    };
    findings.extend(sources.iter().filter(shipped).flat_map(private_keys));
    findings
}

fn floors(lock: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, text) in locked(&lock.text) {
        let Some((_, floor, hole)) = FLOORS.iter().find(|(crate_name, ..)| *crate_name == name) else {
            continue;
        };
        if Version::parse(text).is_none_or(|version| version < *floor) {
            let Version(major, minor, patch) = floor;
            let text = format!("{name} {text} is below {major}.{minor}.{patch} ({hole})");
            findings.push(Finding::new(&lock.path, text));
        }
    }
    findings
}

/// Name and version of every package of a lock file.
fn locked(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("[[package]]").skip(1).filter_map(|package| {
        let field = |key: &str| package.lines().find_map(|line| quoted(line, key));
        Some((field("name")?, field("version")?))
    })
}

/// The value of `KEY = "VALUE"`.
fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}

fn arrow_to_rsa(package: &Package) -> Option<Finding> {
    let name = package.name.as_str();
    let uses = package.dependencies.iter().any(|it| it.name == RSA && it.used_for != Use::Tests);
    let may = PUBLIC_ONLY.contains(&name) || NEVER_SHIPPED.contains(&name);
    (uses && !may).then(|| {
        Finding::new(
            format!("crates/{name}/Cargo.toml"),
            "rsa has an unmended hole (RUSTSEC-2023-0071): use pki or tpm2",
        )
    })
}

fn private_keys(source: &Source) -> Vec<Finding> {
    let (code, _tests) = source.text.split_once("#[cfg(test)]").unwrap_or((&source.text, ""));
    let lines = (1..).zip(code.lines());
    // A block cipher has decryptors too.
    let of_rsa = |line: &str| !line.contains("cfb_mode::") && PRIVATE.iter().any(|word| line.contains(word));
    let found = lines.filter(|(_, line)| of_rsa(line));
    found
        .map(|(number, _)| {
            let place = format!("{}:{number}", source.path);
            Finding::new(
                place,
                "a private key of the rsa crate is used: its time tells the key (RUSTSEC-2023-0071)",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::packages::Dependency;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn lock(name: &str, version: &str) -> Source {
        let text = format!("version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        source("Cargo.lock", &text)
    }

    /// The floors of `docs/threats.md`, "advisories".
    #[test]
    fn a_locked_version_below_its_floor_is_found() {
        for (name, good, bad) in [
            ("h2", "0.4.16", "0.4.15"),
            ("rustls-webpki", "0.103.13", "0.102.8"),
            ("bcrypt", "0.19.2", "0.19.1"),
            ("tonic", "0.14.9", "0.12.2"),
            ("sqlx-core", "0.9.0", "0.8.0"),
            ("axum-core", "0.5.6", "0.2.7"),
            ("axum-core", "0.3.0", "0.3.0-rc.1"),
        ] {
            assert_eq!(floors(&lock(name, good)), [], "{name} {good}");
            assert_eq!(floors(&lock(name, bad)).len(), 1, "{name} {bad}");
        }
        assert_eq!(floors(&lock("other", "0.0.1")), []);
    }

    #[test]
    fn every_package_of_a_lock_file_is_read() {
        let text = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0+x\"\n";
        assert_eq!(locked(text).collect::<Vec<_>>(), [("a", "1.0.0"), ("b", "2.0.0+x")]);
    }

    #[test]
    fn a_private_rsa_key_in_what_ships_is_found() {
        let shown = source("crates/tpm2/src/a.rs", "use rsa::RsaPrivateKey;\n");
        assert_eq!(private_keys(&shown).len(), 1);
        let tests_only =
            source("crates/tpm2/src/a.rs", "#[cfg(test)]\nmod tests { use rsa::RsaPrivateKey; }\n");
        assert_eq!(private_keys(&tests_only), []);
    }

    #[test]
    fn another_crate_that_takes_rsa_is_found() {
        let package = |name: &str, used_for| Package {
            name: name.to_owned(),
            folder: PathBuf::new(),
            floor: None,
            dependencies: vec![Dependency {
                name: RSA.to_owned(),
                used_for,
                default_features: false,
                ours: false,
            }],
        };
        assert!(arrow_to_rsa(&package("gateway", Use::Normal)).is_some());
        assert_eq!(arrow_to_rsa(&package("gateway", Use::Tests)), None);
        assert_eq!(arrow_to_rsa(&package("tpm2", Use::Normal)), None);
    }
}
