//! Small files of roles: configuration as TOML, keys and genesis as JSON.

use crate::Error;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Largest configuration, key or genesis file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Its owner only: it holds a secret.
    Owner,
}

/// Reads a text file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let file = fs::File::open(path).map_err(|error| Error::config(path, error))?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| Error::config(path, error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::config(
            path,
            format!("it has more than {MAX_FILE_BYTES} bytes"),
        ));
    }
    Ok(text)
}

/// Reads a JSON file.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_str(&read_text(path)?).map_err(|error| Error::config(path, error))
}

/// Reads a TOML file.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    toml::from_str(&read_text(path)?).map_err(|error| Error::config(path, error.message()))
}

/// Writes a JSON file in one step: after a crash it is there whole or not at all.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn write_json(path: &Path, value: &impl Serialize, access: Access) -> Result<(), Error> {
    let mut text =
        serde_json::to_string_pretty(value).map_err(|error| Error::config(path, error))?;
    text.push('\n');
    write_text(path, &text, access)
}

/// Writes a TOML file in one step.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn write_toml(path: &Path, value: &impl Serialize, access: Access) -> Result<(), Error> {
    let text = toml::to_string(value).map_err(|error| Error::config(path, error))?;
    write_text(path, &text, access)
}

/// Writes a text file in one step, with its folder if that is missing.
///
/// # Errors
/// [`Error::Config`] naming the file.
pub fn write_text(path: &Path, text: &str, access: Access) -> Result<(), Error> {
    replace(path, text.as_bytes(), access).map_err(|error| Error::config(path, error))
}

fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mode = if access == Access::Owner {
        0o600
    } else {
        0o644
    };
    // What was left of an earlier attempt, or laid there by somebody, would keep its own mode.
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // Without it a crash of the machine could bring the old file back.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_read_and_secrets_are_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/key.json");
        write_json(&path, &vec![1, 2], Access::Owner).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), [1, 2]);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    #[test]
    fn missing_damaged_and_huge_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let refused = |path: &Path| read_json::<Vec<u8>>(path).unwrap_err().to_string();
        assert!(refused(&path).contains("x.json"));
        fs::write(&path, "[1,").unwrap();
        assert!(refused(&path).contains("x.json"));
        fs::write(&path, vec![b' '; MAX_FILE_BYTES as usize + 1]).unwrap();
        assert!(refused(&path).contains("more than"));
    }
}
