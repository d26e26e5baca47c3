//! API keys: who may ask for what, and how much.
//!
//! Without any key in its configuration a gateway serves whoever is on the same machine, and nobody else here. Keys are
//! configured by the BLAKE3 digest of their text, so that the file gives none away.

use assay_inference::openai::Error;
use assay_inference::openai::Kind as Blame;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Longest key that is looked at, bytes.
const MAX_KEY: usize = 256;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Chat completions.
    Chat,
    /// Completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Responses.
    Responses,
    /// The list of models.
    Models,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// What the operator calls it, for logs.
    pub name: String,
    /// BLAKE3 of the key, 64 hex digits.
    pub blake3: String,
    /// What it may be used for; empty for everything.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Requests a minute.
    #[serde(default = "per_minute")]
    pub requests_per_minute: u32,
    /// Requests in all, since the gateway started; absent for no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
}

fn per_minute() -> u32 {
    600
}

#[derive(Debug)]
struct Known {
    entry: KeyEntry,
    used: Mutex<Used>,
}

#[derive(Debug)]
struct Used {
    total: u64,
    /// Requests that may be made at once now, and when that was so.
    left: f64,
    at: Instant,
}

/// The keys of a gateway.
#[derive(Debug)]
pub struct Keys(BTreeMap<[u8; 32], Known>);

impl Keys {
    /// Of a configuration.
    ///
    /// # Errors
    /// What is wrong with an entry, in words.
    pub fn new(entries: &[KeyEntry]) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for entry in entries {
            let digest = blake3::Hash::from_hex(&entry.blake3)
                .map_err(|error| format!("key `{}`: {error}", entry.name))?;
            if entry.requests_per_minute == 0 {
                return Err(format!("key `{}` may make no request", entry.name));
            }
            let used = Used {
                total: 0,
                left: f64::from(entry.requests_per_minute),
                at: Instant::now(),
            };
            let known = Known {
                entry: entry.clone(),
                used: Mutex::new(used),
            };
            if keys.insert(*digest.as_bytes(), known).is_some() {
                return Err(format!("key `{}` is there twice", entry.name));
            }
        }
        Ok(Self(keys))
    }

    /// Lets a request pass.
    ///
    /// # Errors
    /// OpenAI's errors for a missing, wrong, or unfit key, and for one that is used too much.
    pub fn admit(
        &self,
        headers: &HeaderMap,
        client: SocketAddr,
        scope: Scope,
    ) -> Result<(), Error> {
        if self.0.is_empty() {
            return match client.ip().is_loopback() {
                true => Ok(()),
                false => Err(Error::new(
                    Blame::Authentication,
                    "this gateway has no keys, and serves its own machine only: its operator has to configure `keys`",
                )),
            };
        }
        let header = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let key = header.and_then(|value| value.strip_prefix("Bearer "));
        let key = key
            .filter(|key| key.len() <= MAX_KEY)
            .ok_or_else(Error::invalid_api_key)?;
        let known = self.0.get(blake3::hash(key.as_bytes()).as_bytes());
        let known = known.ok_or_else(Error::invalid_api_key)?;
        let entry = &known.entry;
        if !entry.scopes.is_empty() && !entry.scopes.contains(&scope) {
            let message = format!("this key is not for {scope:?}; ask for one that is");
            return Err(Error::new(Blame::Permission, message));
        }
        let mut used = known.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.take(entry, Instant::now())
    }
}

impl Used {
    fn take(&mut self, entry: &KeyEntry, now: Instant) -> Result<(), Error> {
        if entry.quota.is_some_and(|quota| self.total >= quota) {
            return Err(Error::insufficient_quota(
                "this key has made all the requests that it may",
            ));
        }
        let (most, second) = (
            f64::from(entry.requests_per_minute),
            Duration::from_secs(60),
        );
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / second.as_secs_f64();
        self.left = (self.left + passed * most).min(most);
        self.at = now;
        if self.left < 1.0 {
            let seconds = (1.0 - self.left) / most * second.as_secs_f64();
            let message = format!(
                "this key may make {} requests a minute",
                entry.requests_per_minute
            );
            return Err(Error::too_many_requests(
                message,
                (seconds * 1_000.0).ceil() as u64,
            ));
        }
        self.left -= 1.0;
        self.total = self.total.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn entry(key: &str) -> KeyEntry {
        KeyEntry {
            name: key.into(),
            blake3: blake3::hash(key.as_bytes()).to_hex().to_string(),
            scopes: vec![Scope::Chat],
            requests_per_minute: 2,
            quota: Some(3),
        }
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn client(ip: [u8; 4]) -> SocketAddr {
        (ip, 1).into()
    }

    #[test]
    fn without_keys_only_the_own_machine_is_served() {
        let keys = Keys::new(&[]).unwrap();
        let none = HeaderMap::new();
        assert!(
            keys.admit(&none, client([127, 0, 0, 1]), Scope::Chat)
                .is_ok()
        );
        let refused = keys
            .admit(&none, client([10, 0, 0, 1]), Scope::Chat)
            .unwrap_err();
        assert_eq!(refused.kind, Blame::Authentication);
    }

    #[test]
    fn keys_are_for_their_scopes_rates_and_quotas() {
        let keys = Keys::new(&[entry("one")]).unwrap();
        let at = client([127, 0, 0, 1]);
        let kind = |value: &str, scope| {
            keys.admit(&headers(value), at, scope)
                .err()
                .map(|error| error.kind)
        };
        for wrong in ["Bearer two", "one", "Basic one", "Bearer ", "bearer one"] {
            assert_eq!(
                kind(wrong, Scope::Chat),
                Some(Blame::Authentication),
                "{wrong}"
            );
        }
        assert_eq!(
            kind("Bearer one", Scope::Embeddings),
            Some(Blame::Permission)
        );
        assert_eq!(kind("Bearer one", Scope::Chat), None);
        assert_eq!(kind("Bearer one", Scope::Chat), None);
        assert_eq!(kind("Bearer one", Scope::Chat), Some(Blame::Requests));
        let mut used = Used {
            total: 2,
            left: 0.0,
            at: Instant::now(),
        };
        let later = Instant::now() + Duration::from_secs(60);
        assert!(used.take(&entry("one"), later).is_ok());
        let refused = used.take(&entry("one"), later).unwrap_err();
        assert_eq!(refused.kind, Blame::Quota);
    }

    #[test]
    fn entries_that_are_none_are_refused() {
        for bad in [
            KeyEntry {
                blake3: "abc".into(),
                ..entry("one")
            },
            KeyEntry {
                requests_per_minute: 0,
                ..entry("one")
            },
        ] {
            assert!(Keys::new(&[bad]).is_err());
        }
        assert!(Keys::new(&[entry("one"), entry("one")]).is_err());
    }
}
