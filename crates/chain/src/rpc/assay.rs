//! The `assay_` methods: the network, its health, and where nodes and their receipts stand.

use super::{
    Refusal,
    params::{one, two_and_maybe},
    surface::Surface,
};
use crate::{
    engine::Runtime,
    execution::CallOutcome,
    light::{Network, ReceiptProof},
    proof,
    settlement::streamsCall,
    spec::{NODE_REGISTRY, SETTLEMENT, TRANSACTION_GAS_LIMIT},
};
use alloy_primitives::{Address, B256, U64, U128, hex};
use alloy_sol_types::{SolCall, sol};
use assay_receipt::RevisionId;
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use revm::context::TxEnv;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

sol! {
    /// What an operator says that the node shares with others.
    struct FailureDomains { uint32 asn; bytes2 country; uint8 teeVendor; bytes32 dataCentre; bytes32 build; }
    /// A node in the registry.
    struct Record {
        uint128 bond; uint8 status; uint64 exitsAt; uint32 index;
        address operator; FailureDomains domains; string endpoint;
    }
    /// Everything known of a node.
    function nodeOf(address node) external view returns (Record record);
}

type Context<E> = Arc<Surface<E>>;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_method(
        "assay_network",
        |_, surface, _| -> Result<Network, Refusal> { Ok(surface.backend.network.clone()) },
    )?;
    module.register_method("assay_health", |_, surface, _| -> Result<Health, Refusal> {
        Ok(health(surface))
    })?;
    module.register_async_method("assay_receiptProof", receipt_proof)?;
    module.register_async_method("assay_stream", stream)?;
    module.register_async_method("assay_node", node)?;
    Ok(())
}

/// Answer of `assay_health`.
#[derive(Debug, Clone, Serialize)]
struct Health {
    /// Height of the finalized tip.
    height: u64,
    /// Time of the tip, Unix milliseconds.
    timestamp_ms: u64,
    /// Transactions that wait for a block.
    pooled: usize,
    /// Validators of the network.
    validators: u32,
    /// What this validator says of where it runs, by dimension: its own word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    place: BTreeMap<String, String>,
}

fn health<E: Runtime>(surface: &Surface<E>) -> Health {
    let tip = surface.chain.tip();
    Health {
        height: tip.height,
        timestamp_ms: tip.timestamp_ms,
        pooled: surface.backend.shelf.pool().len(),
        validators: surface.backend.validators,
        place: surface.backend.place.clone(),
    }
}

async fn receipt_proof<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<ReceiptProof>, Refusal> {
    let mut sequence = params.sequence();
    let (node, revision, number) = (
        sequence.next::<Address>()?,
        sequence.next::<RevisionId>()?,
        sequence.next::<U64>()?,
    );
    let backend = &surface.backend;
    let network = backend.network.clone();
    let found = surface.read(move |chain| {
        let wanted = (node, revision, number.to());
        Ok(proof::find(chain.shelf(), &network, wanted)?)
    });
    let Some(found) = found.await? else {
        return Ok(None);
    };
    Ok(proof::certify(&backend.shelf, &backend.marshal, found).await?)
}

/// Answer of `assay_stream`: where a node stands with one revision.
#[derive(Debug, Clone, Serialize)]
struct Stream {
    /// Sequence number of the receipt that settles next.
    next: u64,
    /// Id of the receipt before it; zero if there is none.
    head: B256,
}

async fn stream<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Stream, Refusal> {
    let (node, revision, _) = two_and_maybe::<Address, RevisionId, ()>(&params)?;
    let call = streamsCall {
        node,
        revision: B256::from(*revision.as_bytes()),
    };
    let stands = view(&surface, SETTLEMENT, call).await?;
    Ok(Stream {
        next: stands.next,
        head: stands.head,
    })
}

