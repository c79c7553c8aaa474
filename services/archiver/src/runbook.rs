//! Which page an operator opens, by why a reader does not go on.

use orebook_ledger::admit::AdmitError;
use orebook_ledger::log::LogError;
use orebook_ledger::reader::ReadError;

/// The runbook of a reader's error, as its path in the repository.
pub(crate) const fn runbook(error: &ReadError) -> &'static str {
    match error {
        ReadError::Log(LogError::Gone(_)) => "docs/runbooks/topic-recreated.md",
        ReadError::Log(LogError::Trimmed { .. })
        | ReadError::Behind { .. }
        | ReadError::Missing { .. } => "docs/runbooks/topic-trimmed.md",
        ReadError::Log(_) | ReadError::Unopened => "docs/runbooks/broker-lost.md",
        ReadError::Dead { .. } => "docs/runbooks/log-lost-final-positions.md",
        ReadError::Admit(AdmitError::UnknownKind { .. }) => "docs/runbooks/upgrade-order.md",
        ReadError::Store(error) if error.is_full() => "docs/runbooks/spool-full.md",
        ReadError::Store(_) | ReadError::Admit(_) => "docs/runbooks/segment-damaged.md",
    }
}

#[cfg(test)]
mod tests {
    use orebook_ledger::disk::DiskError;
    use orebook_ledger::segment::StoreError;

    use super::*;

    #[test]
    fn each_cause_has_its_page() {
        let path = String::new;
        for (error, page) in [
            (
                ReadError::Log(LogError::Unavailable("no broker".to_owned())),
                "broker-lost",
            ),
            (ReadError::Log(LogError::Gone(1)), "topic-recreated"),
            (
                ReadError::Log(LogError::Trimmed {
                    offset: 1,
                    first: 9,
                }),
                "topic-trimmed",
            ),
            (
                ReadError::Dead {
                    incarnation: 0,
                    position: 7,
                    what: "the log ends before it",
                },
                "log-lost-final-positions",
            ),
            (
                ReadError::Admit(AdmitError::UnknownKind {
                    kind: 200,
                    version: 1,
                }),
                "upgrade-order",
            ),
            (
                ReadError::Store(StoreError::Disk(DiskError::Full { path: path() })),
                "spool-full",
            ),
            (
                ReadError::Store(StoreError::Damaged {
                    file: path(),
                    offset: 0,
                    position: 0,
                    what: path(),
                }),
                "segment-damaged",
            ),
        ] {
            let wanted = format!("docs/runbooks/{page}.md");
            assert_eq!(runbook(&error), wanted, "{error}");
        }
    }
}
