//! Properties of canonical bytes and units, over random values. Seeds are fixed and printed; nothing is persisted.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "properties/activity.rs"]
mod activity;
#[path = "../fuzz/entry.rs"]
mod entry;
#[path = "properties/payout.rs"]
mod payout;
#[path = "properties/strategies.rs"]
mod strategies;
#[path = "properties/units.rs"]
mod units;

use std::fmt::Debug;

use entry::{fuzz_batch_body, fuzz_coinbase, fuzz_event, fuzz_frame, fuzz_summary};
use orebook_schema::bytes::{DecodeError, Reader, Write};
use orebook_schema::event::RawEvent;
use orebook_schema::frame::IncarnationOpened;
use orebook_schema::payout::BatchBody;
use orebook_schema::summary::Summary;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{Account, Event, Frame, HEADER_BYTES, Header, Kind, LedgerId, StreamId};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use strategies::{Mutation, mutate, mutations};

/// Runs a property on `cases` values; the seed is printed, and named in a failure.
fn check<S: Strategy>(name: &str, cases: u32, strategy: S, property: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let seed: [u8; 32] = std::array::from_fn(|at| name.as_bytes()[at % name.len()]);
    println!("{name}: {cases} cases, seed {}", hex(&seed));
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let ran = TestRunner::new_with_rng(config, rng).run(&strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{name}: seed {}: {error}", hex(&seed));
    }
}

#[test]
fn events_of_every_kind_come_back_from_their_bytes() {
    for kind in Kind::ALL {
        let values = (strategies::event(*kind), any::<u32>());
        check(kind.name(), 300, values, |(event, dt)| {
            let bytes = event.to_bytes(dt);
            let raw = RawEvent::one(&bytes).unwrap();
            assert_eq!((raw.kind, raw.version, raw.dt), (*kind as u8, 0, dt));
            assert_eq!(raw.decode().unwrap(), event);
            assert!(event.is_legal() && fuzz_event(&bytes));
        });
    }
}

#[test]
fn changed_events_are_refused_or_canonical() {
    for kind in Kind::ALL {
        let name = format!("changed {}", kind.name());
        let values = (strategies::event(*kind), mutations());
        check(&name, 1_500, values, |(event, mutations)| {
            fuzz_event(&mutate(event.to_bytes(77), &mutations));
        });
    }
}

#[test]
fn random_bytes_are_refused_or_canonical() {
    check("random bytes", 20_000, vec(any::<u8>(), 0..400), |bytes| {
        fuzz_event(&bytes);
        fuzz_frame(&bytes);
        fuzz_summary(&bytes);
        fuzz_coinbase(&bytes);
        if let Ok(opened) = IncarnationOpened::read(&bytes) {
            assert_eq!(opened.to_bytes(), bytes);
        }
    });
}

#[test]
fn random_fields_under_a_right_head_are_refused_or_canonical() {
    let decoded = std::cell::Cell::new(0_u32);
    for kind in Kind::ALL {
        let name = format!("fields of {}", kind.name());
        let byte = prop_oneof![4 => Just(0), 2 => Just(1), 1 => any::<u8>()];
        check(&name, 2_000, vec(byte, 0..120), |fields| {
            let mut bytes = vec![*kind as u8, 0, 0, 0, 1, 2, 3, 4];
            bytes.extend(fields);
            let bytes = mutate(bytes, &[Mutation::MendLength]);
            decoded.set(decoded.get() + u32::from(fuzz_event(&bytes)));
        });
    }
    assert!(100 < decoded.get(), "{} decoded: too few", decoded.get());
}

#[test]
fn headers_come_back_from_their_bytes_and_changed_ones_are_refused_or_canonical() {
    check(
        "headers",
        1_000,
        (strategies::header(), mutations()),
        |(header, mutations)| {
            let bytes = header.to_bytes();
            assert_eq!(Header::read(&bytes).unwrap(), header);
            let next = header.first_seq + u64::from(header.count);
            assert_eq!(header.next_seq(), next);
            let changed = mutate(bytes.to_vec(), &mutations);
            if let Ok(changed) = <[u8; HEADER_BYTES]>::try_from(changed)
                && let Ok(read) = Header::read(&changed)
            {
                assert_eq!(read.to_bytes(), changed);
            }
        },
    );
}

