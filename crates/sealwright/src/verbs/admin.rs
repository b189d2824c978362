//! `admin`: roles at the database itself; accounts, plans and licences through the gateway.

mod licenses;

use std::path::Path;

use anyhow::Context as _;
use api::accounts::Account;
use audit::Event;
use client::{Gateway, UserName, time};
use ensemble::Layout;
use store::{DatabaseUrl, Role, Store};

use super::auth::show_audit;
use super::confirm;
use super::setting::Setting;
use crate::arguments::{Admin, Database, Globals};
use crate::exit::ExitCode;
use crate::failure::Failure;
use crate::output::{age, fields, print, print_list, table};

pub(crate) async fn run(globals: &Globals, verb: Admin) -> Result<(), Failure> {
    match verb {
        Admin::Grant { name, database } => set_role(&name, &database, Role::Admin).await,
        Admin::Revoke { name, database } => set_role(&name, &database, Role::User).await,
        Admin::Users => users(globals, &mut gateway(globals)?).await,
        Admin::Disable { name, confirmation } => {
            let command = format!("sealwright admin disable {name} --yes");
            confirm(&format!("every session of {name}"), name.as_str(), &command, confirmation)?;
            let account = gateway(globals)?.disable_account(&name).await?;
            show(globals, &account)
        }
        Admin::Enable { name } => {
            let account = gateway(globals)?.enable_account(&name).await?;
            show(globals, &account)
        }
        Admin::Plans(verb) => licenses::plans(globals, &mut gateway(globals)?, verb).await,
        Admin::Licenses(verb) => licenses::licenses(globals, &mut gateway(globals)?, verb).await,
        Admin::Node { data } => node(globals, &data).await,
        Admin::Audit => show_audit(globals, &gateway(globals)?.admin_audit().await?),
    }
}

/// Asks the agent over its socket in the data folder, which only the user of `up` can open.
async fn node(globals: &Globals, data: &Path) -> Result<(), Failure> {
    // Making a layout would make its folders.
    if !data.join("agent").is_dir() {
        return Err(Failure::new(ExitCode::NotFound, format!("{} is no data folder", data.display()))
            .next("name the folder with --data DIR"));
    }
    let layout = Layout::make(data)?;
    let node = node_api::Admin::new(&layout.admin_socket()).node().await;
    let node = node.context("ask the agent: does `up` run on this folder?")?;
    print(globals.output, &node, || {
        let verdict = node.verdict_expires.map_or_else(|| "none".into(), time::format);
        fields(&[
            ("node", node.node.to_string()),
            ("level", node.level.to_string()),
            ("attestation key", node.ak_name.to_string()),
            ("log events", node.log_events.to_string()),
            ("verdict until", verdict),
        ])
    })
}

fn gateway(globals: &Globals) -> Result<Gateway, Failure> {
    Setting::open(globals)?.gateway(globals)
}

/// Which database: the one that is named, or the data folder's own. One that is not there is not made.
fn database(choice: &Database) -> Result<DatabaseUrl, Failure> {
    match choice {
        Database::Named(url) => Ok(url.clone()),
        Database::OfFolder(folder) => {
            let path = folder.join(Path::new(DATABASE));
            match path.exists() {
                true => Ok(DatabaseUrl::sqlite(path)),
                false => Err(Failure::new(
                    ExitCode::NotFound,
                    format!("there is no database in {}", folder.display()),
                )
                .next("name the folder with --data DIR, or the database with --database URL")),
            }
        }
    }
}

/// Where `ensemble::Layout` has it; making a layout would make a folder.
const DATABASE: &str = "db.sqlite";

async fn set_role(name: &UserName, choice: &Database, role: Role) -> Result<(), Failure> {
    let url = database(choice)?;
    let store = Store::open(&url).await.with_context(|| format!("open {url}"))?;
    let user = store.user_by_name(name.as_str()).await.context("find the account")?;
    let user = user.ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("there is no account {name}"))
            .next(format!("sealwright auth signup {name}"))
    })?;
    let event = Event {
        at: time::now(),
        actor: String::new(),
        action: "user.role".into(),
        subject: user.id.to_string(),
        result: "ok".into(),
        request: String::new(),
        address: String::new(),
    };
    match store.set_role(&user.id, role, event).await.context("change the role")? {
        true => eprintln!("{name} has the role {role} now"),
        false => eprintln!("{name} has the role {role} already"),
    }
    Ok(())
}

async fn users(globals: &Globals, gateway: &mut Gateway) -> Result<(), Failure> {
    let list = gateway.accounts().await?;
    let names = list.users.iter().map(|user| user.name.clone());
    print_list(globals.output, &list, names, |_| {
        let now = time::now();
        let rows: Vec<[String; 4]> = list
            .users
            .iter()
            .map(|user| [user.name.clone(), user.role.clone(), state(user).into(), age(user.created_at, now)])
            .collect();
        table(["NAME", "ROLE", "STATE", "AGE"], &rows)
    })
}

fn state(account: &Account) -> &'static str {
    if account.disabled_at.is_some() { "disabled" } else { "active" }
}

fn show(globals: &Globals, account: &Account) -> Result<(), Failure> {
    print(globals.output, account, || {
        fields(&[
            ("user", account.name.clone()),
            ("role", account.role.clone()),
            ("state", state(account).into()),
            ("id", account.id.clone()),
        ])
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_databases_path_is_the_layouts() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::make(folder.path()).unwrap();
        assert_eq!(layout.database().file_name().unwrap(), DATABASE);
    }
}
