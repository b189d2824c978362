//! `admin`: from what was typed to what is meant.

use super::raw::{RawAdmin, RawDatabase};
use super::typed::{Admin, Database};
use super::{confirmation, license};

pub(super) fn read(raw: RawAdmin) -> Admin {
    match raw {
        RawAdmin::Grant { name, database } => Admin::Grant { name, database: self::database(database) },
        RawAdmin::Revoke { name, database } => Admin::Revoke { name, database: self::database(database) },
        RawAdmin::Users => Admin::Users,
        RawAdmin::Disable { name, yes } => Admin::Disable { name, confirmation: confirmation(yes) },
        RawAdmin::Enable { name } => Admin::Enable { name },
        RawAdmin::Plans(raw) => Admin::Plans(license::plans(raw)),
        RawAdmin::Licenses(raw) => Admin::Licenses(license::licenses(raw)),
        RawAdmin::Node { data } => Admin::Node { data },
        RawAdmin::Audit => Admin::Audit,
    }
}

fn database(raw: RawDatabase) -> Database {
    raw.database.map_or(Database::OfFolder(raw.data), Database::Named)
}
