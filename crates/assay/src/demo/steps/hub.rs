//! The step with hubs: published to one, fetched from another, and a byte that was changed is refused.

use super::Walk;
use crate::hub::{describe, issue};
use anyhow::{Context as _, Result, ensure};
use assay_hub::{Kind, Name};
use assay_inference::{MANIFEST_FILE, Revision, RevisionLimits};
use assay_node::{
    delegation::Scope,
    fetch::Source,
    pull::{self, Wanted},
    push::{Local, Target, push},
    reach::Reach,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The other hub has the files within this time.
const SPREAD: Duration = Duration::from_secs(30);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);
/// Seconds for which the token is good.
const TOKEN_S: u64 = 600;
/// Hubs of this network are on this machine.
const LOCAL: Reach = Reach { private: true };

impl Walk {
    /// Publishes a model's files through the first hub, fetches them from the last one, and changes a byte.
    pub async fn hub(&self) -> Result<Vec<String>> {
        let directory = self.directories.first().context("there is no model")?;
        let revision = Revision::open(directory, &RevisionLimits::default())?;
        let name = revision.manifest().name.clone();
        let hub = self.source(0).await?;
        let key = self.plan.accounts.developer.key()?;
        let token = issue(
            &describe(&hub.url, LOCAL).await?,
            &key,
            Scope::Write,
            TOKEN_S,
        )?;
        let target = Target {
            hub: hub.clone(),
            token: token.to_text(),
            publisher: key.address(),
            kind: Kind::Model,
            name: Name::new(Kind::Model, &name)?,
            title: format!("publish {name}"),
        };
        let listed = revision
            .manifest()
            .files
            .iter()
            .map(|file| file.path.as_str());
        let files = listed
            .chain([MANIFEST_FILE])
            .map(|path| Ok((path.parse()?, directory.join(path))));
        let files: Vec<(_, PathBuf)> = files.collect::<Result<_>>()?;
        let local = tokio::task::spawn_blocking(move || Local::read(files)).await??;
        let pushed = push(&target, LOCAL, &local).await?;
        ensure!(
            pushed.revision == revision.id(),
            "the hub has another revision"
        );

        let other = self.source(self.plan.hubs.saturating_sub(1)).await?;
        let (pulled, refusal) = self.fetched(&revision, &name, &other).await?;
        Ok(vec![
            format!(
                "{name}: published through {}, commit {}",
                hub.url, pushed.commit
            ),
            format!(
                "fetched from {}: {} files of {} bytes, each verified",
                other.url, pulled.files, pulled.bytes
            ),
            format!("one byte of model.onnx flipped: refused, {refusal}"),
        ])
    }

    /// Fetches a revision from one hub, and says what refuses it when a byte of it is changed.
    async fn fetched(
        &self,
        revision: &Revision,
        name: &str,
        other: &Source,
    ) -> Result<(pull::Pulled, String)> {
        let into = self.folder().join("pulled");
        if into.exists() {
            std::fs::remove_dir_all(&into)?;
        }
        let wanted = Wanted {
            kind: Kind::Model,
            repository: format!("{}/{name}", self.plan.accounts.developer.address),
            reference: "main".into(),
        };
        let started = Instant::now();
        let pulled = loop {
            let sources = vec![other.clone()];
            match pull::pull(self.network.rpc(), sources, LOCAL, &wanted, &into).await {
                // It hears of the commit from the chain, and then fetches the files.
                Err(_) if started.elapsed() < SPREAD => sleep(POLL).await,
                pulled => break pulled?,
            }
        };
        let open = || Revision::open(&into, &RevisionLimits::default());
        ensure!(
            open()?.id() == revision.id(),
            "what was fetched is another revision"
        );
        let refusal = flipped(&into.join("model.onnx"), open)?;
        Ok((pulled, refusal))
    }

    /// Hub `index` of the network, as soon as it answers.
    async fn source(&self, index: u16) -> Result<Source> {
        let url = self.plan.hub_url(index);
        let started = Instant::now();
        loop {
            match describe(&url, LOCAL).await {
                Ok(described) => {
                    return Ok(Source {
                        name: described.hub.to_string(),
                        url,
                    });
                }
                Err(error) if started.elapsed() > SPREAD => return Err(error),
                Err(_) => sleep(POLL).await,
            }
        }
    }
}

/// What refuses a file of which one byte was changed.
fn flipped<T, E: std::fmt::Display>(
    place: &std::path::Path,
    open: impl Fn() -> Result<T, E>,
) -> Result<String> {
    let mut bytes = std::fs::read(place).with_context(|| place.display().to_string())?;
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).context("the file is empty")?;
    *byte ^= 1;
    std::fs::write(place, bytes)?;
    match open() {
        Ok(_) => anyhow::bail!("a changed file was taken"),
        Err(error) => Ok(error.to_string()),
    }
}