#[test]
fn frames_come_apart_as_they_were_joined() {
    let kind = proptest::sample::select(Kind::ALL);
    let events = vec(kind.prop_flat_map(strategies::event), 1..5);
    let values = (
        strategies::header(),
        strategies::summary(),
        events,
        mutations(),
    );
    check(
        "frames",
        1_000,
        values,
        |(mut header, summary, events, mutations)| {
            let body: Vec<u8> = events.iter().flat_map(|event| event.to_bytes(5)).collect();
            if 49_152 < body.len() {
                return;
            }
            let summary = summary.to_bytes();
            header.body_len = u32::try_from(body.len()).unwrap();
            header.summary_len = u32::try_from(summary.len()).unwrap();
            let frame = Frame::join(&header, &summary, &body).unwrap();
            assert_eq!(
                (frame.header(), frame.summary(), frame.body()),
                (&header, &summary[..], &body[..])
            );
            assert_eq!(frame.decode().unwrap(), events);
            assert!(fuzz_frame(frame.bytes()));
            fuzz_frame(&mutate(frame.bytes().to_vec(), &mutations));
        },
    );
}

#[test]
fn frames_of_another_length_than_their_header_says_are_refused() {
    check(
        "frame lengths",
        200,
        (strategies::header(), -3..=3_i64),
        |(mut header, off)| {
            header.body_len = 16;
            header.summary_len = 1;
            let rest = usize::try_from(17 + off).unwrap();
            let bytes = [header.to_bytes().to_vec(), vec![0; rest]].concat();
            assert_eq!(Frame::read(bytes).is_ok(), off == 0);
        },
    );
}

#[test]
fn summaries_come_back_from_their_bytes_and_changed_ones_are_refused_or_canonical() {
    let values = (strategies::summary(), mutations());
    check("summaries", 3_000, values, |(summary, mutations)| {
        let bytes = summary.to_bytes();
        assert_eq!(Summary::read(&bytes).unwrap(), summary);
        assert!(fuzz_summary(&bytes));
        fuzz_summary(&mutate(bytes, &mutations));
    });
}

#[test]
fn batch_bodies_come_back_from_their_bytes_and_changed_ones_are_refused_or_canonical() {
    let values = (payout::batch_body(), mutations());
    check("batch bodies", 2_000, values, |(body, mutations)| {
        let bytes = body.to_bytes();
        assert_eq!(BatchBody::read(&bytes).unwrap(), body);
        assert!(fuzz_batch_body(&bytes));
        fuzz_batch_body(&mutate(bytes, &mutations));
    });
}

#[test]
fn summaries_with_rows_out_of_turn_or_empty_are_refused() {
    let legal = |text: &str| Summary::read(&unhex(text).unwrap());
    assert!(legal("0105000107 01 09".replace(' ', "").as_str()).is_ok());
    let refused = [
        ("", "nothing"),
        ("8000", "a varint that is too long"),
        ("01", "a pot that is missing"),
        ("01050000", "a pot without rows"),
        ("0105000107 00 09", "a row without shares"),
        ("0205000107 01 09 00 00 01 07 01 09", "the same pot twice"),
        ("0105000207 01 09 00 01 09", "the same worker twice"),
        ("0105000107 01 09 00", "a byte after the end"),
        ("01808004 0001070109", "a pot above 65,535"),
        ("010500018080808010 01 09", "a worker above 2^32 - 1"),
        ("010500010780808080 10 09", "a count above 2^32 - 1"),
        (
            "02ffff03000107010901000107 0109",
            "a pot that passes 65,535",
        ),
    ];
    for (text, why) in refused {
        assert!(legal(&text.replace(' ', "")).is_err(), "{why}");
    }
    assert!(Summary::read(&vec![0; 49_153]).is_err());
}

fn varint(bytes: &[u8]) -> Result<(u128, usize), DecodeError> {
    let mut reader = Reader::new(bytes, "varint");
    let value = reader.varint()?;
    Ok((value, bytes.len() - reader.rest().len()))
}

