//! Progress of long work, on standard error: one bar on a terminal, one line per stage elsewhere.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far something is; gone from a terminal when dropped.
pub(crate) struct Progress {
    view: View,
}

enum View {
    Bar(ProgressBar),
    Lines { last: Option<String> },
}

impl Progress {
    /// Progress of work whose length becomes known later.
    pub(crate) fn new() -> Self {
        let view = match io::stderr().is_terminal() {
            false => View::Lines { last: None },
            true => {
                let bar = ProgressBar::no_length();
                if let Ok(style) = ProgressStyle::with_template("  {bar:24} {pos:>4}/{len:<4} {wide_msg}") {
                    bar.set_style(style);
                }
                View::Bar(bar)
            }
        };
        Self { view }
    }

    /// `done` of `of` parts of `what`. Elsewhere than on a terminal only the beginning and the end are told.
    pub(crate) fn counted(&mut self, what: &str, done: usize, of: usize) {
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_message(what.to_owned());
            }
            View::Lines { .. } if done == of => eprintln!("  {what}: {of}"),
            View::Lines { .. } => {}
        }
    }

    /// A stage that has a line of its own.
    pub(crate) fn stage(&mut self, line: &str) {
        match &mut self.view {
            View::Bar(bar) => bar.println(format!("  {line}")),
            View::Lines { last } => {
                if last.as_deref() != Some(line) {
                    eprintln!("  {line}");
                    *last = Some(line.to_owned());
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
    }
}
