//! Pieces become chunks: the same order as chat's, in the older shape.

use super::super::TokenLogprob;
use super::super::chat::{ChatStream, Chunk, ChunkChoice};
use super::*;

/// Turns the pieces of continuations into chunks. Order and end are those of [`ChatStream`], which it is built on.
#[derive(Debug)]
pub struct CompletionStream {
    inner: ChatStream,
    /// Characters of each choice so far, for the offsets of its tokens.
    written: Vec<u64>,
}

impl CompletionStream {
    /// A stream of so many continuations, of all prompts together.
    pub fn new(head: Head, choices: u32, include_usage: bool) -> Self {
        Self {
            inner: ChatStream::new(head, choices, include_usage),
            written: (0..choices).map(|_| 0).collect(),
        }
    }

    /// The chunks of a piece.
    ///
    /// # Errors
    /// As [`ChatStream::push`]; calls of functions have no place here.
    pub fn push(&mut self, choice: u32, piece: Piece) -> Result<Vec<Completion>, Error> {
        if matches!(piece, Piece::ToolCall { .. } | Piece::ToolArguments(_)) {
            return Err(Error::internal("a continuation cannot call functions"));
        }
        let chunks = self.inner.push(choice, piece)?;
        Ok(self.all(chunks))
    }

    /// The last chunks; after them comes [`super::super::sse::DONE`].
    ///
    /// # Errors
    /// As [`ChatStream::finish`].
    pub fn finish(&mut self, usage: Usage, assay: Option<Value>) -> Result<Vec<Completion>, Error> {
        let chunks = self.inner.finish(usage, assay)?;
        Ok(self.all(chunks))
    }

    /// An answer in one piece, from the same chunks.
    ///
    /// # Errors
    /// As [`CompletionStream::push`] and [`CompletionStream::finish`].
    pub fn whole(
        head: Head,
        choices: u32,
        pieces: impl IntoIterator<Item = (u32, Piece)>,
        usage: Usage,
        assay: Option<Value>,
    ) -> Result<Completion, Error> {
        let mut stream = Self::new(head, choices, true);
        let mut chunks = Vec::new();
        for (choice, piece) in pieces {
            chunks.extend(stream.push(choice, piece)?);
        }
        chunks.extend(stream.finish(usage, assay)?);
        // The last chunk has the usage, the receipts and no choice.
        let last = chunks.pop();
        let mut whole = last.ok_or_else(|| Error::internal("an answer without chunks"))?;
        whole.choices = (0..choices).map(unwritten).collect();
        for new in chunks.into_iter().flat_map(|chunk| chunk.choices) {
            let at = usize::try_from(new.index).unwrap_or(usize::MAX);
            if let Some(choice) = whole.choices.get_mut(at) {
                choice.add(new);
            }
        }
        Ok(whole)
    }

    fn all(&mut self, chunks: Vec<Chunk>) -> Vec<Completion> {
        let each = chunks.into_iter();
        // The role has no place in this shape.
        let said = each.filter(|chunk| chunk.choices.iter().all(|c| c.delta.role.is_none()));
        said.map(|chunk| Completion {
            id: chunk.id,
            object: TEXT_COMPLETION.into(),
            created: chunk.created,
            model: chunk.model,
            system_fingerprint: chunk.system_fingerprint,
            choices: chunk
                .choices
                .into_iter()
                .map(|c| older(c, &mut self.written))
                .collect(),
            usage: chunk.usage,
            assay: chunk.assay,
        })
        .collect()
    }
}

/// A chat choice in the older shape.
fn older(choice: ChunkChoice, written: &mut [u64]) -> Choice {
    let text = choice.delta.content.flatten().unwrap_or_default();
    let at = usize::try_from(choice.index).unwrap_or(usize::MAX);
    let mut offset = 0;
    if let Some(written) = written.get_mut(at) {
        offset = *written;
        let added = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        *written = written.saturating_add(added);
    }
    Choice {
        index: choice.index,
        text,
        logprobs: choice.logprobs.map(|l| Logprobs::new(&l.content, offset)),
        finish_reason: choice.finish_reason,
    }
}

fn unwritten(index: u32) -> Choice {
    Choice {
        index,
        text: String::new(),
        logprobs: None,
        finish_reason: None,
    }
}

impl Choice {
    /// Appends what is new.
    fn add(&mut self, new: Self) {
        self.text.push_str(&new.text);
        if new.finish_reason.is_some() {
            self.finish_reason = new.finish_reason;
        }
        if let Some(new) = new.logprobs {
            let known = self.logprobs.get_or_insert_default();
            known.tokens.extend(new.tokens);
            known.token_logprobs.extend(new.token_logprobs);
            known.top_logprobs.extend(new.top_logprobs);
            known.text_offset.extend(new.text_offset);
        }
    }
}

impl Logprobs {
    /// Tokens in the older shape, the first of which begins at the offset.
    fn new(content: &[TokenLogprob], mut offset: u64) -> Self {
        let mut older = Self::default();
        for token in content {
            older.text_offset.push(offset);
            let characters = u64::try_from(token.token.chars().count()).unwrap_or(u64::MAX);
            offset = offset.saturating_add(characters);
            older.tokens.push(token.token.clone());
            older.token_logprobs.push(token.logprob);
            let mut top: BTreeMap<String, f64> = BTreeMap::new();
            // Two tokens of one text: the better one, which comes first, stays.
            for other in &token.top_logprobs {
                top.entry(other.token.clone()).or_insert(other.logprob);
            }
            top.entry(token.token.clone()).or_insert(token.logprob);
            older.top_logprobs.push(top);
        }
        older
    }
}
