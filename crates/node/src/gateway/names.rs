//! From a model's name to the revision that answers for it.

use crate::{
    api::request::ModelName,
    problem::{Kind, Problem},
    registry,
    rpc_client::RpcClient,
};
use alloy_primitives::Address;
use assay_receipt::RevisionId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// For so long a name keeps its revision without another look at the chain: a newly published revision is asked
/// after at most this.
pub const FRESH: Duration = Duration::from_secs(2);
/// Names that are remembered; beyond it the memory is cleared, and the chain asked again.
pub const MAX_NAMES: usize = 16_384;

/// Resolves names and remembers them for a moment.
#[derive(Debug)]
pub struct Names {
    rpc: RpcClient,
    known: Mutex<HashMap<(Address, String), Resolved>>,
}

#[derive(Debug, Clone, Copy)]
struct Resolved {
    revision: Option<RevisionId>,
    at: Instant,
}

impl Names {
    /// Names of the chain that `rpc` asks.
    pub fn new(rpc: RpcClient) -> Self {
        Self {
            rpc,
            known: Mutex::default(),
        }
    }

    /// The revision that `name` stands for now.
    ///
    /// # Errors
    /// [`Kind::UnknownModel`] if nothing is published under the name, [`Kind::Unavailable`] if the chain cannot be
    /// asked.
    pub async fn resolve(&self, name: &ModelName) -> Result<RevisionId, Problem> {
        let (publisher, short) = match name {
            ModelName::Revision(revision) => return Ok(*revision),
            ModelName::Published { publisher, name } => (*publisher, name.clone()),
        };
        let key = (publisher, short);
        let revision = match self.fresh(&key, Instant::now()) {
            Some(known) => known,
            None => {
                let found = registry::latest_revision(&self.rpc, key.0, &key.1).await;
                let revision = found.map_err(|error| {
                    Problem::new(
                        Kind::Unavailable,
                        format!("the chain cannot be asked: {error}"),
                    )
                    .retry_after(1)
                })?;
                self.remember(
                    key,
                    Resolved {
                        revision,
                        at: Instant::now(),
                    },
                );
                revision
            }
        };
        revision.ok_or_else(|| {
            Problem::new(
                Kind::UnknownModel,
                format!("nothing is published under {name}"),
            )
        })
    }

    fn fresh(&self, key: &(Address, String), now: Instant) -> Option<Option<RevisionId>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(key)?;
        (now.saturating_duration_since(found.at) < FRESH).then_some(found.revision)
    }

    fn remember(&self, key: (Address, String), resolved: Resolved) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_NAMES {
            known.clear();
        }
        known.insert(key, resolved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        // Nobody listens there: whatever is not remembered is an error.
        Names::new(RpcClient::new(&["http://127.0.0.1:9".into()]).unwrap())
    }

    #[tokio::test]
    async fn a_revision_needs_no_look_and_a_name_does() {
        let revision = RevisionId::from_bytes([7; 32]);
        let names = names();
        assert_eq!(
            names.resolve(&ModelName::Revision(revision)).await,
            Ok(revision)
        );
        let name = ModelName::Published {
            publisher: Address::ZERO,
            name: "m".into(),
        };
        assert_eq!(
            names.resolve(&name).await.unwrap_err().kind(),
            Some(Kind::Unavailable)
        );
    }

    #[tokio::test]
    async fn what_is_remembered_is_used_while_fresh() {
        let names = names();
        let revision = RevisionId::from_bytes([7; 32]);
        let key = |name: &str| (Address::ZERO, name.to_owned());
        let at = Instant::now();
        names.remember(
            key("m"),
            Resolved {
                revision: Some(revision),
                at,
            },
        );
        names.remember(key("none"), Resolved { revision: None, at });
        assert_eq!(names.fresh(&key("m"), at), Some(Some(revision)));
        assert_eq!(names.fresh(&key("m"), at + FRESH), None);
        let unknown = ModelName::Published {
            publisher: Address::ZERO,
            name: "none".into(),
        };
        assert_eq!(
            names.resolve(&unknown).await.unwrap_err().kind(),
            Some(Kind::UnknownModel)
        );
    }
}
