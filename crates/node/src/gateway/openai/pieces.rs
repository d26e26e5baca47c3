//! From tokens to the parts of an answer in OpenAI's words: text, calls of tools, likelihoods.

use crate::api::generate::{LikelihoodEntry, StepEntry};
use assay_inference::language::Finish;
use assay_inference::language::text::{Piece as Found, ToolCalls, ToolFormat};
use assay_inference::openai::{FinishReason, Piece, TokenLogprob, TopLogprob};

/// Cuts one choice into parts.
#[derive(Debug)]
pub(super) struct Pieces {
    calls: Option<ToolCalls>,
    parallel: bool,
    made: usize,
    /// Ids of calls begin with it.
    id: String,
    /// Likelihoods whose text is held back.
    held: Vec<TokenLogprob>,
}

impl Pieces {
    pub(super) fn new(format: Option<ToolFormat>, parallel: bool, id: String) -> Self {
        Self {
            calls: format.map(ToolCalls::new),
            parallel,
            made: 0,
            id,
            held: Vec::new(),
        }
    }

    /// What follows from more tokens.
    pub(super) fn push(&mut self, steps: &[StepEntry]) -> Vec<Piece> {
        let likelihoods = steps.iter().filter_map(|step| step.likelihood.as_ref());
        self.held.extend(likelihoods.map(logprob));
        let text: String = steps.iter().map(|step| step.text.as_str()).collect();
        match &mut self.calls {
            None => self.text(text).into_iter().collect(),
            Some(calls) => {
                let found = calls.push(&text);
                self.found(found)
            }
        }
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, finish: Finish) -> Vec<Piece> {
        let mut pieces = match self.calls.take() {
            Some(calls) => {
                let found = calls.finish();
                self.found(found)
            }
            None => Vec::new(),
        };
        if !self.held.is_empty() {
            let logprobs = std::mem::take(&mut self.held);
            pieces.push(Piece::Text {
                text: String::new(),
                logprobs,
            });
        }
        pieces.push(Piece::Finish(match finish {
            _ if self.made > 0 => FinishReason::ToolCalls,
            Finish::Stop => FinishReason::Stop,
            Finish::Length => FinishReason::Length,
        }));
        pieces
    }

    fn text(&mut self, text: String) -> Option<Piece> {
        if text.is_empty() && self.held.is_empty() {
            return None;
        }
        let logprobs = std::mem::take(&mut self.held);
        Some(Piece::Text { text, logprobs })
    }

    fn found(&mut self, found: Vec<Found>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in found {
            match part {
                Found::Content(text) => pieces.extend(self.text(text)),
                // The client wants at most one.
                Found::Call(_) if self.made > 0 && !self.parallel => {}
                Found::Call(call) => {
                    let id = format!("call_{}{}", self.id, self.made);
                    self.made = self.made.saturating_add(1);
                    pieces.push(Piece::ToolCall {
                        id,
                        name: call.name,
                    });
                    pieces.push(Piece::ToolArguments(call.arguments));
                }
            }
        }
        pieces
    }
}

fn logprob(entry: &LikelihoodEntry) -> TokenLogprob {
    let bytes = |hex: &str| alloy_primitives::hex::decode(hex).unwrap_or_default();
    let top = entry
        .likeliest
        .iter()
        .map(|(token, log)| TopLogprob::new(&bytes(token), f64::from(*log)));
    TokenLogprob::new(&bytes(&entry.bytes), f64::from(entry.log), top.collect())
}

/// How a model writes calls, by the name in its entry.
pub(super) fn tool_format(name: Option<&str>) -> Option<ToolFormat> {
    [ToolFormat::Hermes, ToolFormat::Mistral, ToolFormat::Llama]
        .into_iter()
        .find(|format| Some(format_name(*format)) == name)
}

/// The name of a way to write calls.
pub(crate) const fn format_name(format: ToolFormat) -> &'static str {
    match format {
        ToolFormat::Hermes => "hermes",
        ToolFormat::Mistral => "mistral",
        ToolFormat::Llama => "llama",
    }
}
