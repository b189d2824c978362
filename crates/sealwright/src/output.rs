//! What verbs print: data on standard output, as text for people or as JSON for programs; everything else on standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::arguments::Output;
use crate::exit::ExitCode;
use crate::failure::Failure;

/// Whether a stream shows colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Colour {
    Plain,
    Coloured,
}

impl Colour {
    /// For standard output: `NO_COLOR` forbids, `CLICOLOR_FORCE` demands, else a terminal decides.
    pub(crate) fn of_stdout() -> Self {
        Self::decide(set("NO_COLOR"), set("CLICOLOR_FORCE"), io::stdout().is_terminal())
    }

    fn decide(forbidden: bool, demanded: bool, terminal: bool) -> Self {
        match !forbidden && (demanded || terminal) {
            true => Colour::Coloured,
            false => Colour::Plain,
        }
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// ECMA-48, 8.3.117 (SGR).
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::Plain => text.to_owned(),
            Colour::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Prints a result in the form that was asked for.
pub(crate) fn print<T: Serialize>(
    output: Output,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match output {
        Output::Table | Output::Wide | Output::Name => write(text().as_bytes()),
        Output::Json => {
            let mut json = serde_json::to_vec_pretty(value).map_err(|error| {
                Failure::new(ExitCode::Failed, "the result has no JSON form").because(error.to_string())
            })?;
            json.push(b'\n');
            write(&json)
        }
    }
}

/// Prints a list: as a table, narrow or wide, as JSON, or as names alone.
pub(crate) fn print_list<T: Serialize>(
    output: Output,
    list: &T,
    names: impl Iterator<Item = String>,
    table: impl FnOnce(Columns) -> String,
) -> Result<(), Failure> {
    match output {
        Output::Name => write(names.map(|name| tame(&name) + "\n").collect::<String>().as_bytes()),
        Output::Table => print(output, list, || table(Columns::Usual)),
        Output::Wide => print(output, list, || table(Columns::All)),
        Output::Json => print(output, list, String::new),
    }
}

/// How much a table shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Columns {
    Usual,
    All,
}

/// Writes bytes to standard output. A reader that has gone away (`| head`) is no failure.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitCode::Failed, "standard output can't be written").because(error.to_string()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Text from elsewhere, safe for a terminal: control characters become `?`, so that nobody's name moves the cursor.
pub(crate) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A table: upper-case headers without spaces, two spaces between columns.
pub(crate) fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| tame(cell))).collect();
    let mut widths = headers.map(|header| header.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        line.trim_end().to_owned() + "\n"
    };
    let mut text = line(headers);
    for row in &rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

/// Name and value, one a line, values in one column.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    fields.iter().map(|(name, value)| format!("{name:<width$}  {}\n", tame(value))).collect()
}

/// How long ago something was, in its largest unit.
pub(crate) fn age(then: u64, now: u64) -> String {
    let seconds = now.saturating_sub(then);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_end_without_blanks() {
        let rows = [["notes".to_owned(), "running".to_owned()], ["x".to_owned(), "ü".to_owned()]];
        assert_eq!(table(["NAME", "STATE"], &rows), "NAME   STATE\nnotes  running\nx      ü\n");
        assert_eq!(table(["NAME", "STATE"], &[]), "NAME  STATE\n");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(table(["A"], &[["\x1b[2Jx".to_owned()]]), "A\n?[2Jx\n");
        assert_eq!(fields(&[("name", "a\nb".to_owned())]), "name  a?b\n");
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (86399, "23h"), (200_000, "2d")]
        {
            assert_eq!(age(1000, 1000 + seconds), text);
        }
        assert_eq!(age(2000, 1000), "0s", "a clock that went back");
    }

    #[test]
    fn no_color_wins() {
        assert_eq!(Colour::decide(true, true, true), Colour::Plain);
        assert_eq!(Colour::decide(false, true, false), Colour::Coloured);
        assert_eq!(Colour::decide(false, false, false), Colour::Plain);
        assert_eq!(Colour::Plain.red("x"), "x");
    }
}
