//! The JSON of the Hugging Face API, as its clients send and read it. Fields of our own are in `assay`.

use assay_blob::{BlobId, GitOid, Sha256};
use assay_receipt::RevisionId;
use serde::{Deserialize, Serialize};

use crate::{CommitId, FileEntry, Form, Kind, RefName, TreePath, commit::ShortId, time::rfc3339};

/// A large file as listings have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Large {
    /// SHA-256 of the content.
    pub oid: Sha256,
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of the pointer that stands for it in git.
    pub pointer_size: u64,
}

impl Large {
    /// The large file of an entry; `None` for another.
    pub fn of(entry: &FileEntry) -> Option<Self> {
        let pointer = || {
            format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
                entry.sha256, entry.size
            )
        };
        (entry.form == Form::Large).then(|| Self {
            oid: entry.sha256,
            size: entry.size,
            pointer_size: pointer().len() as u64,
        })
    }
}

/// The commit that last changed an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastCommit {
    /// Its id as clients see it.
    pub id: ShortId,
    /// Its one-line text.
    pub title: String,
    /// When it was made.
    pub date: String,
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum TreeRow {
    /// A file.
    File {
        /// Where it lies.
        path: TreePath,
        /// Its bytes.
        size: u64,
        /// Git's name of it.
        oid: GitOid,
        /// The large file behind the pointer.
        #[serde(skip_serializing_if = "Option::is_none")]
        lfs: Option<Large>,
        /// Its name in Xet, where it came that way.
        #[serde(skip_serializing_if = "Option::is_none")]
        xet_hash: Option<String>,
        /// Its name in this network.
        blake3: BlobId,
        /// The commit that last changed it, where it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_commit: Option<LastCommit>,
        /// What its bytes say of code in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        security_file_status: Option<Box<SecurityStatus>>,
    },
    /// A folder.
    Directory {
        /// Where it lies.
        path: TreePath,
        /// Zero.
        size: u64,
        /// Git's name of it.
        oid: GitOid,
        /// The commit that last changed something in it, where it was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_commit: Option<LastCommit>,
    },
}

/// What a file's bytes say of code in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityStatus {
    /// `safe`, `unsafe`, `unknown` where it cannot be told, or `unscanned`.
    pub status: &'static str,
    /// None: this hub looks for no viruses.
    pub av_scan: Option<serde_json::Value>,
    /// What was looked for.
    pub pickle_import_scan: PickleScan,
}

/// What was looked for, and found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PickleScan {
    /// As in [`SecurityStatus`].
    pub status: &'static str,
    /// What was found, in words.
    pub message: String,
    /// Empty: imports stand in the message.
    pub pickle_imports: Vec<serde_json::Value>,
}

impl SecurityStatus {
    /// A status with what was found.
    pub fn of(status: &'static str, message: String) -> Self {
        Self {
            status,
            av_scan: None,
            pickle_import_scan: PickleScan {
                status,
                message,
                pickle_imports: Vec::new(),
            },
        }
    }
}

/// A file of a repository's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sibling {
    /// Where it lies.
    pub rfilename: TreePath,
    /// Its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Git's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_id: Option<GitOid>,
    /// The large file behind the pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lfs: Option<SiblingLarge>,
}

/// A large file of a repository's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiblingLarge {
    /// SHA-256 of the content.
    pub sha256: Sha256,
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of the pointer that stands for it in git.
    pub pointer_size: u64,
}

impl Sibling {
    /// A file by its name, with its sizes and digests where they were asked for.
    pub fn of(path: &TreePath, entry: &FileEntry, with_metadata: bool) -> Self {
        let large = Large::of(entry).filter(|_| with_metadata);
        Self {
            rfilename: path.clone(),
            size: with_metadata.then_some(entry.size),
            blob_id: with_metadata.then_some(entry.oid),
            lfs: large.map(|large| SiblingLarge {
                sha256: large.oid,
                size: large.size,
                pointer_size: large.pointer_size,
            }),
        }
    }
}

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitRow {
    /// Its id as clients see it.
    pub id: ShortId,
    /// Its one-line text.
    pub title: String,
    /// Its longer text.
    pub message: String,
    /// When it was made.
    pub date: String,
    /// Who made it.
    pub authors: Vec<Author>,
    /// What only this network says of it.
    pub assay: CommitOwn,
}

/// What only this network says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitOwn {
    /// Its whole id.
    pub commit: CommitId,
    /// Its revision.
    pub revision: RevisionId,
}

/// Who made a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Author {
    /// A handle or an address.
    pub user: String,
}

