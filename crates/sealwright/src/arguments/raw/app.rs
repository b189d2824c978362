//! `app` as it is typed.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::engine::ArgValueCandidates;
use workload::AppName;

use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum RawApp {
    /// Measure a program, sign its record with your key, upload what the server lacks
    Publish {
        /// The app.yaml
        file: PathBuf,
    },
    /// All published programs
    List,
    /// One program: version, digest, publisher
    Show {
        #[arg(add = ArgValueCandidates::new(complete::apps))]
        name: AppName,
    },
    /// The version digest of an app.yaml, computed here, without a server
    Digest {
        /// The app.yaml
        file: PathBuf,
    },
}
