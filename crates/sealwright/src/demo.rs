//! The story, told by real attempts.

use crate::arguments::DemoOptions;
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Tells the story.
pub(crate) async fn run(_options: DemoOptions) -> Result<(), Failure> {
    Err(Failure::new(ExitCode::Failed, "`demo` is not built yet"))
}