impl CommitRow {
    /// A commit with its id.
    pub fn of(id: CommitId, commit: crate::Commit) -> Self {
        Self {
            id: id.short(),
            date: rfc3339(commit.date_ms),
            authors: vec![Author {
                user: commit.author,
            }],
            title: commit.title,
            message: commit.message,
            assay: CommitOwn {
                commit: id,
                revision: commit.revision,
            },
        }
    }
}

/// A ref with its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefRow {
    /// Its name.
    pub name: String,
    /// Its full name.
    #[serde(rename = "ref")]
    pub full: String,
    /// Where it is.
    pub target_commit: ShortId,
}

/// Every ref of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefRows {
    /// Branches.
    pub branches: Vec<RefRow>,
    /// None: this hub converts nothing.
    pub converts: Vec<RefRow>,
    /// Tags.
    pub tags: Vec<RefRow>,
    /// None, where they are asked for: this hub has no pull requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_requests: Option<Vec<RefRow>>,
}

impl RefRows {
    /// Refs in their order.
    pub fn of(refs: Vec<(RefName, CommitId)>, with_pull_requests: bool) -> Self {
        let mut rows = Self {
            pull_requests: with_pull_requests.then(Vec::new),
            ..Self::default()
        };
        for (name, commit) in refs {
            let row = RefRow {
                name: name.short().to_owned(),
                full: name.to_string(),
                target_commit: commit.short(),
            };
            if name.is_branch() {
                rows.branches.push(row)
            } else {
                rows.tags.push(row)
            }
        }
        rows
    }
}

/// Body of `POST /api/repos/create`, `DELETE /api/repos/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RepositoryBody {
    /// Its name, with or without a namespace.
    pub name: String,
    /// Its namespace.
    #[serde(default)]
    pub organization: Option<String>,
    /// `model` or `dataset`; a model where it is left out.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// `public`, or left out.
    #[serde(default)]
    pub visibility: Option<String>,
    /// Not true.
    #[serde(default)]
    pub private: Option<bool>,
}

/// Body of `PUT /api/{kind}/{id}/settings`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SettingsBody {
    /// `public`, or left out.
    #[serde(default)]
    pub visibility: Option<String>,
    /// Not true.
    #[serde(default)]
    pub private: Option<bool>,
    /// Not set.
    #[serde(default)]
    pub gated: Option<serde_json::Value>,
}

/// Answer to the creation of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Its page.
    pub url: String,
    /// What clients call it.
    pub name: String,
    /// The same.
    pub id: String,
}

/// Body of `POST /api/validate-yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidateYaml {
    /// The whole README.
    pub content: String,
    /// Of which kind of repository.
    #[serde(default)]
    pub repo_type: Option<String>,
}

/// A complaint about a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// In words.
    pub message: String,
}

/// What is wrong with a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Validated {
    /// The first of the errors, where every refusal has its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// A commit is refused for these.
    pub errors: Vec<Complaint>,
    /// These are shown.
    pub warnings: Vec<Complaint>,
}

/// Body of `POST /api/{kind}/{id}/preupload/{rev}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preupload {
    /// Files that will be committed.
    pub files: Vec<PreuploadFile>,
    /// The repository's `.gitignore`, if it comes with the commit.
    #[serde(default)]
    pub git_ignore: Option<String>,
}

/// A file that will be committed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PreuploadFile {
    /// Where.
    pub path: String,
    /// Its size, bytes.
    pub size: u64,
    /// Its first bytes, in base64.
    #[serde(default)]
    pub sample: Option<String>,
}

/// How files are to be committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreuploadAnswer {
    /// In the order of the question.
    pub files: Vec<PreuploadRow>,
}

/// How a file is to be committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreuploadRow {
    /// Where.
    pub path: String,
    /// `lfs`, or `regular`.
    pub upload_mode: &'static str,
    /// Whether it is to be left out.
    pub should_ignore: bool,
    /// What is there now: git's name, or SHA-256 of a large file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<String>,
}

/// Body of `POST /api/{kind}/{id}/branch/{branch}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BranchBody {
    /// Where it begins; at the main branch where it is left out.
    pub starting_point: Option<String>,
}

/// Body of `POST /api/{kind}/{id}/tag/{rev}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TagBody {
    /// Its name.
    pub tag: String,
    /// A text, which this hub does not keep.
    #[serde(default)]
    pub message: Option<String>,
}

/// Answer to a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Committed {
    /// True.
    pub success: bool,
    /// Its page.
    pub commit_url: String,
    /// Its id as clients see it.
    pub commit_oid: ShortId,
    /// Empty.
    pub hook_output: String,
    /// None: this hub has no pull requests.
    pub pull_request_url: Option<String>,
    /// What only this network says of it.
    pub assay: CommitOwn,
}

