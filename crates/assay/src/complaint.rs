//! What a command says when it cannot do what was asked: one line, a hint, an exit status.

use assay_node::{Error as NodeError, rpc_client::RpcError};
use clap::error::ErrorKind;
use std::{error::Error as StdError, fmt, process::ExitCode};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked; a `verify` command verified.
    Done,
    /// It failed; a `verify` command refuted.
    Failed,
    /// A `verify` command cannot tell.
    CannotTell,
    /// It was asked for something that there is not.
    Usage,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::CannotTell => 2,
            Self::Usage => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// An error with a hint what to do about it.
#[derive(Debug)]
pub struct Complaint {
    message: String,
    hint: Option<String>,
    exit: Exit,
}

impl Complaint {
    /// Something failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self {
            message: one_line(&message.to_string()),
            hint: None,
            exit: Exit::Failed,
        }
    }

    /// Something was asked for that there is not.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::failed(message)
        }
    }

    /// A verifier cannot decide.
    pub fn cannot_tell(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::CannotTell,
            ..Self::failed(message)
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(one_line(&hint.to_string()));
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Complaint {}

/// The error as it is shown, and the status it ends with.
pub fn show(error: &anyhow::Error) -> (String, Exit) {
    let chain: Vec<String> = error
        .chain()
        .map(|cause| one_line(&cause.to_string()))
        .collect();
    let mut text = format!("error: {}", without_repeats(&chain).join(": "));
    let complaint = error.downcast_ref::<Complaint>();
    let hint = complaint.and_then(|complaint| complaint.hint.as_deref());
    if let Some(hint) = hint.or_else(|| error.chain().find_map(advice)) {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    (
        text,
        complaint.map_or(Exit::Failed, |complaint| complaint.exit),
    )
}

/// What to do about an error that a role or the chain's client made: their types do not know of commands.
fn advice(cause: &(dyn StdError + 'static)) -> Option<&'static str> {
    let rpc = match cause.downcast_ref::<NodeError>() {
        Some(NodeError::Rpc(rpc)) => Some(rpc),
        Some(NodeError::Config { .. }) => {
            return Some(
                "correct the file or name another one; `assay up` writes working ones for every role",
            );
        }
        Some(NodeError::Listen { .. }) => {
            return Some("stop what listens there, or choose another address");
        }
        Some(NodeError::Revision { .. }) => {
            return Some("restore the files as they were published");
        }
        _ => cause.downcast_ref::<RpcError>(),
    };
    match rpc? {
        RpcError::Unreachable { .. } => {
            Some("`assay up` starts a local network; --rpc names a validator of another one")
        }
        RpcError::Urls(_) => Some("give a validator as http://HOST:PORT"),
        _ => None,
    }
}

/// Many error types repeat their cause in their own text; it is shown once.
fn without_repeats(chain: &[String]) -> Vec<&str> {
    let mut shown: Vec<&str> = Vec::new();
    for text in chain {
        if !shown.iter().any(|earlier| earlier.contains(text.as_str())) {
            shown.push(text);
        }
    }
    shown
}

/// The text with its line breaks and runs of blanks made one blank.
pub fn one_line(text: &str) -> String {
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What somebody else wrote, without what moves a terminal's cursor or turns the direction of writing.
pub fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c.is_control() || turns(c) {
            true => '\u{fffd}',
            false => c,
        })
        .collect()
}

/// What clap has to say about wrong usage, as one line and a hint.
pub fn of_clap(error: &clap::Error) -> Complaint {
    let rendered = error.render().to_string();
    let body = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => body.split("\n\n").next().unwrap_or(body),
    };
    let tip = rendered
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "));
    let usage = rendered
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "));
    let hint = match (tip, usage) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(usage)) => format!("usage: {usage}"),
        (None, None) => "assay --help lists the commands".to_owned(),
    };
    Complaint::usage(message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_error_is_one_line_and_its_hint_another() {
        let complaint = Complaint::usage("no such\nmodel").hint("look  again");
        let error = Err::<(), _>(complaint).context("asking").unwrap_err();
        let expected = "error: asking: no such model\nhint: look again".to_owned();
        assert_eq!(show(&error), (expected, Exit::Usage));
    }

    #[test]
    fn what_others_wrote_moves_no_cursor() {
        let line = one_line("no\u{1b}[2Jmodel\u{202e}\n\u{9b}x");
        assert_eq!(line, "no\u{fffd}[2Jmodel\u{fffd} \u{fffd}x");
    }

    #[test]
    fn an_error_without_a_hint_fails() {
        let error = anyhow::anyhow!("disk full").context("writing: disk full");
        assert_eq!(
            show(&error),
            ("error: writing: disk full".to_owned(), Exit::Failed)
        );
    }

    #[test]
    fn the_four_statuses_differ() {
        let all = [Exit::Done, Exit::Failed, Exit::CannotTell, Exit::Usage];
        assert_eq!(all.map(Exit::number), [0, 1, 2, 3]);
    }
}
