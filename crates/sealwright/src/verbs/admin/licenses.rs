//! `admin plans` and `admin licenses`.

use api::licenses::Plan;
use client::{Gateway, LicenseAct, Licenses as Whose, time};

use super::super::confirm;
use super::super::license::{show, show_events, show_list};
use crate::arguments::{Globals, Licenses, Plans};
use crate::failure::Failure;
use crate::output::{fields, print, print_list, table};

pub(super) async fn plans(globals: &Globals, gateway: &mut Gateway, verb: Plans) -> Result<(), Failure> {
    match verb {
        Plans::List => {
            let list = gateway.plans().await?;
            print_list(globals.output, &list, list.plans.iter().map(|plan| plan.code.to_string()), |_| {
                let row = |plan: &Plan| {
                    let state = if plan.retired_at.is_some() { "retired" } else { "open" };
                    let terms = &plan.terms;
                    [
                        plan.code.to_string(),
                        state.into(),
                        terms.enclaves.to_string(),
                        terms.seats.to_string(),
                        terms.expiration.as_str().into(),
                    ]
                };
                let rows: Vec<[String; 5]> = list.plans.iter().map(row).collect();
                table(["PLAN", "STATE", "ENCLAVES", "SEATS", "EXPIRY"], &rows)
            })
        }
        Plans::Show { code } => show_plan(globals, &gateway.plan(&code).await?),
        Plans::Create(plan) => show_plan(globals, &gateway.create_plan(&plan).await?),
        Plans::Retire { code } => show_plan(globals, &gateway.retire_plan(&code).await?),
    }
}

pub(super) async fn licenses(
    globals: &Globals,
    gateway: &mut Gateway,
    verb: Licenses,
) -> Result<(), Failure> {
    match verb {
        Licenses::List => show_list(globals, &gateway.licenses(Whose::All).await?),
        Licenses::Show { id } => show(globals, &gateway.license(Whose::All, &id).await?),
        Licenses::Events { id } => show_events(globals, &gateway.license_events(Whose::All, &id).await?),
        Licenses::Issue(request) => show(globals, &gateway.issue_license(&request).await?),
        Licenses::Change { id, act, confirmation } => {
            if act == LicenseAct::Revoke {
                let command = format!("sealwright admin licenses revoke {id} --yes");
                confirm(&format!("licence {id}"), &id.to_string(), &command, confirmation)?;
            }
            show(globals, &gateway.change_license(&id, &act).await?)
        }
        Licenses::RotateKey => {
            let keys = gateway.rotate_license_key().await?;
            let newest = keys.first().map(licensing::VerifyKey::id).unwrap_or_default();
            eprintln!("licence files are signed with key {newest} from now on");
            Ok(())
        }
    }
}

fn show_plan(globals: &Globals, plan: &Plan) -> Result<(), Failure> {
    print(globals.output, plan, || {
        let terms = &plan.terms;
        let seconds =
            |time: Option<u64>, none: &str| time.map_or_else(|| none.to_owned(), |time| format!("{time} s"));
        let apps: Vec<String> = terms.entitlements.iter().map(ToString::to_string).collect();
        fields(&[
            ("plan", plan.code.to_string()),
            ("covers", apps.join(", ")),
            ("enclaves", terms.enclaves.to_string()),
            ("seats", terms.seats.to_string()),
            ("duration", seconds(terms.duration, "for ever")),
            ("expiry", terms.expiration.as_str().into()),
            ("grace", format!("{} s", terms.grace)),
            ("pings every", seconds(terms.heartbeat.map(|rule| rule.interval), "none")),
            ("check-in every", seconds(terms.check_in, "none")),
            ("retired", plan.retired_at.map_or_else(|| "no".into(), time::format)),
        ])
    })
}