#[test]
fn varints_are_the_known_ones() {
    let most = format!("{}03", "ff".repeat(18));
    let known = [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (u128::from(u64::MAX), "ffffffffffffffffff01"),
        (u128::MAX, most.as_str()),
    ];
    for (value, text) in known {
        let mut out = Vec::new();
        out.put_varint(value);
        assert_eq!(hex(&out), text);
        assert_eq!(varint(&out), Ok((value, text.len() / 2)));
    }
    let refused = [
        "8000".to_owned(),
        "ff00".to_owned(),
        format!("{}04", "ff".repeat(18)),
        format!("{}83", "ff".repeat(18)),
        format!("{}8300", "ff".repeat(18)),
        format!("{}00", "80".repeat(18)),
    ];
    for text in refused {
        let read = varint(&unhex(&text).unwrap());
        assert_eq!(read, Err(DecodeError::Value("varint")), "{text}");
    }
    let short = Err(DecodeError::Short("varint"));
    assert_eq!(varint(&[0x80]), short);
    assert_eq!(varint(&[]), short);
}

#[test]
fn varints_come_back_and_have_one_spelling() {
    check("varints", 20_000, strategies::edge_u128(), |value| {
        let mut out = Vec::new();
        out.put_varint(value);
        let bits = usize::try_from(128 - value.leading_zeros()).unwrap();
        assert_eq!(out.len(), bits.div_ceil(7).max(1));
        assert_eq!(varint(&out), Ok((value, out.len())));
    });
    let high_bits = vec(any::<u8>().prop_map(|byte| byte | 0x80), 0..20);
    let values = (high_bits, any::<u8>());
    check("varint bytes", 20_000, values, |(mut bytes, last)| {
        bytes.push(last);
        if let Ok((value, len)) = varint(&bytes) {
            let mut out = Vec::new();
            out.put_varint(value);
            assert_eq!(out, bytes[..len]);
        }
    });
}

#[test]
fn incarnations_come_back_and_changed_ones_are_refused_or_canonical() {
    let values = (strategies::incarnation(), mutations());
    check("incarnations", 2_000, values, |(opened, mutations)| {
        let bytes = opened.to_bytes();
        assert_eq!(IncarnationOpened::read(&bytes), Ok(opened));
        let changed = mutate(bytes, &mutations);
        if let Ok(read) = IncarnationOpened::read(&changed) {
            assert_eq!(read.to_bytes(), changed);
        }
    });
}

#[test]
fn shown_names_are_read_back() {
    let values = (
        strategies::account(),
        any::<[u8; 16]>(),
        vec(any::<u8>(), 0..40),
    );
    check("names", 2_000, values, |(account, uuid, bytes)| {
        assert_eq!(
            Account::parse(&account.to_string()).as_ref(),
            Some(&account)
        );
        let (ledger, stream) = (LedgerId(uuid), StreamId(uuid));
        assert_eq!(LedgerId::parse(&ledger.to_string()), Some(ledger));
        assert_eq!(StreamId::parse(&stream.to_string()), Some(stream));
        assert_eq!(unhex(&hex(&bytes)), Some(bytes.clone()));
        assert_eq!(unhex(&hex(&bytes).to_uppercase()), Some(bytes));
    });
}

#[test]
fn every_number_that_is_no_kind_is_unknown_and_so_is_every_other_version() {
    for byte in 0..=u8::MAX {
        let bytes = [byte, 0, 8, 0, 0, 0, 0, 0];
        let unknown = Err(DecodeError::UnknownKind {
            kind: byte,
            version: 0,
        });
        let decoded = RawEvent::one(&bytes).unwrap().decode();
        let known = Kind::from_byte(byte).is_some();
        assert_eq!(decoded != unknown, known, "kind {byte}");
    }
    for kind in Kind::ALL {
        for version in 1..=u8::MAX {
            let bytes = [*kind as u8, version, 8, 0, 0, 0, 0, 0];
            let kind = *kind as u8;
            let unknown = DecodeError::UnknownKind { kind, version };
            let decoded: Result<Event, _> = RawEvent::one(&bytes).unwrap().decode();
            assert_eq!(decoded, Err(unknown));
        }
    }
}
