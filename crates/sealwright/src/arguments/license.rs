//! `license`, `admin plans` and `admin licenses`: from what was typed to what is meant.

use std::time::Duration;

use api::licenses::{CheckOut, CreatePlan, IssueLicense, Validate};
use client::LicenseAct;
use licensing::{Expiration, HeartbeatRule, Overage, Resurrection, Terms};

use super::confirmation;
use super::raw::{RawExpiration, RawLicense, RawLicenseFile, RawLicenses, RawPlans, RawTerms, RawValidate};
use super::typed::{Confirmation, License, Licenses, Plans};

pub(super) fn read(raw: RawLicense) -> License {
    match raw {
        RawLicense::List => License::List,
        RawLicense::Show { id } => License::Show { id },
        RawLicense::Events { id } => License::Events { id },
        RawLicense::Validate(RawValidate { id, plan, apps, node, enclave }) => {
            let entitlements = (!apps.is_empty()).then_some(apps);
            let enclave = enclave.map(|name| name.to_string());
            License::Validate { id, scope: Validate { plan, node, entitlements, enclave } }
        }
        RawLicense::CheckIn { id } => License::CheckIn { id },
        RawLicense::Heartbeat { id, enclave } => License::Heartbeat { id, enclave },
        RawLicense::File(RawLicenseFile { id, to, life, node }) => {
            License::File { id, to, asked: CheckOut { ttl: Some(life.as_secs()), node } }
        }
        RawLicense::Verify { file, node, app } => License::Verify { file, node, app },
        RawLicense::Keys { accept: false } => License::Keys,
        RawLicense::Keys { accept: true } => License::AcceptKeys,
    }
}

pub(super) fn plans(raw: RawPlans) -> Plans {
    match raw {
        RawPlans::List => Plans::List,
        RawPlans::Show { code } => Plans::Show { code },
        RawPlans::Create(raw) => Plans::Create(plan(raw)),
        RawPlans::Retire { code } => Plans::Retire { code },
    }
}

fn plan(raw: RawTerms) -> CreatePlan {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    let rule = |interval| HeartbeatRule { interval, resurrection: Resurrection::FiveMinutes };
    let terms = Terms {
        seats: raw.seats,
        enclaves: raw.enclaves,
        entitlements: raw.apps.into_iter().collect(),
        duration: seconds(raw.duration),
        expiration: match raw.expiration {
            RawExpiration::Restrict => Expiration::RestrictAccess,
            RawExpiration::Revoke => Expiration::RevokeAccess,
            RawExpiration::Maintain => Expiration::MaintainAccess,
            RawExpiration::Allow => Expiration::AllowAccess,
        },
        grace: seconds(raw.grace).unwrap_or(0),
        heartbeat: seconds(raw.heartbeat).map(rule),
        check_in: seconds(raw.check_in),
        overage: Overage::None,
    };
    CreatePlan { code: raw.code, terms }
}

pub(super) fn licenses(raw: RawLicenses) -> Licenses {
    let change = |id, act| Licenses::Change { id, act, confirmation: Confirmation::Given };
    match raw {
        RawLicenses::List => Licenses::List,
        RawLicenses::Show { id } => Licenses::Show { id },
        RawLicenses::Events { id } => Licenses::Events { id },
        RawLicenses::Issue { plan, holder, node } => {
            Licenses::Issue(IssueLicense { plan, holder: holder.to_string(), node })
        }
        RawLicenses::Suspend { id } => change(id, LicenseAct::Suspend),
        RawLicenses::Resume { id } => change(id, LicenseAct::Reinstate),
        RawLicenses::Renew { id } => change(id, LicenseAct::Renew),
        RawLicenses::Revoke { id, yes } => {
            Licenses::Change { id, act: LicenseAct::Revoke, confirmation: confirmation(yes) }
        }
        RawLicenses::Lock { id, node } => change(id, LicenseAct::Lock(node)),
        RawLicenses::Unlock { id } => change(id, LicenseAct::Unlock),
        RawLicenses::Give { id, name } => change(id, LicenseAct::Give(name)),
        RawLicenses::Take { id, name } => change(id, LicenseAct::Take(name)),
        RawLicenses::Allow { id, app } => change(id, LicenseAct::Allow(app)),
        RawLicenses::Disallow { id, app } => change(id, LicenseAct::Disallow(app)),
        RawLicenses::RotateKey => Licenses::RotateKey,
    }
}
