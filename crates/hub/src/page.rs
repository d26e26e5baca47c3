//! Pages for people: plain HTML without scripts, made from what the API says in JSON.
//!
//! Every text of a publisher or of another hub is escaped; a card is shown as the text that it is. Nothing on a page comes
//! from elsewhere, so a page cannot be told apart by what it loads, and needs no cookie.

use std::fmt::Write as _;

/// Content security policy of every page: its own style, forms to this hub, and nothing else.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}code,pre{font:13px/1.5 ui-monospace,monospace}\
pre{background:#f4f5f7;padding:1rem;overflow:auto;white-space:pre-wrap}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e3e5e8;vertical-align:top;overflow-wrap:anywhere}\
.muted{color:#5c6670}.bad{color:#a40e26}.good{color:#116329}.warn{background:#fff4d6;padding:.6rem 1rem;margin:.5rem 0}\
input{font:inherit;padding:.4rem .6rem;width:70%}button{font:inherit;padding:.4rem 1rem}\
@media(prefers-color-scheme:dark){body{background:#101418;color:#dde3e9}pre{background:#191f25}td,th{border-color:#2b333b}\
a{color:#7ab7ff}.muted{color:#95a1ad}.bad{color:#ff7b8a}.good{color:#5fd38d}.warn{background:#3b3216}}";

/// How far a page can be believed, which is the reader's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Neither.
    Plain,
}

/// A hub as the page of a repository names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubLine {
    /// Its address.
    pub hub: String,
    /// Its URL.
    pub url: String,
    /// What this hub saw of it, in words.
    pub seen: String,
    /// How that is.
    pub tone: Tone,
    /// When it was seen.
    pub when: String,
}

/// A file as the page of a repository names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLine {
    /// Where it lies.
    pub path: String,
    /// Its length, bytes.
    pub size: u64,
    /// Its digest under which this network knows it.
    pub blob: String,
    /// What is to be said of it; mostly nothing.
    pub note: String,
}

/// All that the page of a repository shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryPage {
    /// `namespace/name`.
    pub id: String,
    /// `model` or `dataset`.
    pub kind: String,
    /// The URL of this hub.
    pub endpoint: String,
    /// Whose it is: an address.
    pub publisher: String,
    /// The commit that is shown, 64 hex digits.
    pub commit: String,
    /// The revision's id.
    pub revision: String,
    /// Where the head of `main` is written down: a sentence.
    pub anchored: String,
    /// What a user should know before using it.
    pub warnings: Vec<String>,
    /// The files.
    pub files: Vec<FileLine>,
    /// Other hubs, and what this one saw of each.
    pub hubs: Vec<HubLine>,
    /// Further facts, each with its name.
    pub facts: Vec<(String, String)>,
    /// The graph of what it was made of, in lines; empty where nothing is known.
    pub lineage: String,
    /// The card's text.
    pub card: String,
}

/// Most files that a page lists.
const MAX_FILES: usize = 500;

impl RepositoryPage {
    /// The page as HTML.
    pub fn html(&self) -> String {
        let mut out = head(&self.id);
        let _ = write!(
            out,
            "<p><a href=\"/\">all models</a></p><h1>{}</h1><p class=\"muted\">{} of {}</p>",
            escaped(&self.id),
            escaped(&self.kind),
            escaped(&self.publisher)
        );
        for warning in &self.warnings {
            let _ = write!(out, "<p class=\"warn\">{}</p>", escaped(warning));
        }
        self.identity(&mut out);
        if !self.lineage.is_empty() {
            let _ = write!(
                out,
                "<h2>What it was made of</h2><pre>{}</pre><p class=\"muted\">claimed: somebody says so; signed: its publisher signed it; \
                 verified: it was computed, which this hub does not do.</p>",
                escaped(&self.lineage)
            );
        }
        self.hubs(&mut out);
        self.files(&mut out);
        if !self.card.trim().is_empty() {
            let _ = write!(
                out,
                "<h2>Card, as its publisher wrote it</h2><pre>{}</pre>",
                escaped(&self.card)
            );
        }
        out.push_str("</body></html>\n");
        out
    }

    fn identity(&self, out: &mut String) {
        let option = if self.kind == "dataset" {
            " --repo-type dataset"
        } else {
            ""
        };
        let _ = write!(
            out,
            "<h2>Get it</h2><pre>HF_ENDPOINT={} hf download {}{option}</pre><h2>What it is</h2><table>",
            escaped(&self.endpoint),
            escaped(&self.id)
        );
        row(out, "revision", &self.revision);
        row(out, "commit", &self.commit);
        row(out, "written down", &self.anchored);
        for (name, value) in &self.facts {
            row(out, name, value);
        }
        out.push_str("</table>");
    }

    fn hubs(&self, out: &mut String) {
        out.push_str("<h2>Who serves it, as this hub saw it</h2>");
        if self.hubs.is_empty() {
            out.push_str("<p class=\"muted\">No other hub is known to this one.</p>");
            return;
        }
        let refusing = self
            .hubs
            .iter()
            .filter(|line| line.seen.starts_with("refuses"))
            .count();
        if refusing > 0 {
            let _ = write!(
                out,
                "<p>Refused by {refusing} of {} other hubs.</p>",
                self.hubs.len()
            );
        }
        out.push_str("<table><tr><th>hub</th><th>seen</th><th>when</th></tr>");
        for line in &self.hubs {
            let class = match line.tone {
                Tone::Good => "good",
                Tone::Bad => "bad",
                Tone::Plain => "muted",
            };
            let _ = write!(
                out,
                "<tr><td><code>{}</code><br><span class=\"muted\">{}</span></td><td class=\"{class}\">{}</td><td>{}</td></tr>",
                escaped(&line.hub),
                escaped(&line.url),
                escaped(&line.seen),
                escaped(&line.when)
            );
        }
        out.push_str("</table>");
    }

    fn files(&self, out: &mut String) {
        out.push_str("<h2>Files</h2><table><tr><th>path</th><th>bytes</th><th>BLAKE3</th></tr>");
        let folder = if self.kind == "dataset" {
            "/datasets"
        } else {
            ""
        };
        for file in self.files.iter().take(MAX_FILES) {
            let _ = write!(
                out,
                "<tr><td><a href=\"{folder}/{}/resolve/{}/{}\">{}</a> <span class=\"bad\">{}</span></td><td>{}</td><td><code>{}</code></td></tr>",
                link(&self.id),
                escaped(self.commit.get(..40).unwrap_or("main")),
                link(&file.path),
                escaped(&file.path),
                escaped(&file.note),
                file.size,
                escaped(&file.blob)
            );
        }
        out.push_str("</table>");
        if self.files.len() > MAX_FILES {
            let _ = write!(
                out,
                "<p class=\"muted\">and {} more</p>",
                self.files.len().saturating_sub(MAX_FILES)
            );
        }
    }
}

/// One hit of a search as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// `namespace/name`.
    pub id: String,
    /// What it is, in a sentence.
    pub summary: String,
    /// Why it ranks where it does.
    pub why: String,
    /// What a user should know.
    pub warnings: Vec<String>,
}

