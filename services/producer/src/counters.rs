//! Counters of a running producer, for `/metrics`: each has a name, and the page shows them all.

/// Makes `Counters`, which a producer counts in and others read while it runs, and `Metrics`, the same at one moment. Says
/// `$who` in their documentation.
#[macro_export]
macro_rules! counters {
    ($who:literal: $($(#[$doc:meta])* $name:ident),* $(,)?) => {
        #[doc = concat!("Counters of a running ", $who, ".")]
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub(crate) $name: ::std::sync::atomic::AtomicU64,)*
        }

        /// Counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Counters now.
            #[must_use]
            pub fn read(&self) -> Metrics {
                let at = ::std::sync::atomic::Ordering::Relaxed;
                Metrics { $($name: self.$name.load(at),)* }
            }

            pub(crate) fn add(counter: &::std::sync::atomic::AtomicU64, count: u64) {
                counter.fetch_add(count, ::std::sync::atomic::Ordering::Relaxed);
            }

            pub(crate) fn set(counter: &::std::sync::atomic::AtomicU64, value: u64) {
                counter.store(value, ::std::sync::atomic::Ordering::Relaxed);
            }
        }

        impl Metrics {
            /// Names and values, for a page of metrics.
            #[must_use]
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}
