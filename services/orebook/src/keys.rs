//! Secret keys and tokens in files: 64 hex digits, readable by their owner only. Never shown, logged or put into an event.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use orebook_ledger::sign::Signer;
use orebook_schema::units::{hex, unhex};

use crate::Failure;

/// Makes a new key and writes it to a file that must not exist.
pub(crate) fn create(path: &Path) -> Result<Signer, Failure> {
    secret(path).map(|seed| Signer::from_seed(&seed))
}

/// Makes an account's token, 32 random bytes, and writes it to a file that must not exist.
pub(crate) fn create_token(path: &Path) -> Result<[u8; 32], Failure> {
    secret(path)
}

/// Makes the key of a wallet on the development chain, 32 random bytes, and writes it to a file that must not exist.
pub(crate) fn create_wallet(path: &Path) -> Result<(), Failure> {
    // Of all numbers of 32 bytes one in 2^127 is no key.
    secret(path).map(|_| ())
}

fn secret(path: &Path) -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let shown = path.display();
    let refused = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    file.write_all(format!("{}\n", hex(&seed)).as_bytes())
        .map_err(refused)?;
    file.sync_all().map_err(refused)?;
    Ok(seed)
}

/// Reads a key from a file that nobody but its owner may read.
pub(crate) fn read(path: &Path) -> Result<Signer, Failure> {
    secret_of(path, "key").map(|seed| Signer::from_seed(&seed))
}

/// Reads an account's token, likewise: its 64 hex digits.
pub(crate) fn read_token(path: &Path) -> Result<String, Failure> {
    secret_of(path, "token").map(|token| hex(&token))
}

fn secret_of(path: &Path, what: &str) -> Result<[u8; 32], Failure> {
    let shown = path.display();
    let refused = |error: std::io::Error| Failure::new(format!("{shown}: {error}"));
    let mode = fs::metadata(path).map_err(refused)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!(
            "{shown}: others may read this {what} (mode {:o})",
            mode & 0o777
        ))
        .hint(format!(
            "chmod 600 {shown}, and consider whether it is secret still"
        )));
    }
    let text = fs::read_to_string(path).map_err(refused)?;
    let seed = unhex(text.trim()).and_then(|seed| seed.try_into().ok());
    seed.ok_or_else(|| Failure::new(format!("{shown}: a {what} is 64 hex digits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_unless_others_may_read_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap().key(), made.key());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let said = read(&path).unwrap_err().to_string();
        assert!(
            said.contains("others may read this key (mode 640)"),
            "{said}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        let said = read(&path).unwrap_err().to_string();
        assert!(
            said.contains("64 hex digits") && !said.contains("no key"),
            "{said}"
        );
    }

    #[test]
    fn a_key_is_readable_by_its_owner_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.key");
        let made = create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let seed = unhex(fs::read_to_string(&path).unwrap().trim()).unwrap();
        assert_eq!(
            Signer::from_seed(&seed.try_into().unwrap()).key(),
            made.key()
        );
        assert!(create(&path).is_err(), "a key is never overwritten");
    }
}
