//! Secret keys in files: 64 hex digits, readable by their owner only. Never shown, logged or put into an event.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use orebook_ledger::sign::Signer;
use orebook_schema::units::hex;

use crate::Failure;

/// Makes a new key and writes it to a file that must not exist.
pub(crate) fn create(path: &Path) -> Result<Signer, Failure> {
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
    Ok(Signer::from_seed(&seed))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_readable_by_its_owner_only_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.key");
        let made = create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let seed = orebook_schema::units::unhex(fs::read_to_string(&path).unwrap().trim()).unwrap();
        assert_eq!(
            Signer::from_seed(&seed.try_into().unwrap()).key(),
            made.key()
        );
        assert!(create(&path).is_err(), "a key is never overwritten");
    }
}
