//! What a signature says: the files of a model and what it leaves out.

use std::ops::Range;

use serde::Serialize;

use super::content::FileRecord;
use super::json::{Json, Object};
use super::{Error, path};
use crate::Sha256;

/// Type of in-toto statements.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Predicate of Model Signing v1.0.
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";

/// Predicate of the form before 1.0, which says neither what it leaves out nor how many files there are.
const OLD_PREDICATE_TYPE: &str = "https://model_signing/Digests/v0.1";

/// What the tool leaves out unless told otherwise: git's own files.
pub const GIT_PATHS: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];

/// The name under which a model of one file has that file.
const ONLY_FILE: &str = ".";

/// A digest that model signing knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashType {
    /// SHA-256, the tool's default, and the only one that its command line makes or takes.
    Sha256,
    /// BLAKE2b of 64 bytes.
    Blake2b,
    /// BLAKE3 of 32 bytes.
    Blake3,
}

impl HashType {
    const ALL: [(Self, &'static str, usize); 3] = [
        (Self::Sha256, "sha256", 32),
        (Self::Blake2b, "blake2b", 64),
        (Self::Blake3, "blake3", 32),
    ];

    fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, its, _)| *its == name);
        known.map(|(hash, ..)| hash)
    }

    /// Its name in statements.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.into_iter().find(|(hash, ..)| *hash == self);
        known.map_or("", |(_, name, _)| name)
    }

    /// Bytes of a digest.
    fn bytes(self) -> usize {
        let known = Self::ALL.into_iter().find(|(hash, ..)| *hash == self);
        known.map_or(0, |(.., bytes)| bytes)
    }
}

/// How files become digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The digest.
    pub hash: HashType,
    /// Bytes of a part, each with a digest of its own; `None` for one digest a file.
    pub shard_bytes: Option<u64>,
}

impl Layout {
    /// One SHA-256 a file: what everybody makes.
    pub const FILES: Self = Self {
        hash: HashType::Sha256,
        shard_bytes: None,
    };

    /// The name of the digests in resources.
    fn algorithm(self) -> String {
        match self.shard_bytes {
            None => self.hash.name().to_owned(),
            Some(bytes) => format!("{}-sharded-{bytes}", self.hash.name()),
        }
    }
}

/// A file that was signed, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Path inside the model, or `.` for a model of one file.
    pub path: String,
    /// The bytes of the part; `None` for a whole file.
    pub range: Option<Range<u64>>,
    /// The digest of these bytes.
    pub digest: Vec<u8>,
}

/// A statement of Model Signing v1.0, checked in itself: paths are plain, in the tool's order, none twice, none of them
/// among those left out, and their digests add up to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub(super) name: String,
    pub(super) root: Sha256,
    pub(super) layout: Layout,
    pub(super) follows_links: bool,
    pub(super) ignored: Vec<String>,
    pub(super) resources: Vec<Resource>,
}

impl Statement {
    /// The statement over these files, which need not be in order.
    ///
    /// # Errors
    /// [`Error::Malformed`] for no file, a path twice or not plain, and files that are left out.
    pub fn new(
        name: &str,
        layout: Layout,
        ignored: Vec<String>,
        mut files: Vec<FileRecord>,
    ) -> Result<Self, Error> {
        files.sort_by(|a, b| path::order(&a.path, &b.path));
        let resources: Vec<Resource> = files.into_iter().flat_map(|file| file.resources).collect();
        let statement = Self {
            name: name.to_owned(),
            root: root_of(&resources),
            layout,
            follows_links: false,
            ignored,
            resources,
        };
        statement.check()?;
        Ok(statement)
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another predicate, method or digest, [`Error::Malformed`] for a statement that contradicts
    /// itself or has a second reading.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut object = Json::parse("statement", payload)?.object("statement")?;
        known("statement", object.need("_type")?, STATEMENT_TYPE)?;
        let predicate_type = object.need("predicateType")?;
        if predicate_type == Json::Text(OLD_PREDICATE_TYPE.into()) {
            return Err(Error::Unsupported {
                what: "the form before 1.0",
                found: "sign the model again with a tool of today".into(),
            });
        }
        known("predicate", predicate_type, PREDICATE_TYPE)?;
        let (name, root) = subject(object.need("subject")?)?;
        // in-toto and Model Signing let statement and predicate grow: what else is in them is not read, and says nothing.
        let mut predicate = object.need("predicate")?.object("predicate")?;
        let serialization = predicate.need("serialization")?.object("serialization")?;
        let (layout, follows_links, ignored) = read_serialization(serialization)?;
        let listed = predicate.need("resources")?.list("resources")?;
        let resources = listed.into_iter().map(|json| read_resource(json, layout));
        let statement = Self {
            name,
            root,
            layout,
            follows_links,
            ignored,
            resources: resources.collect::<Result<_, _>>()?,
        };
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |reason: String| Err(Error::malformed("statement", reason));
        if self.resources.is_empty() {
            return wrong("it signs no file".into());
        }
        if let Some(path) = self.ignored.iter().find(|path| !path::is_plain(path)) {
            let path = path.escape_debug();
            return wrong(format!("it leaves out \"{path}\", which is no plain path"));
        }
        let alone = matches!(self.resources.as_slice(), [only] if only.path == ONLY_FILE);
        for resource in &self.resources {
            let path = resource.path.escape_debug();
            if !path::is_plain(&resource.path) && !alone {
                return wrong(format!("it signs \"{path}\", which is no plain path"));
            }
            if self.ignores(&resource.path).is_some() {
                return wrong(format!("it signs \"{path}\" and leaves it out"));
            }
        }
        self.check_order()?;
        if self.root != root_of(&self.resources) {
            return wrong("its root is not that of its files".into());
        }
        Ok(())
    }