/// One value of a facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    /// The value.
    pub label: String,
    /// How many of what was found have it.
    pub count: u64,
    /// The query of a page with it, or without it where it was chosen; `None` where it cannot be chosen.
    pub query: Option<String>,
    /// Whether only what has it was asked for.
    pub chosen: bool,
}

/// A facet of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// What it is about.
    pub name: String,
    /// Its values.
    pub values: Vec<FacetValue>,
}

/// All that the page of a search shows, or of everything where nothing was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchPage {
    /// What was asked for, in words.
    pub query: String,
    /// What else was asked for, each with its name: the form keeps it.
    pub kept: Vec<(String, String)>,
    /// What was found.
    pub hits: Vec<Hit>,
    /// How many this hub knows.
    pub total: u64,
    /// What was understood, and what this hub does not know: a sentence each.
    pub notes: Vec<String>,
    /// Facets of what was found.
    pub facets: Vec<Facet>,
}

impl SearchPage {
    /// The page as HTML.
    pub fn html(&self) -> String {
        let mut out = head("models");
        let _ = write!(
            out,
            "<h1>Models</h1><form action=\"/search\"><input name=\"q\" value=\"{}\" aria-label=\"search\" \
             placeholder=\"what is it to do?\"> <button>Search</button>",
            escaped(&self.query)
        );
        for (name, value) in &self.kept {
            let _ = write!(
                out,
                "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                escaped(name),
                escaped(value)
            );
        }
        let _ = write!(
            out,
            "</form><p class=\"muted\">{} known to this hub</p>",
            self.total
        );
        for note in &self.notes {
            let _ = write!(out, "<p class=\"muted\">{}</p>", escaped(note));
        }
        for facet in &self.facets {
            facet.write(&mut out);
        }
        for hit in &self.hits {
            hit.write(&mut out);
        }
        if self.hits.is_empty() {
            out.push_str("<p>Nothing fits.</p>");
        }
        out.push_str("</body></html>\n");
        out
    }
}

