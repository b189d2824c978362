//! `auth sessions`, `auth revoke`, `auth password`, `auth audit`.

use api::accounts::Audit;
use client::{Gateway, time};

use crate::arguments::{Globals, PasswordSource, Revoke};
use crate::failure::Failure;
use crate::output::{age, print_list, table};
use crate::secrets::Secrets;

pub(super) async fn list(globals: &Globals, gateway: &mut Gateway) -> Result<(), Failure> {
    let list = gateway.sessions().await?;
    let names = list.sessions.iter().map(|session| session.id.clone());
    print_list(globals.output, &list, names, |_| {
        let now = time::now();
        let row = |session: &api::accounts::SessionEntry| {
            let current = if session.current { "*" } else { "" };
            let bound = if session.bound { "certificate" } else { "none" };
            let ends = time::format(session.expires_at);
            let (used, begun) = (age(session.used_at, now), age(session.created_at, now));
            [session.id.clone(), current.into(), session.client.clone(), bound.into(), ends, used, begun]
        };
        let rows: Vec<[String; 7]> = list.sessions.iter().map(row).collect();
        table(["ID", "CURRENT", "CLIENT", "BOUND-TO", "ENDS", "USED", "AGE"], &rows)
    })
}

pub(super) async fn revoke(gateway: &mut Gateway, which: Revoke) -> Result<(), Failure> {
    match which {
        Revoke::One(id) => {
            gateway.end_session(&id).await?;
            eprintln!("session {id} has ended");
        }
        Revoke::Others => eprintln!("{} other sessions have ended", gateway.end_other_sessions().await?),
    }
    Ok(())
}

pub(super) async fn password(gateway: &mut Gateway, source: PasswordSource) -> Result<(), Failure> {
    let secrets = Secrets(source);
    let old = secrets.password("Password: ")?;
    let new = secrets.new_password("New password: ")?;
    gateway.change_password(old, new).await?;
    eprintln!("the password is changed, and every other session has ended");
    Ok(())
}

/// The newest entries as a table.
pub(crate) fn show_audit(globals: &Globals, audit: &Audit) -> Result<(), Failure> {
    let names = audit.entries.iter().map(|entry| entry.seq.to_string());
    print_list(globals.output, audit, names, |_| {
        let row = |entry: &api::accounts::AuditEntry| {
            let (seq, at) = (entry.seq.to_string(), time::format(entry.at));
            [
                seq,
                at,
                entry.action.clone(),
                entry.subject.clone(),
                entry.result.clone(),
                entry.request.clone(),
            ]
        };
        let rows: Vec<[String; 6]> = audit.entries.iter().map(row).collect();
        table(["NUMBER", "AT", "ACTION", "SUBJECT", "RESULT", "REQUEST"], &rows)
    })
}
