//! `context`: from what was typed to what is meant.

use client::{Endpoint, Simulated};

use super::raw::{RawContext, RawCreateContext, RawSetting};
use super::typed::{Authority, ContextChoice, ContextSetting, ContextVerb, CreateContext};
use super::{confirmation, usage};

pub(super) fn read(raw: RawContext) -> Result<ContextVerb, clap::Error> {
    Ok(match raw {
        RawContext::List => ContextVerb::List,
        RawContext::Show { context } => {
            ContextVerb::Show { context: context.map_or(ContextChoice::Current, ContextChoice::Given) }
        }
        RawContext::Use { context } => ContextVerb::Use { context },
        RawContext::Create(raw) => {
            let RawCreateContext {
                name,
                gateway,
                edge,
                ca,
                fingerprint,
                level,
                trust_domain,
                allow_simulated,
            } = raw;
            let simulated = if allow_simulated { Simulated::Allowed } else { Simulated::Refused };
            let authority = match (ca, fingerprint) {
                (Some(path), fingerprint) => Authority::File { path, fingerprint },
                (None, Some(fingerprint)) => Authority::Fingerprint(fingerprint),
                (None, None) => {
                    return Err(usage("the CA is known by --ca, by --fingerprint, or by both".into()));
                }
            };
            ContextVerb::Create(CreateContext {
                name,
                gateway,
                edge,
                authority,
                level,
                trust_domain,
                simulated,
            })
        }
        RawContext::Set { setting, value } => ContextVerb::Set(self::setting(setting, &value)?),
        RawContext::Delete { name, yes } => ContextVerb::Delete { name, confirmation: confirmation(yes) },
    })
}

fn setting(setting: RawSetting, value: &str) -> Result<ContextSetting, clap::Error> {
    let read = match setting {
        RawSetting::Gateway => {
            Endpoint::from_url(value).map(ContextSetting::Gateway).ok_or("https://HOST:PORT")
        }
        RawSetting::Edge => value.parse().map(ContextSetting::Edge).map_err(|_| "HOST:PORT"),
        RawSetting::Simulated => match value {
            "allowed" => Ok(ContextSetting::Simulated(Simulated::Allowed)),
            "refused" => Ok(ContextSetting::Simulated(Simulated::Refused)),
            _ => Err("`allowed` or `refused`"),
        },
    };
    read.map_err(|expected| usage(format!("{value:?} is not {expected}")))
}
