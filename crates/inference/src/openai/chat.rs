//! `POST /v1/chat/completions`.

mod join;
mod message;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

pub use join::Join;
pub use message::{Content, Message};
pub use request::Request;
pub use response::{
    Answer, Choice, Chunk, ChunkChoice, Completion, Delta, FunctionDelta, Logprobs, ToolCallDelta,
};
pub use stream::ChatStream;

pub(super) use message::check_calls;
pub(super) use stream::wrong_order;