    /// Each path once, in order, its parts without a gap.
    fn check_order(&self) -> Result<(), Error> {
        let mut before: Option<&Resource> = None;
        for resource in &self.resources {
            let follows = match before {
                None => starts(resource),
                Some(last) if last.path == resource.path => continues(last, resource, self.layout),
                Some(last) => path::order(&last.path, &resource.path).is_lt() && starts(resource),
            };
            if !follows || !fits(resource, self.layout) {
                let path = resource.path.escape_debug();
                let reason = format!("\"{path}\" is twice, out of order, or in wrong parts");
                return Err(Error::malformed("statement", reason));
            }
            before = Some(resource);
        }
        Ok(())
    }

    /// The model's name, which the signer chose, and which is not compared with anything.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over the digests of all resources, in order: one name for the signed content.
    pub const fn root(&self) -> &Sha256 {
        &self.root
    }

    /// How its digests were made.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether the signer followed symbolic links.
    pub const fn follows_links(&self) -> bool {
        self.follows_links
    }

    /// Paths that were left out; whatever lies under them may be anything.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// What was signed, in order.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The entry of what was left out under which `path` falls.
    pub fn ignores(&self, path: &str) -> Option<&str> {
        let mut covering = self.ignored.iter();
        let found = covering.find(|prefix| path::is_under(path, prefix));
        found.map(String::as_str)
    }

    /// The payload of an envelope.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the library cannot write it, which no statement is known to cause.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        let algorithm = self.layout.algorithm();
        let resources = self.resources.iter().map(|resource| WrittenResource {
            algorithm: &algorithm,
            digest: hex(&resource.digest),
            name: resource.name(),
        });
        let method = match self.layout.shard_bytes {
            None => "files",
            Some(_) => "shards",
        };
        let written = Written {
            kind: STATEMENT_TYPE,
            subject: [WrittenSubject {
                name: &self.name,
                digest: WrittenDigest { sha256: &self.root },
            }],
            predicate_type: PREDICATE_TYPE,
            predicate: WrittenPredicate {
                serialization: WrittenSerialization {
                    method,
                    hash_type: self.layout.hash.name(),
                    shard_size: self.layout.shard_bytes,
                    allow_symlinks: self.follows_links,
                    ignore_paths: &self.ignored,
                },
                resources: resources.collect(),
            },
        };
        serde_json::to_vec(&written).map_err(|error| Error::malformed("statement", error))
    }
}

impl Resource {
    /// Its name in statements: a part has its range behind the path.
    fn name(&self) -> String {
        match &self.range {
            None => self.path.clone(),
            Some(range) => format!("{}:{}:{}", self.path, range.start, range.end),
        }
    }
}

fn starts(resource: &Resource) -> bool {
    resource.range.as_ref().is_none_or(|range| range.start == 0)
}

fn continues(last: &Resource, next: &Resource, layout: Layout) -> bool {
    let (Some(one), Some(other)) = (&last.range, &next.range) else {
        return false;
    };
    // Only the last part of a file is short.
    let full = one.end.checked_sub(one.start) == layout.shard_bytes;
    full && one.end == other.start
}

fn fits(resource: &Resource, layout: Layout) -> bool {
    match (&resource.range, layout.shard_bytes) {
        (None, None) => true,
        (Some(range), Some(most)) => range
            .end
            .checked_sub(range.start)
            .is_some_and(|length| length > 0 && length <= most),
        _ => false,
    }
}

fn root_of(resources: &[Resource]) -> Sha256 {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    for resource in resources {
        hasher.update(&resource.digest);
    }
    Sha256::from_bytes(hasher.finalize().into())
}

fn known(what: &'static str, found: Json, expected: &'static str) -> Result<(), Error> {
    let found = found.text(what)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::malformed(
        what,
        format!("it is {}, not {expected}", found.escape_debug()),
    ))
}