/// Body of `POST /api/{kind}/{id}/paths-info/{rev}`, where it is JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PathsBody {
    /// The paths.
    pub paths: Paths,
    /// Whether the last commit of each is asked for.
    #[serde(default)]
    pub expand: bool,
}

/// One path or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Paths {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Paths {
    /// As a list.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(path) => vec![path],
            Self::Many(paths) => paths,
        }
    }
}

/// Answer to `GET /api/whoami-v2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhoAmI {
    /// `user`.
    #[serde(rename = "type")]
    pub what: &'static str,
    /// The account's address.
    pub id: String,
    /// Its handle, or its address where it has none.
    pub name: String,
    /// The same.
    pub fullname: String,
    /// None: a namespace belongs to one key.
    pub orgs: Vec<String>,
    /// How the client is known.
    pub auth: Auth,
}

/// How a client is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// `access_token`.
    #[serde(rename = "type")]
    pub what: &'static str,
    /// Its token.
    pub access_token: AccessToken,
}

/// A token as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessToken {
    /// A name for people.
    pub display_name: String,
    /// `read` or `write`.
    pub role: &'static str,
    /// When it was made.
    pub created_at: String,
}

/// What a hub says of itself at `/assay/v1/hub`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRow {
    /// Address of its key, for which tokens are made.
    pub hub: assay_receipt::NodeAddress,
    /// Its operator's account.
    pub operator: assay_receipt::Account,
    /// The URL under which it is reached.
    pub endpoint: String,
    /// `standalone`, or what makes its commits final.
    pub anchor: String,
    /// Chain id of the network that its tokens are signed for; 0 for a hub that stands alone.
    pub chain_id: u64,
    /// Id of that network; zero for a hub that stands alone.
    pub network: assay_receipt::NetworkId,
    /// The version of its program.
    pub version: String,
}

/// The page of a repository under a hub's URL.
pub fn page_url(endpoint: &str, kind: Kind, id: &str) -> String {
    format!("{endpoint}/{}{id}", kind.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_are_what_clients_read() {
        let content = b"x\n";
        let mut entry = FileEntry {
            blob: BlobId::of(content),
            size: 2,
            sha256: Sha256::of(content),
            oid: GitOid::of_blob(content),
            form: Form::Regular,
        };
        let path: TreePath = "a/b.bin".parse().unwrap();
        assert_eq!(Large::of(&entry), None);
        let plain = serde_json::to_value(Sibling::of(&path, &entry, false)).unwrap();
        assert_eq!(plain, json!({"rfilename": "a/b.bin"}));
        entry.form = Form::Large;
        let large = Large::of(&entry).unwrap();
        let row = TreeRow::File {
            path: path.clone(),
            size: 2,
            oid: entry.oid,
            lfs: Some(large.clone()),
            xet_hash: None,
            blake3: entry.blob,
            last_commit: None,
            security_file_status: None,
        };
        assert_eq!(
            serde_json::to_value(row).unwrap(),
            json!({"type": "file", "path": "a/b.bin", "size": 2, "oid": entry.oid, "blake3": entry.blob,
                "lfs": {"oid": entry.sha256, "size": 2, "pointerSize": 126}})
        );
        let folder = TreeRow::Directory {
            path,
            size: 0,
            oid: entry.oid,
            last_commit: None,
        };
        assert_eq!(serde_json::to_value(folder).unwrap()["type"], "directory");
        let refs = RefRows::of(
            vec![
                (RefName::main(), CommitId::from_bytes([1; 32])),
                (RefName::tag("v1").unwrap(), CommitId::from_bytes([2; 32])),
            ],
            true,
        );
        assert_eq!(
            serde_json::to_value(refs).unwrap(),
            json!({"branches": [{"name": "main", "ref": "refs/heads/main", "targetCommit": "01".repeat(20)}], "converts": [],
                "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": "02".repeat(20)}], "pullRequests": []})
        );
    }

    #[test]
    fn bodies_of_clients_are_read() {
        let body: RepositoryBody = serde_json::from_str(
            r#"{"name":"m","organization":null,"visibility":"public","new":1}"#,
        )
        .unwrap();
        assert_eq!((body.name.as_str(), body.kind), ("m", None));
        let paths: PathsBody = serde_json::from_str(r#"{"paths":"a"}"#).unwrap();
        assert_eq!(paths.paths.into_vec(), ["a"]);
        for bad in ["{}", "[]", r#"{"name":7}"#, r#"{"name":"a","type":[]}"#] {
            assert!(
                serde_json::from_str::<RepositoryBody>(bad).is_err(),
                "{bad}"
            );
        }
    }
}
