//! `enclave`: from what was typed to what is meant.

use std::path::Path;

use client::Lifetimes;

use super::raw::{RawConnect, RawEnclave, RawWait};
use super::typed::{Body, ConnectOptions, DoorPlace, Enclave, Follow, VersionChoice, Wait};
use super::{confirmation, trust};

pub(super) fn read(raw: RawEnclave) -> Enclave {
    match raw {
        RawEnclave::Create { name, app, version, idle_timeout: idle, max_age: age, wait: raw } => {
            let version = version.map_or(VersionChoice::Newest, VersionChoice::Exactly);
            let lifetimes = Lifetimes { idle, age };
            Enclave::Create { name, app, version, lifetimes, wait: wait(&raw) }
        }
        RawEnclave::List => Enclave::List,
        RawEnclave::Show { name } => Enclave::Show { name },
        RawEnclave::Logs { name, follow } => {
            Enclave::Logs { name, follow: if follow { Follow::Yes } else { Follow::No } }
        }
        RawEnclave::Events { name } => Enclave::Events { name },
        RawEnclave::Extend { name, by } => Enclave::Extend { name, by },
        RawEnclave::Cancel { name } => Enclave::Cancel { name },
        RawEnclave::Stop { name } => Enclave::Stop { name },
        RawEnclave::Start { name, wait: raw } => Enclave::Start { name, wait: wait(&raw) },
        RawEnclave::Delete { name, yes } => Enclave::Delete { name, confirmation: confirmation(yes) },
        RawEnclave::Verify { name, save, trust: raw } => Enclave::Verify { name, save, trust: trust(raw) },
        RawEnclave::Request { name, method, path, data, trust: raw } => {
            let body = match data {
                None => Body::Empty,
                Some(file) if file == Path::new("-") => Body::Stdin,
                Some(file) => Body::File(file),
            };
            Enclave::Request { name, method, path, body, trust: trust(raw) }
        }
        RawEnclave::Connect(raw) => {
            let place = match (raw.socket, raw.tcp) {
                (_, Some(address)) => DoorPlace::Tcp(address),
                (Some(path), None) => DoorPlace::Socket(path),
                (None, None) => DoorPlace::DefaultSocket,
            };
            let RawConnect { name, proof_age, trust: raw, .. } = raw;
            Enclave::Connect(ConnectOptions { name, place, proof_age, trust: trust(raw) })
        }
    }
}

fn wait(raw: &RawWait) -> Wait {
    if raw.no_wait { Wait::No } else { Wait::AtMost(raw.timeout) }
}
