//! A storage challenge to one hub.

use super::{Fault, Fetcher, SILENCE, Source, unreachable_for};
use crate::hub::transfer::BLOB_SIZE;
use assay_blob::{BlobId, Challenge};
use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Where a hub takes challenges.
const CHALLENGES_PATH: &str = "/assay/v1/challenges";
/// Blocks of 1 KiB that a challenge asks for: a loss of a tenth shows in 99 of 100. The last of the blob is one of them.
pub const CHALLENGE_BLOCKS: u16 = 45;
/// What a hub did that takes no more challenges now.
const BUSY: &str = "it takes no more challenges for a moment";
/// Pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 1_000 });
/// Largest answer, bytes: every block with the hashes of a path through the largest tree.
const MAX_ANSWER: usize = 1 << 20;

impl Fetcher {
    /// Asks one hub for the blocks of a blob that a seed chooses, and checks them against the blob's id. The answer is
    /// returned as it came, for whoever keeps it as evidence.
    ///
    /// # Errors
    /// What the hub did instead, and what it sent.
    pub async fn challenge(
        &self,
        source: &Source,
        challenge: &Challenge,
    ) -> Result<Vec<u8>, (Fault, Vec<u8>)> {
        let answer = self.put_challenge(source, challenge).await;
        let (answer, said) = answer.map_err(|fault| (fault, Vec::new()))?;
        let Err(error) = challenge.verify(&answer) else {
            return Ok(answer);
        };
        // Who asked may have been told a wrong size: the answer proves the right one.
        let other = said
            .filter(|size| *size != challenge.size)
            .map(|size| Challenge { size, ..*challenge });
        let fault = match other.filter(|other| other.verify(&answer).is_ok()) {
            Some(other) => Fault::OtherSize(other.size),
            None => Fault::WrongBytes(error.to_string()),
        };
        Err((fault, answer))
    }

    /// Whether one hub can show random places of a blob of `size` bytes, which it cannot know before.
    ///
    /// # Errors
    /// What it does instead.
    pub async fn shows(&self, source: &Source, id: BlobId, size: u64) -> Result<(), Fault> {
        let challenge = Challenge {
            id,
            size,
            seed: rand::random(),
            blocks: CHALLENGE_BLOCKS,
        };
        let asking = async {
            loop {
                match self.challenge(source, &challenge).await {
                    Err((Fault::Failed(why), _)) if why == BUSY => tokio::time::sleep(PAUSE).await,
                    Err((fault, _)) => return Err(fault),
                    Ok(_) => return Ok(()),
                }
            }
        };
        let slow = |_| Err(Fault::Unreachable("it did not answer in time".into()));
        timeout(SILENCE, asking).await.unwrap_or_else(slow)
    }

    async fn put_challenge(
        &self,
        source: &Source,
        challenge: &Challenge,
    ) -> Result<(Vec<u8>, Option<u64>), Fault> {
        self.check(source)?;
        let seed = BlobId::from_bytes(challenge.seed);
        let body = json!({"blob": challenge.id, "seed": seed});
        let url = format!("{}{CHALLENGES_PATH}", source.url);
        let sent = self.http.post(url).json(&body).send().await;
        let response = sent.map_err(|error| unreachable_for(&error))?;
        match response.status() {
            StatusCode::OK => {
                let said = response.headers().get(BLOB_SIZE);
                let said = said.and_then(|size| size.to_str().ok()?.parse().ok());
                Ok((super::body(response, MAX_ANSWER).await?, said))
            }
            StatusCode::NOT_FOUND => Err(Fault::Absent),
            StatusCode::FORBIDDEN => Err(Fault::Refused(super::reason(response).await)),
            StatusCode::TOO_MANY_REQUESTS => Err(Fault::Failed(BUSY.into())),
            status => Err(Fault::Failed(format!("HTTP {status}"))),
        }
    }
}