impl Facet {
    fn write(&self, out: &mut String) {
        let _ = write!(out, "<p class=\"muted\">{}:", escaped(&self.name));
        for value in &self.values {
            let (label, count) = (escaped(&value.label), value.count);
            let shown = if value.chosen {
                format!("<b>{label}</b> ({count}, any)")
            } else {
                format!("{label} ({count})")
            };
            let _ = match &value.query {
                Some(query) => write!(out, " <a href=\"/search?{}\">{shown}</a>", escaped(query)),
                None => write!(out, " {shown}"),
            };
        }
        out.push_str("</p>");
    }
}

impl Hit {
    fn write(&self, out: &mut String) {
        let _ = write!(
            out,
            "<h2><a href=\"/{}\">{}</a></h2>{}<p class=\"muted\">{}</p>",
            link(&self.id),
            escaped(&self.id),
            escaped(&self.summary),
            escaped(&self.why)
        );
        for warning in &self.warnings {
            let _ = write!(out, "<p class=\"warn\">{}</p>", escaped(warning));
        }
    }
}

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body>",
        escaped(title)
    )
}

fn row(out: &mut String, name: &str, value: &str) {
    let _ = write!(
        out,
        "<tr><th>{}</th><td><code>{}</code></td></tr>",
        escaped(name),
        escaped(value)
    );
}

/// A text as HTML, in an element or in a quoted attribute. Control characters but for line breaks and tabs are shown as `�`.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            // What turns the direction of a line around can make one name look like another.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.push('\u{fffd}')
            }
            c => out.push(c),
        }
    }
    out
}

/// A path as part of a URL: what is no letter, digit, `/`, `-`, `_`, `.` or `~` is percent-encoded.
fn link(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page() -> RepositoryPage {
        RepositoryPage {
            id: "alice/m".into(),
            kind: "model".into(),
            commit: "ab".repeat(32),
            lineage: "a\n  fine-tuned from b  [claimed]".into(),
            files: vec![FileLine {
                path: "a b/ü.bin".into(),
                size: 3,
                blob: "00".into(),
                note: "can run code".into(),
            }],
            hubs: vec![
                HubLine {
                    hub: "0x01".into(),
                    url: "http://a".into(),
                    seen: "refuses it: a court said so".into(),
                    tone: Tone::Bad,
                    when: "now".into(),
                },
                HubLine {
                    hub: "0x02".into(),
                    url: "http://b".into(),
                    seen: "has it".into(),
                    tone: Tone::Good,
                    when: "now".into(),
                },
            ],
            ..RepositoryPage::default()
        }
    }

    #[test]
    fn a_page_names_who_refuses_and_links_files() {
        let html = page().html();
        assert!(html.contains("Refused by 1 of 2 other hubs."), "{html}");
        let address = format!(
            "/alice/m/resolve/{}/a%20b/%C3%BC.bin",
            &"ab".repeat(32)[..40]
        );
        assert!(html.contains(&address), "{html}");
    }

    #[test]
    fn a_lone_hub_says_so() {
        let alone = RepositoryPage {
            hubs: Vec::new(),
            ..page()
        };
        assert!(alone.html().contains("No other hub is known"));
        assert!(SearchPage::default().html().contains("Nothing fits"));
    }

    proptest! {
        /// Whatever a publisher or a hub says, no tag and no attribute of theirs gets into a page.
        #[test]
        fn texts_stay_texts(text in "[<>\"'&a-z \\u{202e}\\n/=]{0,40}") {
            let marked = format!("{text}<script>\"onload='x'");
            let hostile = RepositoryPage {
                id: marked.clone(), kind: marked.clone(), endpoint: marked.clone(), publisher: marked.clone(),
                commit: marked.clone(), revision: marked.clone(), anchored: marked.clone(), warnings: vec![marked.clone()],
                files: vec![FileLine { path: marked.clone(), size: 0, blob: marked.clone(), note: marked.clone() }],
                hubs: vec![HubLine { hub: marked.clone(), url: marked.clone(), seen: marked.clone(), tone: Tone::Plain, when: marked.clone() }],
                facts: vec![(marked.clone(), marked.clone())], card: marked.clone(), lineage: marked.clone(),
            };
            let found = SearchPage {
                query: marked.clone(), kept: vec![(marked.clone(), marked.clone())], notes: vec![marked.clone()], total: 1,
                hits: vec![Hit { id: marked.clone(), summary: marked.clone(), why: marked.clone(), warnings: vec![marked.clone()] }],
                facets: vec![Facet { name: marked.clone(), values: [None, Some(marked.clone())].map(|query| FacetValue {
                    label: marked.clone(), count: 1, chosen: query.is_none(), query,
                }).into() }],
            };
            for html in [hostile.html(), found.html()] {
                prop_assert!(!html.contains("<script"), "{html}");
                prop_assert!(!html.contains("\"onload"));
                let turns = html.contains('\u{202e}');
                prop_assert!(!turns);
            }
        }
    }
}
