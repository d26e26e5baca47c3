//! What is read at most.

/// Bounds on foreign bytes; counts without a field here are OpenAI's own and stand where they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body, and of a whole answer of another server.
    pub body_bytes: usize,
    /// Levels of nesting of a request's values.
    pub depth: u32,
    /// Values of a request's body, counted at every level.
    pub values: u32,
    /// Messages of a conversation, or items of a response's input.
    pub messages: usize,
    /// Tokens of one prompt that is given as token ids.
    pub tokens: usize,
    /// Bytes of one stop sequence.
    pub stop_bytes: usize,
    /// Tokens with a bias.
    pub biases: usize,
    /// Bytes of one event, or of an error, of another server.
    pub event_bytes: usize,
}

impl Default for Limits {
    /// For models with contexts of up to a million tokens.
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            depth: 64,
            values: 2 << 20,
            messages: 4_096,
            tokens: 1 << 20,
            stop_bytes: 1_024,
            biases: 1_024,
            event_bytes: 1 << 20,
        }
    }
}
