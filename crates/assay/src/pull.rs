//! `assay model pull`: a repository from several hubs, every byte verified.

use crate::{
    cli,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_hub::Kind;
use assay_node::{
    fetch::{Fault, Source},
    pull::{Pulled, Wanted, listed_hubs, pull},
    reach::Reach,
    rpc_client::RpcClient,
};
use serde_json::json;

/// Runs the command.
///
/// # Errors
/// A complaint that says what no hub gives, and what each did instead.
pub async fn run(arguments: cli::Pull, form: Form) -> Result<Exit> {
    let rpc = RpcClient::new(&[arguments.rpc])?;
    let sources = if arguments.hub.is_empty() {
        listed_hubs(&rpc)
            .await
            .context("asking the chain for hubs")?
    } else {
        let named = arguments
            .hub
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned());
        named
            .map(|url| Source {
                name: url.clone(),
                url,
            })
            .collect()
    };
    let reach = Reach {
        private: arguments.allow_private_hubs || !arguments.hub.is_empty(),
    };
    let wanted = Wanted {
        kind: if arguments.dataset {
            Kind::Dataset
        } else {
            Kind::Model
        },
        repository: arguments.repository.clone(),
        reference: arguments.revision,
    };
    let pulled = {
        let _progress = Progress::wait("fetching and verifying");
        pull(&rpc, sources, reach, &wanted, &arguments.to).await
    };
    let pulled = pulled.map_err(|error| {
        Complaint::failed(error).hint(
            "`assay model show` says what the chain knows; hubs on this machine are asked with --allow-private-hubs",
        )
    })?;
    show(&arguments.repository, &pulled, form)?;
    Ok(Exit::Done)
}

/// Says what was fetched, and what hubs did wrong on the way.
fn show(repository: &str, pulled: &Pulled, form: Form) -> Result<()> {
    let notes: Vec<_> = pulled
        .notes
        .iter()
        .filter(|note| note.fault != Fault::Absent)
        .collect();
    let value = json!({
        "repository": repository, "publisher": pulled.publisher, "commit": pulled.id,
        "revision": pulled.commit.revision, "title": pulled.commit.title, "files": pulled.files, "bytes": pulled.bytes,
        "notes": notes,
    });
    form.print(&value, |_| {
        let mut rows = vec![
            ("repository", repository.to_owned()),
            ("publisher", pulled.publisher.to_string().to_lowercase()),
            ("commit", pulled.id.to_string()),
            ("revision", pulled.commit.revision.to_string()),
            (
                "files",
                format!("{} of {} bytes, each verified", pulled.files, pulled.bytes),
            ),
        ];
        for note in &notes {
            rows.push((
                "hub",
                format!("{} {} ({})", note.source.name, note.fault, note.subject),
            ));
        }
        rows.push((
            "not established",
            "that the model is any good, or safe to run".into(),
        ));
        output::rows(0, &rows)
    })?;
    Ok(())
}
