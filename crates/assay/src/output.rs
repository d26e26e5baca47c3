//! Where a command's data and its progress go.

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

impl Form {
    /// Prints `value` as JSON, or as what `text` makes of it.
    ///
    /// # Errors
    /// The system's, unless the reader has gone away, which is its right.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        match self {
            Self::Text => line(&text(value)),
            Self::Json => line(&serde_json::to_string_pretty(value)?),
        }
    }
}

/// Prints a line, or several, to standard output.
///
/// # Errors
/// The system's, unless the reader has gone away.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether a person is looking at standard output.
pub fn on_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Rows of a name and a text, the texts under each other, each line indented by `indent`.
pub fn rows<N: AsRef<str>, T: AsRef<str>>(indent: usize, rows: &[(N, T)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.as_ref().len())
        .max()
        .unwrap_or(0);
    let lines = rows.iter().map(|(name, text)| {
        format!("{:indent$}{:width$}  {}", "", name.as_ref(), text.as_ref())
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How often a bar moves.
const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error while something takes its time; nothing where that is no terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows `what` is being waited for.
    pub fn wait(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows how many of `total` are done.
    pub fn count(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// One more is done.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_and_have_no_blanks_at_their_end() {
        let text = rows(2, &[("a", "one"), ("long", "two"), ("b", "")]);
        assert_eq!(text, "  a     one\n  long  two\n  b");
        assert_eq!(rows::<&str, &str>(2, &[]), "");
    }
}
