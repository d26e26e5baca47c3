//! `POST /v1/responses`, text and functions only: nothing is kept, so every request carries the whole conversation.

mod item;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

pub use request::Request;
pub use response::{Item, Response, Status, Text};
pub use stream::{Event, ResponseStream};
