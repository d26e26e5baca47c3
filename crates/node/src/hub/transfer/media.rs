//! How a file of a stranger is labelled, so that a browser that opens it cannot be turned against its user.
//!
//! Nothing is served as HTML or as a script. Whatever the type, the browser is told not to guess another one and to run
//! nothing that is in it: no script, no form, no other address, and no origin of ours.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// A browser may show the file and nothing else: an origin of its own, nothing loaded, nothing run.
const POLICY: &str = "sandbox; default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Endings of what people read as text.
const TEXT: [&str; 22] = [
    "c", "cfg", "cpp", "css", "csv", "h", "htm", "html", "ini", "jinja", "js", "jsonl", "log",
    "md", "py", "rs", "sh", "toml", "tsv", "txt", "yaml", "yml",
];
/// Names without an ending that people read as text.
const TEXT_NAMES: [&str; 4] = [".gitattributes", ".gitignore", "LICENSE", "NOTICE"];
/// Endings of pictures and sounds, which cards show.
const SHOWN: [(&str, &str); 11] = [
    ("avif", "image/avif"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
];

/// The media type under which a file of this name is served.
pub fn media_type(path: &str) -> &'static str {
    let name = file_name(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let ending = ending.to_ascii_lowercase();
    if ending == "json" {
        return "application/json";
    }
    if TEXT.contains(&ending.as_str()) || TEXT_NAMES.contains(&name) {
        return "text/plain; charset=utf-8";
    }
    let shown = SHOWN.iter().find(|(known, _)| *known == ending);
    shown.map_or("application/octet-stream", |(_, media)| media)
}

/// Labels an answer that carries the file of this path; `attached` where a browser is to save it.
pub fn label(headers: &mut HeaderMap, path: &str, attached: bool) {
    let media = media_type(path);
    let attached = attached || media == "application/octet-stream";
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    if let Ok(value) = HeaderValue::from_str(&disposition(file_name(path), attached)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    shield(headers);
}

/// Tells a browser to run nothing that is in the answer.
pub fn shield(headers: &mut HeaderMap) {
    const SHIELDS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in SHIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The name for old clients in ASCII, and for others in UTF-8 (RFC 6266).
fn disposition(name: &str, attached: bool) -> String {
    let how = if attached { "attachment" } else { "inline" };
    let mut plain = String::new();
    let mut full = String::new();
    for character in name.chars() {
        let is_plain = character.is_ascii_graphic() && !"\"\\%".contains(character);
        plain.push(if is_plain { character } else { '_' });
        if character.is_ascii_alphanumeric() || "-._".contains(character) {
            full.push(character);
        } else {
            let mut bytes = [0; 4];
            let bytes = character.encode_utf8(&mut bytes).bytes();
            full.extend(bytes.map(|byte| format!("%{byte:02X}")));
        }
    }
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{full}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_served_as_what_a_browser_runs() {
        for path in [
            "x.html", "a/x.HTM", "x.js", "x.css", "x.xhtml", "x.xml", "x.pdf", "x.swf", "html",
        ] {
            let media = media_type(path);
            assert!(
                media.starts_with("text/plain") || media == "application/octet-stream",
                "{path}: {media}"
            );
        }
        for path in ["x.html", "x.svg", "model.safetensors"] {
            let mut headers = HeaderMap::new();
            label(&mut headers, path, false);
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("sandbox; default-src 'none'"));
            assert!(!policy.contains("allow-scripts"));
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        let label = disposition("a\"; x=\r\nSet-Cookie: \\é%.bin", true);
        assert_eq!(
            label,
            "attachment; filename=\"a_;_x=__Set-Cookie:____.bin\"; \
             filename*=UTF-8''a%22%3B%20x%3D%0D%0ASet-Cookie%3A%20%5C%C3%A9%25.bin"
        );
        assert!(HeaderValue::from_str(&label).is_ok());
        assert!(disposition("config.json", false).starts_with("inline; filename=\"config.json\""));
    }
}
