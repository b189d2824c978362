//! Progress of long work, on standard error: a line per stage, and a bar for what is counted on a terminal.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far something is; a bar is gone from the terminal when this is dropped.
#[derive(Default)]
pub(crate) struct Progress {
    counting: Option<Counting>,
    last_stage: Option<String>,
}

/// Something with a known number of parts.
struct Counting {
    what: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `done` of `of` parts of `what`. Elsewhere than on a terminal only the end is told.
    pub(crate) fn counted(&mut self, what: &str, done: usize, of: usize) {
        if self.counting.as_ref().is_none_or(|counting| counting.what != what) {
            self.finish();
            self.counting = Some(Counting { what: what.to_owned(), bar: bar(what, of) });
        }
        match self.counting.as_ref().and_then(|counting| counting.bar.as_ref()) {
            Some(bar) => bar.set_position(done as u64),
            None if done == of => eprintln!("  {what}: {of}"),
            None => {}
        }
    }

    /// A stage that has a line of its own; the same stage twice is one line.
    pub(crate) fn stage(&mut self, line: &str) {
        if self.last_stage.as_deref() != Some(line) {
            eprintln!("  {line}");
            self.last_stage = Some(line.to_owned());
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.counting.take().and_then(|counting| counting.bar) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(what: &str, of: usize) -> Option<ProgressBar> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("  {bar:24} {pos:>5}/{len:<5} {msg}").ok()?;
    Some(ProgressBar::new(of as u64).with_style(style).with_message(what.to_owned()))
}
