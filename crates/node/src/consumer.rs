//! The example consumer: a contract that acts on an answer only once its receipt has the rung that it needs.

use crate::{
    abi::{Consumer, words},
    error::Error,
    rpc_client::RpcClient,
    wallet::{Wallet, describe_revert},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall as _;
use assay_chain::light::ReceiptProof;
use assay_receipt::{RevisionId, Rung, SignedReceipt};

/// What `contracts/compile.mjs` made of `ExampleConsumer.sol`.
const ARTEFACT: &str = include_str!("../../../contracts/artifacts/ExampleConsumer.json");

/// A deployed example consumer.
#[derive(Debug, Clone, Copy)]
pub struct ExampleConsumer(Address);

impl ExampleConsumer {
    /// Deploys one that acts on answers of `revision` with at least the rung `needed`.
    ///
    /// # Errors
    /// As [`Wallet::deploy`].
    pub async fn deploy(
        rpc: &RpcClient,
        wallet: &Wallet,
        revision: RevisionId,
        needed: Rung,
    ) -> Result<Self, Error> {
        let artefact: serde_json::Value = serde_json::from_str(ARTEFACT).unwrap_or_default();
        let code = artefact.get("bytecode").and_then(|code| code.as_str());
        let code = code.and_then(|code| alloy_primitives::hex::decode(code).ok());
        let code = code.ok_or(Error::PartEnded("the consumer's artefact"))?;
        let rung = B256::with_last_byte(needed.number());
        let arguments = [*revision.as_bytes(), rung.0].concat();
        let address = wallet
            .deploy(rpc, [code, arguments].concat().into())
            .await?;
        Ok(Self(address))
    }

    /// Why it would not act now; `None` if it would.
    ///
    /// # Errors
    /// [`Error::Rpc`] if the chain cannot be asked.
    pub async fn refusal(
        &self,
        rpc: &RpcClient,
        signed: &SignedReceipt,
        place: &ReceiptProof,
    ) -> Result<Option<String>, Error> {
        match rpc.call(None, self.0, act_call(signed, place)).await {
            Ok(_) => Ok(None),
            Err(error) => match error.revert_data() {
                Some(data) => Ok(Some(describe_revert(data))),
                None => Err(error.into()),
            },
        }
    }

    /// Has it act; gives the block.
    ///
    /// # Errors
    /// As [`Wallet::execute`].
    pub async fn act(
        &self,
        rpc: &RpcClient,
        wallet: &Wallet,
        signed: &SignedReceipt,
        place: &ReceiptProof,
    ) -> Result<u64, Error> {
        let mined = wallet.execute(rpc, self.0, act_call(signed, place)).await?;
        Ok(mined.height())
    }

    /// The commitment to the answer on which it acted last; zero before.
    ///
    /// # Errors
    /// [`Error::Rpc`] if the chain cannot be asked.
    pub async fn latest_output(&self, rpc: &RpcClient) -> Result<B256, Error> {
        Ok(rpc.view(self.0, &Consumer::latestOutputCall {}).await?)
    }
}

fn act_call(signed: &SignedReceipt, place: &ReceiptProof) -> Bytes {
    let path = &place.batch.path;
    let call = Consumer::actCall {
        receipt: words(signed),
        signature: signed.signature.as_bytes().to_vec().into(),
        index: path.index,
        count: path.size,
        path: path.siblings.clone(),
    };
    call.abi_encode().into()
}
