//! Repositories on chain: refs of models and data sets, their moves, handles of accounts, and revocations.

use crate::{
    delegation::Grant,
    error::Error,
    registry::approve,
    rpc_client::{RpcClient, RpcError, TransactionReceipt},
    wallet::Wallet,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolCall as _, sol};
use assay_chain::spec::MODEL_REGISTRY;
use assay_receipt::{Microcredits, RevisionId};

/// What a handle costs, burnt: `ModelRegistry.HANDLE_FEE`.
pub const HANDLE_FEE: Microcredits = Microcredits(10_000_000);
/// What stands before the name of a data set in the registry.
pub const DATASETS: &str = "datasets/";
/// The branch that the registry calls the latest.
pub const MAIN: &str = "main";

sol! {
    /// ABI of the model registry's refs and handles.
    interface Refs {
        struct Head { bytes32 revision; bytes32 commit; }
        struct Move {
            uint8 kind; string name; string reference; bytes32 parent; bytes32 revision; bytes32 commit;
        }
        struct Delegation {
            address publisher; address hub; uint8 scope; uint64 notAfter; uint64 salt; bytes32 seal;
        }
        function commit(Move step) external;
        function commitFor(Delegation delegation, bytes signature, Move step) external;
        function headOf(address publisher, string name, string reference) external view returns (Head);
        function revokeBefore(uint64 salt) external;
        function revokedBefore(address publisher) external view returns (uint64);
        function claim(string handle) external;
        function ownerOf(string handle) external view returns (address);
        function handleOf(address account) external view returns (string);
    }
}

/// What a repository holds; its number in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A model.
    Model = 0,
    /// A data set.
    Dataset = 1,
}

/// A repository's place under its publisher.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    /// What it holds.
    pub kind: Kind,
    /// Its name without a prefix, as the registry has it: lower-case.
    pub name: String,
}

impl Repository {
    /// The name under which the registry has it.
    pub fn registered(&self) -> String {
        match self.kind {
            Kind::Model => self.name.clone(),
            Kind::Dataset => format!("{DATASETS}{}", self.name),
        }
    }

    /// The repository that the registry has under this name.
    pub fn from_registered(name: &str) -> Self {
        let (kind, name) = match name.strip_prefix(DATASETS) {
            Some(name) => (Kind::Dataset, name),
            None => (Kind::Model, name),
        };
        Self {
            kind,
            name: name.into(),
        }
    }
}

/// Where a ref points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// The revision.
    pub revision: RevisionId,
    /// Id of the commit; `None` where a revision was published without one.
    pub commit: Option<B256>,
}

impl Head {
    /// What stands for it as the parent of the next move, in the registry and in its events.
    pub fn id(&self) -> B256 {
        self.commit.unwrap_or_else(|| self.revision.into())
    }

    pub(crate) fn from_words(revision: B256, commit: B256) -> Option<Self> {
        (!revision.is_zero()).then(|| Self {
            revision: revision.into(),
            commit: (!commit.is_zero()).then_some(commit),
        })
    }
}

/// A ref's way from one commit to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Of which repository.
    pub repository: Repository,
    /// A branch, or a tag as `refs/tags/x`.
    pub reference: String,
    /// Where it points now; `None` if it is not there.
    pub from: Option<Head>,
    /// Where it is to point; `None` to delete it.
    pub to: Option<Target>,
}

/// Where a ref is to point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The revision.
    pub revision: RevisionId,
    /// Id of the commit.
    pub commit: B256,
}

impl Move {
    fn abi(&self) -> Refs::Move {
        let to = self.to.map(|to| (to.revision.into(), to.commit));
        let (revision, commit) = to.unwrap_or_default();
        Refs::Move {
            kind: self.repository.kind as u8,
            name: self.repository.name.clone(),
            reference: self.reference.clone(),
            parent: self.from.map_or(B256::ZERO, |head| head.id()),
            revision,
            commit,
        }
    }
}

/// What became of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It is in a finalized block.
    Final(TransactionReceipt),
    /// The ref points elsewhere than the move said: somebody was faster, or the move was sent before.
    Stale(Option<Head>),
}

/// Moves a ref of the wallet's account. One account sends one transaction at a time.
///
/// # Errors
/// As [`Wallet::execute`]; bad names and moves to nowhere are refused with the contract's reason.
pub async fn commit(rpc: &RpcClient, publisher: &Wallet, step: &Move) -> Result<Moved, Error> {
    let call = Refs::commitCall { step: step.abi() };
    let sent = (publisher, Bytes::from(call.abi_encode()));
    send(rpc, sent, publisher.address(), step).await
}

/// Moves a ref of the publisher who granted it to the wallet's account, a hub, which pays.
///
/// # Errors
/// As [`commit`]; a grant that the chain does not take is refused with the contract's reason.
pub async fn commit_for(
    rpc: &RpcClient,
    hub: &Wallet,
    grant: &Grant,
    step: &Move,
) -> Result<Moved, Error> {
    let call = Refs::commitForCall {
        delegation: delegation_abi(grant),
        signature: Bytes::copy_from_slice(grant.signature().as_bytes()),
        step: step.abi(),
    };
    let sent = (hub, Bytes::from(call.abi_encode()));
    send(rpc, sent, grant.publisher(), step).await
}

