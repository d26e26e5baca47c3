//! How much work on content runs at once, so that a hub under load is slow and not dead.
//!
//! Everything that touches the disk or hashes runs on threads where blocking is allowed, and takes a turn in a lane first.

use super::faults;
use crate::hub::answer::ApiError;
use assay_hub::Fault;
use std::{sync::Arc, thread, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};

/// Pieces of files that are read or written at once, per core: some wait for the disk while others are hashed.
const PIECES_PER_CORE: usize = 4;
/// Downloads at once: a gibibyte of pieces.
const DOWNLOADS: usize = 1_024;
/// A download waits this long for others to end before its client is sent elsewhere.
const DOWNLOAD_PATIENCE: Duration = Duration::from_secs(5);
/// Files that are rebuilt from a shard or joined from parts at once. Each is read and hashed whole.
const REBUILDS: usize = 2;
/// Xorbs that arrive at once, each with an open file and two mebibytes in memory.
const XORBS: usize = 64;

/// The lanes of one hub. Clones share them.
#[derive(Debug, Clone)]
pub struct Lanes {
    /// Reading or writing one piece.
    pub pieces: Lane,
    /// Sending a file, for as long as its client takes.
    pub downloads: Lane,
    /// Going through a whole file.
    pub rebuilds: Lane,
    /// Taking a xorb, for as long as its client takes.
    pub xorbs: Lane,
}

impl Default for Lanes {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            pieces: Lane::new(cores.saturating_mul(PIECES_PER_CORE)),
            downloads: Lane::new(DOWNLOADS),
            rebuilds: Lane::new(REBUILDS),
            xorbs: Lane::new(XORBS),
        }
    }
}

impl Lanes {
    /// A turn to send a file.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] where none becomes free for a while.
    pub async fn download(&self) -> Result<Turn, ApiError> {
        match timeout(DOWNLOAD_PATIENCE, self.downloads.turn()).await {
            Ok(turn) => turn,
            Err(_) => {
                let reason = format!("{DOWNLOADS} downloads run here already; ask another hub");
                Err(Fault::Unavailable(reason).into())
            }
        }
    }
}

/// So many turns at once; who comes later waits.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Semaphore>);

/// A turn; dropping it lets the next one in.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

impl Lane {
    /// A lane of `turns` at once.
    pub fn new(turns: usize) -> Self {
        Self(Arc::new(Semaphore::new(turns)))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// Only where this server is ending.
    pub async fn turn(&self) -> Result<Turn, ApiError> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.map(Turn).map_err(|_| faults::ended())
    }

    /// Waits for a turn and begins `work` in it, on a thread where it may block. It goes on if nobody waits for it.
    ///
    /// # Errors
    /// As [`Self::turn`].
    pub async fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, ApiError> {
        let turn = self.turn().await?;
        Ok(tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        }))
    }

    /// Does `work` in a turn.
    ///
    /// # Errors
    /// What `work` says; a refusal without details where it panicked.
    pub async fn run<T: Send + 'static, E>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        E: Into<ApiError> + Send + 'static,
    {
        let work = self.begin(work).await?;
        let done = work.await.map_err(|_| faults::ended())?;
        done.map_err(Into::into)
    }
}