fn subject(json: Json) -> Result<(String, Sha256), Error> {
    let mut listed = json.list("subject")?;
    let (Some(only), true) = (listed.pop(), listed.is_empty()) else {
        return Err(Error::malformed("subject", "there has to be exactly one"));
    };
    let mut only = only.object("subject")?;
    let name = only.need("name")?.text("name")?;
    let mut digest = only.need("digest")?.object("digest")?;
    let root = digest.need("sha256")?.text("sha256")?;
    digest.finish("digest")?;
    let root = root
        .parse()
        .map_err(|error| Error::malformed("subject", error))?;
    Ok((name, root))
}

fn read_serialization(mut object: Object) -> Result<(Layout, bool, Vec<String>), Error> {
    let what = "serialization";
    let method = object.need("method")?.text(what)?;
    let name = object.need("hash_type")?.text(what)?;
    let hash = HashType::named(&name).ok_or_else(|| Error::Unsupported {
        what: "the digest",
        found: name.escape_debug().to_string(),
    })?;
    let shard_bytes = match (method.as_str(), object.take("shard_size")) {
        ("files", None) => None,
        ("shards", Some(size)) => Some(shard_size(&size)?),
        (other, _) => {
            return Err(Error::Unsupported {
                what: "the method",
                found: other.escape_debug().to_string(),
            });
        }
    };
    let follows_links = match object.need("allow_symlinks")? {
        Json::Bool(follows) => follows,
        _ => return Err(Error::malformed(what, "allow_symlinks is not a boolean")),
    };
    let ignored = match object.take("ignore_paths") {
        None => Vec::new(),
        Some(list) => list
            .list("ignore_paths")?
            .into_iter()
            .map(|path| path.text("ignore_paths"))
            .collect::<Result<_, _>>()?,
    };
    object.finish(what)?;
    Ok((Layout { hash, shard_bytes }, follows_links, ignored))
}

/// The tool's statement passes through protocol buffers, where every number is a double: `1000000000` may be `1000000000.0`.
fn shard_size(json: &Json) -> Result<u64, Error> {
    /// Above it not every integer is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let size = match json {
        Json::Number(number) => number.as_u64().or_else(|| {
            let size = number.as_f64()?;
            (size.fract() == 0.0 && (1.0..EXACT).contains(&size)).then_some(size as u64)
        }),
        _ => None,
    };
    size.filter(|size| *size > 0)
        .ok_or_else(|| Error::malformed("shard_size", "it is no positive integer"))
}

fn read_resource(json: Json, layout: Layout) -> Result<Resource, Error> {
    let what = "resource";
    let mut object = json.object(what)?;
    let name = object.need("name")?.text(what)?;
    let algorithm = object.need("algorithm")?.text(what)?;
    let digest = object.need("digest")?.text(what)?;
    object.finish(what)?;
    if algorithm != layout.algorithm() {
        let reason = format!("its digest is {}", algorithm.escape_debug());
        return Err(Error::malformed(what, reason));
    }
    let digest = unhex(&digest, layout.hash.bytes())
        .ok_or_else(|| Error::malformed(what, "its digest is not lower-case hex of its length"))?;
    let (path, range) = match layout.shard_bytes {
        None => (name, None),
        Some(_) => {
            let (path, range) = part(&name)
                .ok_or_else(|| Error::malformed(what, "a part is not called PATH:BEGIN:END"))?;
            (path, Some(range))
        }
    };
    Ok(Resource {
        path,
        range,
        digest,
    })
}

fn part(name: &str) -> Option<(String, Range<u64>)> {
    let mut pieces = name.split(':');
    let (path, start, end) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let number = |text: &str| {
        let value: u64 = text.parse().ok()?;
        (value.to_string() == text).then_some(value)
    };
    let range = number(start)?..number(end)?;
    pieces.next().is_none().then(|| (path.to_owned(), range))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str, length: usize) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != length {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' | b'a'..=b'f' => char::from(digit).to_digit(16),
        _ => None,
    };
    let pair = |&[high, low]: &[u8; 2]| Some((digit(high)? << 4 | digit(low)?) as u8);
    pairs.iter().map(pair).collect()
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [WrittenSubject<'a>; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: WrittenPredicate<'a>,
}

#[derive(Serialize)]
struct WrittenSubject<'a> {
    name: &'a str,
    digest: WrittenDigest<'a>,
}

#[derive(Serialize)]
struct WrittenDigest<'a> {
    sha256: &'a Sha256,
}

#[derive(Serialize)]
struct WrittenPredicate<'a> {
    serialization: WrittenSerialization<'a>,
    resources: Vec<WrittenResource<'a>>,
}

#[derive(Serialize)]
struct WrittenSerialization<'a> {
    method: &'static str,
    hash_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_size: Option<u64>,
    allow_symlinks: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ignore_paths: &'a [String],
}

#[derive(Serialize)]
struct WrittenResource<'a> {
    algorithm: &'a str,
    digest: String,
    name: String,
}