fn delegation_abi(grant: &Grant) -> Refs::Delegation {
    let delegation = grant.delegation();
    Refs::Delegation {
        publisher: delegation.publisher,
        hub: delegation.hub,
        scope: delegation.scope.code(),
        notAfter: delegation.not_after_s,
        salt: delegation.salt,
        seal: delegation.seal,
    }
}

/// Sends a move. What it is refused for, where the ref points elsewhere, is that.
async fn send(
    rpc: &RpcClient,
    (wallet, data): (&Wallet, Bytes),
    publisher: Address,
    step: &Move,
) -> Result<Moved, Error> {
    let refusal = match wallet.execute(rpc, MODEL_REGISTRY, data).await {
        Ok(receipt) => return Ok(Moved::Final(receipt)),
        Err(refusal @ (Error::Reverted { .. } | Error::Rpc(RpcError::Refused { .. }))) => refusal,
        Err(other) => return Err(other),
    };
    let now = head(rpc, publisher, &step.repository, &step.reference).await?;
    if now.map(|head| head.id()) == step.from.map(|head| head.id()) {
        return Err(refusal);
    }
    Ok(Moved::Stale(now))
}

/// Where a ref points; `None` if it is not there.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn head(
    rpc: &RpcClient,
    publisher: Address,
    repository: &Repository,
    reference: &str,
) -> Result<Option<Head>, RpcError> {
    let call = Refs::headOfCall {
        publisher,
        name: repository.registered(),
        reference: reference.into(),
    };
    let head = rpc.view(MODEL_REGISTRY, &call).await?;
    Ok(Head::from_words(head.revision, head.commit))
}

/// Ends every delegation of the wallet's account that was issued before `issued_ms`, Unix milliseconds.
///
/// # Errors
/// As [`Wallet::execute`]; what is revoked already, or more than an hour ahead, is refused.
pub async fn revoke_before(
    rpc: &RpcClient,
    publisher: &Wallet,
    issued_ms: u64,
) -> Result<TransactionReceipt, Error> {
    let call = Refs::revokeBeforeCall { salt: issued_ms };
    publisher
        .execute(rpc, MODEL_REGISTRY, call.abi_encode().into())
        .await
}

/// Time of issue from which on the publisher's delegations are good, Unix milliseconds; 0 if none was revoked.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn revoked_before(rpc: &RpcClient, publisher: Address) -> Result<u64, RpcError> {
    let call = Refs::revokedBeforeCall { publisher };
    rpc.view(MODEL_REGISTRY, &call).await
}

/// Gives the wallet's account a handle for good, and burns [`HANDLE_FEE`] of its credits.
///
/// # Errors
/// As [`Wallet::execute`]; a handle that is taken, of another alphabet, or a second one is refused.
pub async fn claim_handle(
    rpc: &RpcClient,
    wallet: &Wallet,
    handle: &str,
) -> Result<TransactionReceipt, Error> {
    approve(rpc, wallet, MODEL_REGISTRY, HANDLE_FEE).await?;
    let call = Refs::claimCall {
        handle: handle.into(),
    };
    wallet
        .execute(rpc, MODEL_REGISTRY, call.abi_encode().into())
        .await
}

/// The account with this handle; `None` if nobody has it.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn owner_of(rpc: &RpcClient, handle: &str) -> Result<Option<Address>, RpcError> {
    let call = Refs::ownerOfCall {
        handle: handle.into(),
    };
    let owner = rpc.view(MODEL_REGISTRY, &call).await?;
    Ok((!owner.is_zero()).then_some(owner))
}

/// The handle of an account; `None` if it has none.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn handle_of(rpc: &RpcClient, account: Address) -> Result<Option<String>, RpcError> {
    let handle = rpc
        .view(MODEL_REGISTRY, &Refs::handleOfCall { account })
        .await?;
    Ok((!handle.is_empty()).then_some(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_go_there_and_back() {
        for (kind, name, registered) in [
            (Kind::Model, "digits", "digits"),
            (Kind::Dataset, "digits", "datasets/digits"),
        ] {
            let repository = Repository {
                kind,
                name: name.into(),
            };
            assert_eq!(repository.registered(), registered);
            assert_eq!(Repository::from_registered(registered), repository);
        }
    }

    #[test]
    fn a_head_without_a_commit_stands_for_its_revision() {
        let (revision, commit) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let id = |revision, commit| Head::from_words(revision, commit).map(|head| head.id());
        assert_eq!(id(revision, commit), Some(commit));
        assert_eq!(id(revision, B256::ZERO), Some(revision));
        assert_eq!(id(B256::ZERO, B256::ZERO), None);
    }

    #[test]
    fn a_move_to_nowhere_is_two_zeros() {
        let mut step = Move {
            repository: Repository::from_registered("datasets/d"),
            reference: MAIN.into(),
            from: Head::from_words(B256::repeat_byte(1), B256::repeat_byte(2)),
            to: None,
        };
        let abi = step.abi();
        assert_eq!((abi.kind, abi.name.as_str()), (1, "d"));
        assert_eq!(abi.parent, B256::repeat_byte(2));
        assert_eq!((abi.revision, abi.commit), (B256::ZERO, B256::ZERO));
        step.from = None;
        assert_eq!(step.abi().parent, B256::ZERO);
    }
}