/// Answer of `assay_node`: a node's record in the registry.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Node {
    /// "active", "exiting", "slashed" or "withdrawn".
    status: &'static str,
    /// Bond in microcredits, decimal.
    bond: String,
    /// When the bond of an exiting node is free, Unix seconds; 0 for others.
    exits_at_s: u64,
    /// The account that answers for it.
    operator: Address,
    /// Where it is reached.
    endpoint: String,
    /// Autonomous system of its hosting provider; 0 where unknown.
    asn: u32,
    /// ISO 3166-1 alpha-2; empty where unknown.
    country: String,
    /// Vendor of its confidential hardware, by its number in the registry; 0 for none.
    tee_vendor: u8,
    /// Name of its data centre; empty where unknown.
    data_centre: String,
    /// Digest of its software build; zero where unknown.
    build: B256,
}

async fn node<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<Node>, Refusal> {
    let call = nodeOfCall {
        node: one::<Address>(&params)?,
    };
    Ok(describe(view(&surface, NODE_REGISTRY, call).await?))
}

/// The record in words; `None` for a node that never registered.
fn describe(record: Record) -> Option<Node> {
    let status = match record.status {
        1 => "active",
        2 => "exiting",
        3 => "slashed",
        4 => "withdrawn",
        _ => return None,
    };
    Some(Node {
        status,
        bond: U128::from(record.bond).to_string(),
        exits_at_s: record.exitsAt,
        operator: record.operator,
        endpoint: record.endpoint,
        asn: record.domains.asn,
        country: text(record.domains.country.as_slice()),
        tee_vendor: record.domains.teeVendor,
        data_centre: text(record.domains.dataCentre.as_slice()),
        build: record.domains.build,
    })
}

/// Zero-padded ASCII as text; bytes that are none in hexadecimal.
fn text(padded: &[u8]) -> String {
    let end = padded
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last.saturating_add(1));
    let bytes = padded.get(..end).unwrap_or(padded);
    match std::str::from_utf8(bytes) {
        Ok(text)
            if text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ') =>
        {
            text.into()
        }
        _ => hex::encode_prefixed(bytes),
    }
}

/// Asks a contract of genesis.
async fn view<E: Runtime, C: SolCall>(
    surface: &Surface<E>,
    contract: Address,
    call: C,
) -> Result<C::Return, Refusal> {
    let tx = TxEnv::builder()
        .call(contract)
        .data(call.abi_encode().into())
        .gas_limit(TRANSACTION_GAS_LIMIT)
        .chain_id(Some(surface.backend.shelf.spec.chain_id))
        .build()
        .map_err(|error| Refusal::Internal(format!("{error:?}")))?;
    match surface.view(tx).await? {
        CallOutcome::Returned { output, .. } => C::abi_decode_returns(&output).map_err(|error| {
            Refusal::Internal(format!(
                "the contract at {contract} answers otherwise: {error}"
            ))
        }),
        CallOutcome::Reverted { output, .. } => Err(Refusal::Reverted(output)),
        CallOutcome::Halted { reason, .. } => Err(Refusal::Halted(reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::FixedBytes;

    #[test]
    fn a_record_is_told_in_words_and_an_empty_one_is_none() {
        let record = |status| Record {
            bond: 1_000_000_000,
            status,
            exitsAt: 0,
            index: 0,
            operator: Address::repeat_byte(7),
            domains: FailureDomains {
                asn: 64_500,
                country: FixedBytes(*b"CH"),
                teeVendor: 3,
                dataCentre: B256::right_padding_from(b"zrh 1"),
                build: B256::ZERO,
            },
            endpoint: "http://n".into(),
        };
        assert_eq!(describe(record(0)), None);
        let node = describe(record(1)).unwrap();
        assert_eq!((node.status, node.bond.as_str()), ("active", "1000000000"));
        assert_eq!(
            (node.country.as_str(), node.data_centre.as_str()),
            ("CH", "zrh 1")
        );
        assert_eq!(describe(record(3)).unwrap().status, "slashed");
    }

    #[test]
    fn what_is_no_text_is_shown_as_bytes() {
        assert_eq!(text(&[0; 32]), "");
        assert_eq!(text(b"DE"), "DE");
        assert_eq!(text(&[0xff, 1, 0]), "0xff01");
        assert_eq!(text(b"a\nb"), "0x610a62");
    }
}
