//! Where fuzzing enters: any bytes may come as a setting's text and its signature, as a proof has both. Nothing may panic, what is read
//! is written back as the same text, and who is no owner signs nothing. Used by the target beside it and, on stored and changed
//! inputs, by `tests/texts.rs`.

use orebook_chain::address::Network;
use orebook_chain::signed::verify;
use orebook_desk::setting::{ProofError, TEXT_BYTES_MAX, Wanted, check};
use orebook_schema::account::SetBy;

/// Networks whose accounts differ: scripts and addresses of 20 bytes.
const NETWORKS: [Network; 2] = [Network::Bitcoin, Network::EthereumClassic];

/// What becomes of it on the first network that reads its text: none if no network does.
pub(crate) fn fuzz_setting(data: &[u8]) -> Option<Result<(), ProofError>> {
    let proof = str::from_utf8(data).ok()?;
    let (text, signature) = proof.rsplit_once("\nsignature ").unwrap_or((proof, ""));
    let mut judged = None;
    for network in NETWORKS {
        let Ok(wanted) = Wanted::read(text, network) else {
            continue;
        };
        assert!(
            text.len() <= TEXT_BYTES_MAX,
            "a longer one is not looked at"
        );
        assert!(wanted.text(network) == text, "there is one spelling");
        let holds = verify(&wanted.account, network, text, signature).is_ok();
        let ledger = wanted.ledger;
        let setting = wanted.setting(SetBy::Signed, data.to_vec());
        let checked = check(&setting, ledger, network);
        assert!(checked.is_ok() <= holds, "a proof is a signature");
        judged.get_or_insert(checked);
    }
    judged
}
