//! Pieces become chunks.

use serde_json::Value;

use super::super::{Error, Head, Piece, TokenLogprob, Usage};
use super::response::CHUNK;
use super::{Chunk, ChunkChoice, Completion, Delta, FunctionDelta, Join, Logprobs, ToolCallDelta};

/// Turns the pieces of an answer into its chunks, in the order in which clients expect them: for each choice the role,
/// what it says, why it ended; then, where it was asked for, the usage.
///
/// The last choice's end waits for [`ChatStream::finish`], because the last chunk carries the receipts and a client
/// that did not ask for the usage expects no chunk without choices.
#[derive(Debug)]
pub struct ChatStream {
    head: Head,
    include_usage: bool,
    choices: Vec<Progress>,
    /// The end of the choice that ended last.
    held: Option<Chunk>,
}

/// Where one choice stands.
#[derive(Debug, Clone, Default)]
struct Progress {
    started: bool,
    said: bool,
    calls: u32,
    finished: bool,
}

impl ChatStream {
    /// A stream of so many choices.
    pub fn new(head: Head, choices: u32, include_usage: bool) -> Self {
        let choices = (0..choices).map(|_| Progress::default()).collect();
        Self {
            head,
            include_usage,
            choices,
            held: None,
        }
    }

    /// The first chunks of all choices, to be sent before there is any piece; [`ChatStream::push`] makes up for it.
    pub fn start(&mut self) -> Vec<Chunk> {
        let (head, include_usage) = (&self.head, self.include_usage);
        let each = self.choices.iter_mut().zip(0u32..);
        each.filter_map(|(progress, index)| progress.start(head, include_usage, index))
            .collect()
    }

    /// The chunks of a piece, none if they are to wait.
    ///
    /// # Errors
    /// [`super::super::Kind::Internal`] for pieces in an order that no answer has: of a choice that does not exist or
    /// has ended, arguments without a call.
    pub fn push(&mut self, choice: u32, piece: Piece) -> Result<Vec<Chunk>, Error> {
        let at = usize::try_from(choice).unwrap_or(usize::MAX);
        let progress = self.choices.get_mut(at);
        let progress = progress.ok_or_else(|| wrong_order("there is no such choice"))?;
        if progress.finished {
            return Err(wrong_order("the choice has ended"));
        }
        let mut chunks = Vec::new();
        chunks.extend(progress.start(&self.head, self.include_usage, choice));
        let mut next = ChunkChoice {
            index: choice,
            delta: Delta::default(),
            logprobs: None,
            finish_reason: None,
        };
        match piece {
            Piece::Text { text, logprobs } => {
                progress.said = true;
                next.delta.content = Some(Some(text));
                next.logprobs = tokens(logprobs);
            }
            Piece::ToolCall { id, name } => {
                let index = progress.calls;
                progress.calls = index.saturating_add(1);
                next.delta.tool_calls = vec![first_of_call(index, id, name)];
            }
            Piece::ToolArguments(arguments) => {
                let index = progress.calls.checked_sub(1);
                let index = index.ok_or_else(|| wrong_order("arguments come before any call"))?;
                next.delta.tool_calls = vec![more_of_call(index, arguments)];
            }
            Piece::Finish(reason) => {
                progress.finished = true;
                if !progress.said && progress.calls == 0 {
                    // An empty answer is a text, not the lack of one.
                    next.delta.content = Some(Some(String::new()));
                }
                next.finish_reason = Some(reason);
                let chunk = chunk(&self.head, self.include_usage, next);
                if self.choices.iter().all(|progress| progress.finished) {
                    self.held = Some(chunk);
                } else {
                    chunks.push(chunk);
                }
                return Ok(chunks);
            }
        }
        chunks.push(chunk(&self.head, self.include_usage, next));
        Ok(chunks)
    }

    /// The last chunks; the last of them carries what is ours. After them comes [`super::super::sse::DONE`].
    ///
    /// # Errors
    /// [`super::super::Kind::Internal`] if a choice has not ended.
    pub fn finish(&mut self, usage: Usage, assay: Option<Value>) -> Result<Vec<Chunk>, Error> {
        let held = self.held.take();
        let mut last = held.ok_or_else(|| wrong_order("a choice has not ended"))?;
        if !self.include_usage {
            last.assay = assay;
            return Ok(vec![last]);
        }
        let told = Chunk {
            choices: Vec::new(),
            usage: Some(Some(usage)),
            assay,
            ..last.clone()
        };
        Ok(vec![last, told])
    }

    /// An answer in one piece, from the same chunks.
    ///
    /// # Errors
    /// As [`ChatStream::push`] and [`ChatStream::finish`].
    pub fn whole(
        head: Head,
        choices: u32,
        pieces: impl IntoIterator<Item = (u32, Piece)>,
        usage: Usage,
        assay: Option<Value>,
    ) -> Result<Completion, Error> {
        let mut stream = Self::new(head, choices, true);
        let mut join = Join::default();
        join.push_all(stream.start())?;
        for (choice, piece) in pieces {
            join.push_all(stream.push(choice, piece)?)?;
        }
        join.push_all(stream.finish(usage, assay)?)?;
        join.finish()
    }
}

impl Progress {
    /// The first chunk, once.
    fn start(&mut self, head: &Head, include_usage: bool, index: u32) -> Option<Chunk> {
        if std::mem::replace(&mut self.started, true) {
            return None;
        }
        let delta = Delta {
            role: Some("assistant".into()),
            content: Some(None),
            refusal: Some(None),
            tool_calls: Vec::new(),
        };
        let choice = ChunkChoice {
            index,
            delta,
            logprobs: None,
            finish_reason: None,
        };
        Some(chunk(head, include_usage, choice))
    }
}

fn chunk(head: &Head, include_usage: bool, choice: ChunkChoice) -> Chunk {
    Chunk {
        id: head.id.clone(),
        object: CHUNK.into(),
        created: head.created,
        model: head.model.clone(),
        system_fingerprint: head.system_fingerprint.clone(),
        choices: vec![choice],
        usage: include_usage.then_some(None),
        assay: None,
    }
}

fn tokens(content: Vec<TokenLogprob>) -> Option<Logprobs> {
    let refusal = None;
    (!content.is_empty()).then_some(Logprobs { content, refusal })
}

fn first_of_call(index: u32, id: String, name: String) -> ToolCallDelta {
    ToolCallDelta {
        index,
        id: Some(id),
        r#type: Some("function".into()),
        function: FunctionDelta {
            name: Some(name),
            arguments: Some(String::new()),
        },
    }
}

fn more_of_call(index: u32, arguments: String) -> ToolCallDelta {
    ToolCallDelta {
        index,
        function: FunctionDelta {
            name: None,
            arguments: Some(arguments),
        },
        ..ToolCallDelta::default()
    }
}

/// A mistake of ours, or of the node that sent the pieces.
pub(in super::super) fn wrong_order(what: &str) -> Error {
    Error::internal(format!("the answer's pieces are out of order: {what}"))
}
