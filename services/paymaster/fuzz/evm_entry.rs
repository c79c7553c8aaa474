//! Where fuzzing of raw transactions enters. Nothing may panic, and what is taken is the one spelling of what was read. Used by
//! the target beside it and by `services/paymaster/tests/evm.rs`.

use orebook_paymaster::evm::rlp::RlpError;
use orebook_paymaster::evm::{Tx, TxError};

/// Reads a raw transaction: `taken`, or the cause of its refusal in a word.
pub(crate) fn fuzz_raw(data: &[u8]) -> &'static str {
    let signed = match Tx::read(data) {
        Ok(signed) => signed,
        Err(TxError::Type) => return "type",
        Err(TxError::Rlp(RlpError::TooLong)) => return "long",
        Err(TxError::Rlp(RlpError::End)) => return "end",
        Err(TxError::Rlp(RlpError::Kind)) => return "kind",
        Err(TxError::Rlp(RlpError::Spelling)) => return "spelling",
        Err(TxError::Rlp(RlpError::Size)) => return "size",
        Err(TxError::Rlp(RlpError::Trailing)) => return "trailing",
        Err(TxError::Chain) => return "chain",
        Err(TxError::Payload) => return "payload",
        Err(TxError::Fees) => return "fees",
        Err(TxError::Signature) => return "signature",
    };
    assert_eq!(
        signed.tx.raw(&signed.proof),
        data,
        "there is one spelling of a transaction"
    );
    assert_eq!(
        signed.proof.signer(&signed.tx.digest()),
        Some(signed.sender),
        "its sender signed it"
    );
    "taken"
}
