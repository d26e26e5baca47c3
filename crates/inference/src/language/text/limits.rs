//! How much of what others sent is read.

/// Bytes of a `tokenizer.json`: the largest in use (256,000 tokens with their merges) take about 35 MB.
pub const TOKENIZER_BYTES_MAX: usize = 64 << 20;

/// Tokens of a vocabulary; the largest in use have 262,144.
pub const VOCABULARY_MAX: usize = 1 << 20;

/// Tokens beside the model's own ones; Gemma has about 6,400.
pub const ADDED_TOKENS_MAX: usize = 1 << 16;

/// Bytes of one token's text; a run of 1,024 spaces is the longest known.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// Bytes of a text that is made into tokens at once: about a million tokens.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// Bytes of a chat template; those with every tool format take about 20 kB.
pub const TEMPLATE_BYTES_MAX: usize = 256 << 10;

/// Steps of a template for one conversation. A step is an instruction, or 64 bytes of a string that it makes: enough
/// for some 10,000 messages, and less than a second.
pub const TEMPLATE_STEPS_MAX: u64 = 4_000_000;

/// Templates calling their own macros, and expressions in expressions.
pub const TEMPLATE_DEPTH_MAX: usize = 64;

/// Messages of a conversation.
pub const MESSAGES_MAX: usize = 4096;

/// Tools of a conversation, as in OpenAI's API.
pub const TOOLS_MAX: usize = 128;

/// Arrays and objects within each other, in messages, tools and schemas: what is read by recursion stays within a
/// stack.
pub const JSON_DEPTH_MAX: usize = 32;

/// Stop sequences of one answer.
pub const STOPS_MAX: usize = 16;

/// Bytes of a stop sequence: so much text is held back at most.
pub const STOP_BYTES_MAX: usize = 256;

/// Bytes of one tool call in an answer; what is longer is content.
pub const TOOL_CALL_BYTES_MAX: usize = 64 << 10;

/// Tool calls of one answer; what follows is content.
pub const TOOL_CALLS_MAX: usize = 128;

/// White space that is held back, because a tool call may follow, in characters.
pub const HELD_SPACE_MAX: usize = 64;

/// Bytes of a JSON schema, in its shortest form.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// `minItems` and `maxItems` of a schema: each item is a part of the grammar.
pub const SCHEMA_ITEMS_MAX: u64 = 1024;

/// `minLength` and `maxLength` of a schema: each character is a state of the grammar.
pub const SCHEMA_LENGTH_MAX: u64 = 8192;

/// Bytes of a `pattern` of a schema.
pub const SCHEMA_PATTERN_BYTES_MAX: usize = 512;

/// White space between two parts of constrained JSON, in characters. Without a bound a model can go on with spaces
/// until its answer ends; 64 indent twelve levels by four and one line.
pub const JSON_SPACE_MAX: usize = 64;
