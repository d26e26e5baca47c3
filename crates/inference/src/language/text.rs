//! Text of language models: from messages to tokens, and from tokens back to text, tool calls and JSON.
//!
//! [`Template`] writes a conversation as the text that a model was trained on, [`Tokenizer`] turns that text into
//! tokens, [`Decoder`] turns tokens back into text piece by piece, [`Stops`] cuts it at stop sequences, [`ToolCalls`]
//! finds the calls in it, and [`Constraints`] says which tokens keep it within a JSON schema.
//!
//! Tokenizers and templates come from whoever published the model, messages and schemas from whoever asks; all of them
//! are read under [`limits`], and none can make this code panic. All of it is a function of its arguments: there is no
//! clock, no random source and no limit in seconds, so that two machines get the same tokens.
//!
//! **Text of users is no control token.** A chat model is told who speaks by tokens such as `<|im_end|>`. Where a
//! client writes these very letters into a message, they reach the model as letters: [`guard`] says how, and up to
//! where.

mod constraint;
mod decoder;
mod error;
pub mod guard;
pub mod limits;
mod stops;
mod template;
mod tokenizer;
mod tool_calls;

pub use constraint::{Constraint, Constraints, Mask, Parallel, ToolSignature};
pub use decoder::Decoder;
pub use error::Error;
pub use guard::Rendered;
pub use stops::{Released, Stops};
pub use template::{Conversation, Date, Template};
pub use tokenizer::{Controls, Tokenizer};
pub use tool_calls::{Piece, ToolCall, ToolCalls, ToolFormat};
