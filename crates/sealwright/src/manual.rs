//! The manual pages, made of the same definitions as the help: one per verb.

use std::path::Path;

use crate::arguments::definition;
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Writes all pages into a folder, and says how many.
pub(crate) fn write(folder: &Path) -> Result<(), Failure> {
    let fault = |error: std::io::Error| {
        Failure::new(ExitCode::Failed, format!("{} can't be written", folder.display()))
            .because(error.to_string())
    };
    std::fs::create_dir_all(folder).map_err(fault)?;
    clap_mangen::generate_to(definition().disable_help_subcommand(true), folder).map_err(fault)?;
    eprintln!("the pages are in {}; read one: man {}/sealwright.1", folder.display(), folder.display());
    Ok(())
}
