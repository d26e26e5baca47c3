//! Where a commit becomes final.

use crate::{
    Error,
    delegation::Grant,
    hub::{answer::ApiError, catalogue::RefMove, network::Link},
    repositories::{self, Head, Move, Moved, Repository, Target},
    rpc_client::RpcError,
};
use alloy_primitives::B256;
use assay_hub::{CommitId, Fault, Kind};
use assay_receipt::RevisionId;
use std::sync::Arc;

/// What makes a ref's move final. The answer to a client waits for it.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// The hub stands alone: a move is final once it is durable in the catalogue, and is on no chain.
    Standalone,
    /// A move is final once it is in a finalized block of the network's chain.
    Chain(Arc<Link>),
}

/// A ref's move that is to become final.
#[derive(Debug, Clone)]
pub struct Pending<'a> {
    /// The move.
    pub moved: &'a RefMove,
    /// The revision that it leads to; zero where the ref is taken away.
    pub revision: RevisionId,
    /// Where the ref was before; `None` where it is new.
    pub from: Option<CommitId>,
    /// By whose leave.
    pub grant: &'a Grant,
}

impl Anchor {
    /// Makes the move final, or says why it cannot be.
    ///
    /// # Errors
    /// What the chain says, as a fault of the client, of its token, or of the chain.
    pub async fn settle(&self, pending: Pending<'_>) -> Result<(), ApiError> {
        match self {
            Self::Standalone => Ok(()),
            Self::Chain(link) => settle(link, pending).await,
        }
    }

    /// What it is called in the hub's own description.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Chain(_) => "chain",
        }
    }
}

async fn settle(link: &Link, pending: Pending<'_>) -> Result<(), ApiError> {
    let repository = Repository {
        kind: match pending.moved.repository.kind {
            Kind::Model => repositories::Kind::Model,
            Kind::Dataset => repositories::Kind::Dataset,
        },
        name: pending.moved.repository.name.clone(),
    };
    let reference = pending.moved.name.registered();
    let id = |commit: CommitId| B256::new(*commit.as_bytes());
    let from = match pending.from {
        Some(commit) => Some(Head {
            revision: RevisionId::ZERO,
            commit: Some(id(commit)),
        }),
        // A revision may have been published under the name without a commit.
        None => repositories::head(
            &link.rpc,
            pending.grant.publisher(),
            &repository,
            &reference,
        )
        .await
        .map_err(|error| refused(error.into()))?
        .filter(|head| head.commit.is_none()),
    };
    let to = pending.moved.to.map(|commit| Target {
        revision: pending.revision,
        commit: id(commit),
    });
    let step = Move {
        repository,
        reference,
        from,
        to,
    };
    let _sending = link.sending().await;
    let moved = repositories::commit_for(&link.rpc, &link.wallet, pending.grant, &step).await;
    match moved.map_err(refused)? {
        Moved::Final(receipt) => {
            link.own_moves.put(pending.moved, receipt.height());
            Ok(())
        }
        // It was sent before, and its answer was lost.
        Moved::Stale(now) if now.and_then(|head| head.commit) == step.to.map(|to| to.commit) => {
            Ok(())
        }
        Moved::Stale(now) => {
            let at = now.map_or("gone".into(), |head| format!("at {}", head.id()));
            let reason = format!(
                "the ref was moved through another hub, and is {at} now: take its changes and try again"
            );
            Err(Fault::Moved(reason).into())
        }
    }
}

/// Whom the chain's refusal blames.
fn refused(error: Error) -> ApiError {
    match error {
        Error::Reverted { reason, .. } => {
            Fault::Forbidden(format!("the registry refuses it: {reason}")).into()
        }
        Error::Rpc(RpcError::Refused { message, .. }) => {
            Fault::Forbidden(format!("the registry refuses it: {message}")).into()
        }
        Error::Rpc(_) | Error::Unconfirmed { .. } => {
            tracing::warn!(%error, "a move of a ref is not final");
            let reason = "the chain cannot be asked now, so that the commit may not be final; look at the branch, and try again";
            Fault::Unavailable(reason.into()).into()
        }
        other => ApiError::internal(other),
    }
}
