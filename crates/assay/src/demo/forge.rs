//! Forgeries of a receipt file: what a cheat would try, each to be refused.

use crate::saved::ReceiptFile;
use alloy_primitives::Bytes;
use anyhow::{Context as _, Result, ensure};
use assay_receipt::{Disclosure, SignedReceipt};

/// A forged receipt file and what was done to it.
#[derive(Debug)]
pub struct Forgery {
    /// What was done.
    pub deed: &'static str,
    /// The forged file.
    pub text: String,
}

/// The forgeries of the walk. `other` is a genuine file of another receipt of the same network.
///
/// # Errors
/// A complaint if the genuine files lack what is to be forged.
pub fn forgeries(genuine: &ReceiptFile, other: &ReceiptFile) -> Result<Vec<Forgery>> {
    let text = |file: &ReceiptFile| serde_json::to_string_pretty(file).context("writing a forgery");
    Ok(vec![
        Forgery {
            deed: "one byte of the receipt flipped",
            text: text(&flip(genuine)?)?,
        },
        Forgery {
            deed: "the output replaced by a nicer one",
            text: text(&other_output(genuine)?)?,
        },
        Forgery {
            deed: "the price lowered in readable and proven form",
            text: text(&other_price(genuine)?)?,
        },
        Forgery {
            deed: "the proof of another receipt put in",
            text: text(&other_proof(genuine, other))?,
        },
    ])
}

/// Flips the lowest bit in the middle of the receipt as the proof carries it.
fn flip(genuine: &ReceiptFile) -> Result<ReceiptFile> {
    let mut file = genuine.clone();
    let proof = file.proof.as_mut().context("the file has no proof")?;
    let mut bytes = proof.receipt.to_vec();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("the receipt is empty")? ^= 1;
    proof.receipt = bytes.into();
    Ok(file)
}

fn other_output(genuine: &ReceiptFile) -> Result<ReceiptFile> {
    let mut file = genuine.clone();
    let field: &mut Disclosure = file
        .output
        .last_mut()
        .context("the file lays no output open")?;
    let mut bytes = field.bytes.to_vec();
    // The last byte of a little-endian float holds its sign.
    *bytes.last_mut().context("the output is empty")? ^= 0x80;
    field.bytes = Bytes::from(bytes);
    Ok(file)
}

fn other_price(genuine: &ReceiptFile) -> Result<ReceiptFile> {
    let mut file = genuine.clone();
    let mut receipt: SignedReceipt = file.receipt.clone();
    receipt.receipt.price.0 ^= 1;
    ensure!(
        receipt != file.receipt,
        "the forgery is the genuine receipt"
    );
    file.proof
        .as_mut()
        .context("the file has no proof")?
        .receipt = receipt.encode().into();
    file.receipt = receipt;
    Ok(file)
}

fn other_proof(genuine: &ReceiptFile, other: &ReceiptFile) -> ReceiptFile {
    ReceiptFile {
        proof: other.proof.clone(),
        ..genuine.clone()
    }
}
