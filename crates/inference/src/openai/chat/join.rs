//! Chunks become a whole answer, as clients join them.

use super::super::{Error, FinishReason, Kind, ToolCall};
use super::response::COMPLETION;
use super::{Answer, Choice, Chunk, ChunkChoice, Completion, Logprobs, ToolCallDelta};

/// Choices and calls of a choice that are joined at most, as OpenAI allows.
const MAX_JOINED: usize = 128;

/// Joins the chunks of one stream, ours or another server's.
#[derive(Debug, Default)]
pub struct Join {
    whole: Option<Completion>,
    finished: Vec<bool>,
}

impl Join {
    /// Adds a chunk.
    ///
    /// # Errors
    /// [`Kind::BadGateway`] for a chunk that no stream has: indices that skip one, more than 128 choices or calls.
    pub fn push(&mut self, chunk: Chunk) -> Result<(), Error> {
        let whole = self.whole.get_or_insert_with(|| Completion {
            id: chunk.id,
            object: COMPLETION.into(),
            created: chunk.created,
            model: chunk.model,
            choices: Vec::new(),
            usage: None,
            system_fingerprint: None,
            metadata: None,
            assay: None,
        });
        if let Some(Some(usage)) = chunk.usage {
            whole.usage = Some(usage);
        }
        if chunk.system_fingerprint.is_some() {
            whole.system_fingerprint = chunk.system_fingerprint;
        }
        if chunk.assay.is_some() {
            whole.assay = chunk.assay;
        }
        for new in chunk.choices {
            let at = usize::try_from(new.index).unwrap_or(usize::MAX);
            while whole.choices.len() <= at {
                if at >= MAX_JOINED {
                    return Err(broken("it has more than 128 choices"));
                }
                whole.choices.push(unwritten(whole.choices.len()));
                self.finished.push(false);
            }
            let (Some(choice), Some(finished)) =
                (whole.choices.get_mut(at), self.finished.get_mut(at))
            else {
                continue;
            };
            if let Some(reason) = &new.finish_reason {
                choice.finish_reason = reason.clone();
                *finished = true;
            }
            add(choice, new)?;
        }
        Ok(())
    }

    /// Adds several chunks.
    ///
    /// # Errors
    /// As [`Join::push`].
    pub fn push_all(&mut self, chunks: Vec<Chunk>) -> Result<(), Error> {
        chunks.into_iter().try_for_each(|chunk| self.push(chunk))
    }

    /// The whole answer.
    ///
    /// # Errors
    /// [`Kind::BadGateway`] if there was no chunk with a choice, or a choice did not end.
    pub fn finish(self) -> Result<Completion, Error> {
        let whole = self.whole.filter(|whole| !whole.choices.is_empty());
        let whole = whole.ok_or_else(|| broken("it has no choice"))?;
        if self.finished.iter().all(|finished| *finished) {
            Ok(whole)
        } else {
            Err(broken("it ended before its choices did"))
        }
    }
}

/// A choice of which nothing has come.
fn unwritten(index: usize) -> Choice {
    Choice {
        index: u32::try_from(index).unwrap_or(u32::MAX),
        message: Answer {
            role: "assistant".into(),
            content: None,
            refusal: None,
            tool_calls: Vec::new(),
        },
        logprobs: None,
        finish_reason: FinishReason::Stop,
    }
}

fn add(choice: &mut Choice, new: ChunkChoice) -> Result<(), Error> {
    let message = &mut choice.message;
    if let Some(Some(text)) = new.delta.content {
        message.content.get_or_insert_default().push_str(&text);
    }
    if let Some(Some(text)) = new.delta.refusal {
        message.refusal.get_or_insert_default().push_str(&text);
    }
    for call in new.delta.tool_calls {
        add_call(&mut message.tool_calls, call)?;
    }
    if let Some(logprobs) = new.logprobs {
        let known = choice.logprobs.get_or_insert_with(Logprobs::default);
        known.content.extend(logprobs.content);
    }
    Ok(())
}

fn add_call(calls: &mut Vec<ToolCall>, new: ToolCallDelta) -> Result<(), Error> {
    let at = usize::try_from(new.index).unwrap_or(usize::MAX);
    if at > calls.len() || at >= MAX_JOINED {
        return Err(broken("the indices of its calls skip one, or are too many"));
    }
    if at == calls.len() {
        calls.push(ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
    }
    let Some(call) = calls.get_mut(at) else {
        return Ok(());
    };
    // Some servers repeat id and name in every chunk.
    if call.id.is_empty() {
        call.id = new.id.unwrap_or_default();
    }
    if call.name.is_empty() {
        call.name = new.function.name.unwrap_or_default();
    }
    call.arguments
        .push_str(&new.function.arguments.unwrap_or_default());
    Ok(())
}

/// A stream of another server that cannot be used.
fn broken(what: &str) -> Error {
    Error::new(
        Kind::BadGateway,
        format!("the stream cannot be used: {what}"),
    )
}
