//! NAME.receipt.json: one receipt with what its holder needs to verify and to show it.

use assay_chain::light::{Network, ReceiptProof};
use assay_receipt::{Disclosure, NetworkId, SignedReceipt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fs::File, io::Read as _, path::Path};

/// Largest receipt file that is read, in bytes: the disclosed fields may carry an image or two.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// What to do about a network file that cannot be used.
pub const NETWORK_HINT: &str =
    "get the network's file from someone you trust; a local network has it as network.json";

/// A saved receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// The network that the receipt is of.
    pub network: NetworkId,
    /// The receipt in its readable form.
    pub receipt: SignedReceipt,
    /// What offline verification needs; absent while the receipt has not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ReceiptProof>,
    /// Every field of the input, laid open; empty where the holder keeps it private.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Disclosure>,
    /// Every field of the output, laid open; empty where the holder keeps it private.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Disclosure>,
}

/// What a file with a receipt may hold.
#[derive(Debug, Clone)]
pub enum Saved {
    /// A whole receipt file.
    File(Box<ReceiptFile>),
    /// A proof alone, as the network's RPC gives it.
    Proof(Box<ReceiptProof>),
}

/// Why a text is no receipt file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSaved {
    /// It is some other JSON document; nothing claims to be a receipt here.
    #[error("the file holds no receipt")]
    OtherDocument,
    /// It claims to be a receipt and is not a well-formed one.
    #[error("the file is not a well-formed receipt: {0}")]
    Malformed(String),
}

impl Saved {
    /// Reads a receipt file or a bare proof. White space is free; every value must be in its one canonical
    /// spelling, so that a changed byte is a changed receipt.
    ///
    /// # Errors
    /// [`NotSaved`].
    pub fn parse(text: &str) -> Result<Self, NotSaved> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| NotSaved::Malformed(error.to_string()))?;
        match value.get("receipt") {
            Some(Value::String(_)) => strict(text, &value).map(Box::new).map(Self::Proof),
            Some(_) => strict(text, &value).map(Box::new).map(Self::File),
            None => Err(NotSaved::OtherDocument),
        }
    }
}

fn strict<T: DeserializeOwned + Serialize>(text: &str, value: &Value) -> Result<T, NotSaved> {
    let malformed = |reason: String| NotSaved::Malformed(reason);
    let typed: T = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let again = serde_json::to_value(&typed).map_err(|error| malformed(error.to_string()))?;
    if again == *value {
        Ok(typed)
    } else {
        Err(malformed("a value is not in its canonical form".into()))
    }
}

/// Reads the whole text of a file.
///
/// # Errors
/// What is wrong with it; a file that is too long is never read in part.
pub fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error| format!("{} cannot be read: {error}", path.display());
    let mut text = String::new();
    File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE_BYTES.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "{} has more than {MAX_FILE_BYTES} bytes",
            path.display()
        ));
    }
    Ok(text)
}

/// Reads a network file.
///
/// # Errors
/// What is wrong with it; see [`NETWORK_HINT`].
pub fn read_network(path: &Path) -> Result<Network, String> {
    let no_network = |error| format!("{} is no network file: {error}", path.display());
    parse_network(&read(path)?).map_err(no_network)
}

/// Reads the text of a network file.
///
/// # Errors
/// What is wrong with it.
pub fn parse_network(text: &str) -> Result<Network, serde_json::Error> {
    serde_json::from_str(text)
}
