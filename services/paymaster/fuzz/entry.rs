//! Where fuzzing enters: any bytes may come as a transaction or as a block's transactions, nothing may panic, and what is read is
//! written back as the same bytes. Used by the target beside it and, on stored and changed inputs, by `tests/transactions.rs`.

use orebook_paymaster::bitcoin::tx::{Tx, TxError, each_transaction};

/// Reads bytes as a transaction, and as a block of one.
pub(crate) fn fuzz_tx(data: &[u8]) -> Result<Tx, TxError> {
    let read = Tx::read(data);
    if let Ok(tx) = &read {
        assert!(tx.bytes() == data, "there is one spelling");
        assert!(data.len() <= tx.weight(), "a byte weighs at least one");
        assert!(tx.weight() <= 4 * data.len(), "a byte weighs four at most");
        let bare = tx.unsigned();
        if !tx.ends_extension {
            assert!(
                Tx::read(&bare.bytes()).as_ref() == Ok(&bare),
                "what is signed is a transaction"
            );
        }
    }
    let block = [&[0; 80], [1].as_slice(), data].concat();
    let mut met = Vec::new();
    let whole = each_transaction(&block, |tx| {
        met.push(tx);
        true
    });
    // A block may have more bytes behind its transactions; a transaction may not.
    match &read {
        Ok(tx) => assert!(
            whole.is_ok() && met.as_slice() == [tx.clone()],
            "a block of it has it"
        ),
        Err(TxError::Trailing) => assert!(whole.is_ok() && met.len() == 1, "it begins as one"),
        Err(error) => assert!(
            whole == Err(*error) || matches!(error, TxError::TooLong { .. }),
            "both say why"
        ),
    }
    let _any = each_transaction(data, |_| true).is_ok();
    read
}
