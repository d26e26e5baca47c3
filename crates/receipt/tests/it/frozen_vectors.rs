//! The vectors in `vectors/` are what the generator makes, and the code does with each what the vector says.

use std::path::PathBuf;

use alloy_primitives::{B256, Bytes};
use assay_receipt::merkle::{verify_in_batch, verify_in_block};
use assay_receipt::{
    Batch, BatchRoot, Commitment, Disclosure, Domain, Error, InclusionPath, NodeAddress, Receipt,
    ReceiptId, Request, RequestId, SignedReceipt, chunks,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[path = "../../examples/make_vectors/suite.rs"]
mod suite;

/// Fewest rejecting cases of a type.
const FEWEST_REJECTS: usize = 12;

fn stored(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn field<T: DeserializeOwned>(case: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(case[name].clone()).map_err(|error| {
        let ill_formed = error
            .to_string()
            .starts_with("the receipt is not well formed");
        if ill_formed { "ill-formed" } else { "json" }.to_owned()
    })
}

fn kind(error: Error) -> String {
    error.kind().to_owned()
}

/// Runs every case of a file through `read`, which gives the results that an accepting case lists.
fn check(name: &str, read: fn(&Value) -> Result<Value, String>) {
    let file = stored(name);
    let accept = file["accept"].as_array().unwrap();
    let reject = file["reject"].as_array().unwrap();
    assert!(
        !accept.is_empty() && reject.len() >= FEWEST_REJECTS,
        "{name}: too few cases"
    );
    for case in accept {
        let results = read(case).unwrap_or_else(|why| panic!("{name}: {}: {why}", case["name"]));
        for (key, result) in results.as_object().unwrap() {
            assert_eq!(&case[key], result, "{name}: {}: {key}", case["name"]);
        }
    }
    for case in reject {
        assert_eq!(
            read(case).err().as_deref(),
            case["reason"].as_str(),
            "{name}: {}",
            case["name"]
        );
    }
}

/// The id computed, or "id-mismatch" where the case claims another.
fn claimed<T: serde::Serialize>(case: &Value, id: T) -> Result<Value, String> {
    let id = json!(id);
    if id == case["id"] {
        Ok(id)
    } else {
        Err("id-mismatch".to_owned())
    }
}

#[test]
fn files_are_what_the_generator_makes() {
    for file in suite::files() {
        assert_eq!(
            stored(file.name),
            file.content,
            "{}: run the make_vectors example",
            file.name
        );
    }
}

#[test]
fn requests() {
    check("request.json", |case| {
        let request: Request = field(case, "request")?;
        Ok(json!({ "id": claimed(case, request.id())?, "request": request }))
    });
}

#[test]
fn receipts() {
    check("receipt.json", |case| {
        let domain: Domain = field(case, "domain")?;
        let receipt: Receipt = field(case, "receipt")?;
        Ok(json!({
            "id": claimed(case, receipt.id(&domain))?,
            "separator": domain.separator(),
            "structHash": receipt.struct_hash(),
            "receipt": receipt,
        }))
    });
}

#[test]
fn signed_receipts() {
    check("signed-receipt.json", |case| {
        let domain: Domain = field(case, "domain")?;
        let bytes: Bytes = field(case, "bytes")?;
        let signed = SignedReceipt::decode(&bytes).map_err(kind)?;
        let verified = signed.verify(&domain).map_err(kind)?;
        assert_eq!(signed.encode(), bytes.as_ref());
        Ok(json!({ "id": verified.id(), "signed": signed }))
    });
}

#[test]
fn batches() {
    check("batch.json", |case| {
        let domain: Domain = field(case, "domain")?;
        let bytes: Bytes = field(case, "bytes")?;
        let batch = Batch::decode(&bytes).map_err(kind)?;
        assert_eq!(batch.encode(), bytes.as_ref());
        let receipts = batch.unpack(&domain);
        for (id, signed) in &receipts {
            let verified = signed.verify(&domain).map_err(kind)?;
            assert_eq!(verified.id(), *id);
        }
        Ok(json!({
            "node": batch.node(),
            "root": batch.tree(&domain).map_err(kind)?.root(),
            "ids": receipts.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "receipts": receipts.iter().map(|(_, signed)| signed).collect::<Vec<_>>(),
        }))
    });
}

#[test]
fn paths_to_batches() {
    check("batch-path.json", |case| {
        let id: ReceiptId = field(case, "id")?;
        let node: NodeAddress = field(case, "node")?;
        let path: InclusionPath = field(case, "path")?;
        let root: BatchRoot = field(case, "root")?;
        verify_in_batch(&id, node, &path, &root).map_err(kind)?;
        Ok(json!({ "path": path }))
    });
}

#[test]
fn paths_to_blocks() {
    check("block-path.json", |case| {
        let batch: BatchRoot = field(case, "batch")?;
        let path: InclusionPath = field(case, "path")?;
        let root: B256 = field(case, "root")?;
        verify_in_block(&batch, &path, &root).map_err(kind)?;
        Ok(json!({ "path": path }))
    });
}

#[test]
fn disclosures() {
    check("disclosure.json", |case| {
        let commitment: Commitment = field(case, "commitment")?;
        let disclosure: Disclosure = field(case, "disclosure")?;
        disclosure.verify(&commitment).map_err(kind)?;
        Ok(json!({ "disclosure": disclosure }))
    });
}

#[test]
fn chunk_chains() {
    check("chunk-chain.json", |case| {
        let request: RequestId = field(case, "request")?;
        let stream: Vec<Bytes> = field(case, "chunks")?;
        let head: Commitment = field(case, "head")?;
        chunks::verify(request, stream.iter().map(|chunk| chunk.as_ref()), &head).map_err(kind)?;
        Ok(json!({ "head": head }))
    });
}
