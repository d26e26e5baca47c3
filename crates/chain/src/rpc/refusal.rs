//! Why a request is not answered, in the codes that Ethereum clients know (EIP-1474).

use crate::{
    Error,
    execution::ExecutionError,
    gossip::SubmitError,
    index::IndexError,
    state::{Halt, StateError},
};
use alloy_primitives::{B256, Bytes};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use revm::context::result::InvalidTransaction;

/// A call that ran and reverted; clients look for this code and for the data beside it.
const REVERTED: i32 = 3;
/// EIP-1474: the input cannot be acted on.
const INVALID_INPUT: i32 = -32_000;
/// EIP-1474: what was asked for is not here.
const NOT_FOUND: i32 = -32_001;
/// EIP-1474: more was asked for than is given at once.
const LIMIT_EXCEEDED: i32 = -32_005;
/// JSON-RPC: this server failed.
const INTERNAL: i32 = -32_603;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The caller is to blame: a parameter is missing or is none.
    #[error("{0}")]
    Params(String),
    /// The contract that was called is to blame, or the caller: it reverted.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// The contract that was called is to blame, or the caller: the EVM stopped it.
    #[error("execution stopped: {0}")]
    Halted(Halt),
    /// The caller is to blame: no gas limit that it can pay for suffices.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The caller is to blame: a transaction may not run like this.
    #[error("{0}")]
    Invalid(String),
    /// The caller is to blame: state is kept for the tip only. Ask for "latest".
    #[error("the state of block {height} is not kept; only that of the latest block, {tip}, is")]
    NotKept {
        /// Height that was asked for.
        height: u64,
        /// Height of the tip.
        tip: u64,
    },
    /// The caller is to blame, or early: there is no such block.
    #[error("block not found")]
    NoBlock,
    /// The caller is to blame, or early: there is no block with this hash.
    #[error("unknown block {0}")]
    NoBlockHash(B256),
    /// The caller is to blame, or late: there is no such filter.
    #[error("filter not found")]
    NoFilter,
    /// The caller is to blame: too much at once. Ask for less, or later.
    #[error("{0}")]
    Limit(String),
    /// The sender is to blame: the transaction is not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The state moved on too often while it was read (ask again), or the database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The block index failed: the operator has to look at the disk.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// This server failed; its log says why.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    fn code(&self) -> i32 {
        match self {
            Self::Params(_) => INVALID_PARAMS_CODE,
            Self::Reverted(_) => REVERTED,
            Self::Halted(_) | Self::Allowance(_) | Self::Invalid(_) | Self::Submit(_) => {
                INVALID_INPUT
            }
            Self::NoFilter | Self::NoBlockHash(_) | Self::NoBlock => INVALID_INPUT,
            Self::NotKept { .. } => NOT_FOUND,
            Self::Limit(_) | Self::State(StateError::Stale) => LIMIT_EXCEEDED,
            Self::State(StateError::Broken(_)) | Self::Index(_) | Self::Internal(_) => INTERNAL,
        }
    }
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.to_string());
        if code == INTERNAL {
            tracing::error!(%message, "a JSON-RPC request failed");
        }
        let data = match refusal {
            Refusal::Reverted(output) => Some(output),
            _ => None,
        };
        Self::owned(code, message, data)
    }
}

impl From<ErrorObjectOwned> for Refusal {
    /// From the parameter parser, the only one here that makes such objects.
    fn from(error: ErrorObjectOwned) -> Self {
        Self::Params(match error.data() {
            Some(data) => format!("{}: {}", error.message(), data.get()),
            None => error.message().to_owned(),
        })
    }
}

impl From<ExecutionError> for Refusal {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::State(error) => Self::State(error),
            ExecutionError::Invalid(invalid) => Self::Invalid(match *invalid {
                // In the words that clients recognise.
                InvalidTransaction::LackOfFundForMaxFee { fee, balance } => format!(
                    "insufficient funds for gas * price + value: have {balance} wei, want {fee} wei"
                ),
                other => other.to_string(),
            }),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Index(error) => Self::Index(error),
            Error::State(error) => Self::State(error),
            other => Self::Internal(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mempool::PoolError;
    use alloy_primitives::U256;

    #[track_caller]
    fn check(refusal: Refusal, code: i32, message: &str, data: Option<&str>) {
        let error = ErrorObjectOwned::from(refusal);
        assert_eq!(error.code(), code);
        assert!(error.message().contains(message), "{}", error.message());
        assert_eq!(error.data().map(|raw| raw.get()), data);
    }

    #[test]
    fn clients_find_their_codes_words_and_revert_data() {
        check(
            Refusal::Reverted(Bytes::from_static(&[8, 0xc3])),
            3,
            "execution reverted",
            Some("\"0x08c3\""),
        );
        let nonce = SubmitError::Pool(PoolError::NonceTooLow { next: 2, given: 1 });
        check(nonce.into(), -32_000, "nonce too low", None);
        let funds = SubmitError::Funds {
            have: U256::ZERO,
            want: U256::ONE,
        };
        check(funds.into(), -32_000, "insufficient funds", None);
        let fee = InvalidTransaction::LackOfFundForMaxFee {
            fee: Box::new(U256::ONE),
            balance: Box::new(U256::ZERO),
        };
        let fee = ExecutionError::Invalid(Box::new(fee));
        check(
            fee.into(),
            -32_000,
            "insufficient funds for gas * price + value",
            None,
        );
        check(
            Refusal::NotKept { height: 3, tip: 9 },
            -32_001,
            "block 3 is not kept",
            None,
        );
        check(Refusal::Limit("less".into()), -32_005, "less", None);
        check(
            StateError::Broken("torn".into()).into(),
            -32_603,
            "torn",
            None,
        );
        check(Refusal::Params("missing".into()), -32_602, "missing", None);
    }
}
