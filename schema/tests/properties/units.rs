//! Work, targets and shown difficulties, against `tests/vectors/` and the figures of the money rules, section 1.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use orebook_schema::units::{U256, WorkUnit, hex, shown_difficulty, target_of_bits, unhex};
use orebook_schema::{Hash, Work};
use proptest::prelude::{Strategy, any};
use proptest::sample::select;

use crate::check;
use crate::strategies::{edge_u128, work};

const UNITS: [WorkUnit; 3] = [WorkUnit::Sha256d, WorkUnit::Scrypt, WorkUnit::Ethash];
/// Difficulty 1 in units of work of bitcoin-likes.
const ONE: u64 = 1 << 32;

type Object = BTreeMap<String, String>;

/// The objects of a list in one of our vector files, which have one `"key": value` a line.
fn objects(file: &str, list: &str) -> Vec<Object> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/vectors")
        .join(file);
    let text = fs::read_to_string(path).unwrap();
    let start = format!("\"{list}\": [");
    let lines = text
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != start);
    let mut objects = Vec::new();
    for line in lines.skip(1).take_while(|line| !line.starts_with(']')) {
        if line == "{" {
            objects.push(Object::new());
        } else if let Some((key, value)) = line.trim_end_matches(',').split_once(": ") {
            let plain = |text: &str| text.trim_matches('"').to_owned();
            let object = objects.last_mut().expect("a key stands in an object");
            object.insert(plain(key), plain(value));
        }
    }
    assert!(2 <= objects.len(), "{file}: too little in {list}");
    objects
}

fn u256(hex: &str) -> U256 {
    U256::from_str_radix(hex, 16).unwrap()
}

fn work_of(units: u64) -> Work {
    Work::new(units).unwrap()
}

fn assert_near(found: U256, expected: U256, parts: u64, what: &str) {
    let far = found.abs_diff(expected);
    assert!(
        far <= expected / U256::from(parts),
        "{what}: {found} is not near {expected}"
    );
}

#[test]
fn targets_of_bitcoin_likes_are_the_vectors() {
    for object in objects("difficulty.json", "bitcoin_style") {
        let difficulty = object["difficulty"].as_str();
        for (unit, name) in [
            (WorkUnit::Sha256d, "sha256d_target"),
            (WorkUnit::Scrypt, "scrypt_target"),
        ] {
            let target = Work::from_difficulty(difficulty, unit)
                .unwrap()
                .target(unit);
            let expected = u256(&object[name]);
            match difficulty {
                // No whole number of units: the work is rounded.
                "0.001" => assert_near(target, expected, 8_000_000, difficulty),
                // The vector was made with doubles, as its note says.
                "1000000.0" => assert_near(target, expected, 1 << 51, difficulty),
                _ => assert_eq!(target, expected, "{difficulty} {name}"),
            }
        }
    }
}

#[test]
fn targets_of_ethash_likes_are_the_vectors() {
    for object in objects("difficulty.json", "ethash_plain") {
        let hashes = object["difficulty_hashes"].as_str();
        let work = Work::from_difficulty(hashes, WorkUnit::Ethash).unwrap();
        assert_eq!(work.units().to_string(), hashes);
        assert_eq!(
            work.target(WorkUnit::Ethash),
            u256(&object["target"]),
            "{hashes}"
        );
    }
    for object in objects("difficulty.json", "ethereumstratum_1_0_0") {
        let target = u256(&object["target"]);
        let hashes = object["hashes_expected"]
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(WorkUnit::Ethash.network_work(target).to_string(), hashes);
        let difficulty = object["nicehash_difficulty"].as_str();
        let work = Work::from_difficulty(difficulty, WorkUnit::Sha256d).unwrap();
        assert_near(work.target(WorkUnit::Sha256d), target, 400_000, difficulty);
    }
}

/// A network work that is difficulty × 2^32, to the digits that a double has.
fn assert_is_difficulty(work: u128, difficulty: &str, factor: f64) {
    let difficulty: f64 = difficulty.parse().unwrap();
    let expected = difficulty * factor * 4_294_967_296.0;
    #[expect(clippy::cast_precision_loss, reason = "compared to 12 digits")]
    let far = (work as f64 - expected).abs();
    assert!(far <= 1.0 + expected / 1e12, "{work} is not {expected}");
}

#[test]
fn compact_bits_and_network_work_are_the_vectors() {
    for object in objects("difficulty.json", "compact_bits") {
        let target = target_of_bits(bits(&object["nbits"])).unwrap();
        assert_eq!(target, u256(&object["target"]));
        let work = WorkUnit::Sha256d.network_work(target);
        assert_is_difficulty(work, &object["bdiff"], 1.0);
    }
}

fn bits(hex: &str) -> u32 {
    u32::from_str_radix(hex, 16).unwrap()
}

#[test]
fn real_headers_meet_their_targets() {
    let mut met = 0;
    for object in objects("headers_pow.json", "cases") {
        let name = object["name"].as_str();
        let header = unhex(&object["header"]).unwrap();
        let mut hash = unhex(&object["pow_hash_display"]).unwrap();
        if object["algo"] == "sha256d" {
            let mut twice = Hash::of(&[&Hash::of(&[&header]).0]).0;
            twice.reverse();
            assert_eq!(hex(&twice), hex(&hash), "{name}");
        }
        let Some(nbits) = object.get("nbits") else {
            continue;
        };
        assert_eq!(header[72..76], bits(nbits).to_le_bytes(), "{name}");
        let target = target_of_bits(bits(nbits)).unwrap();
        assert_eq!(target, u256(&object["target"]), "{name}");
        let number = U256::from_be_slice(&hash);
        assert!(number <= target, "{name} meets its target");
        let (unit, factor) = match object["algo"].as_str() {
            "sha256d" => (WorkUnit::Sha256d, 1.0),
            _ => (WorkUnit::Scrypt, 65_536.0),
        };
        assert_is_difficulty(unit.network_work(target), &object["difficulty"], factor);
        let reached = unit.network_work(number);
        assert_is_difficulty(reached, &object["hash_difficulty_pool_units"], 1.0);
        hash.clear();
        met += 1;
    }
    assert_eq!(met, 3);
}

#[test]
fn known_network_works_come_out_of_known_bits() {
    let known = [
        (0x1d00_ffff, WorkUnit::Sha256d, 1 << 32),
        (0x207f_ffff, WorkUnit::Sha256d, 1),
        (0x1e0f_fff0, WorkUnit::Scrypt, 1 << 36),
        // floor(0xffff · 2^240 / (0x0404cb · 2^192)), by hand: 65,535 · 2^48 / 263,371.
        (0x1b04_04cb, WorkUnit::Sha256d, 70_039_839_613_066),
        (0x1f00_ffff, WorkUnit::Scrypt, 1 << 32),
        // floor(2^256 / 2^224).
        (0x1d01_0000, WorkUnit::Ethash, 1 << 32),
        // A target of 1: above 128 bits, saturated.
        (0x0300_0001, WorkUnit::Sha256d, u128::MAX),
    ];
    for (bits, unit, work) in known {
        let target = target_of_bits(bits).unwrap();
        assert_eq!(unit.network_work(target), work, "{bits:#010x}");
    }
    for unit in UNITS {
        assert_eq!(unit.network_work(U256::ZERO), u128::MAX);
        assert!(1 <= unit.network_work(U256::MAX));
    }
    assert_eq!(WorkUnit::Ethash.network_work(U256::MAX), 1);
    assert_eq!(WorkUnit::Sha256d.network_work(U256::MAX), 1);
    assert_eq!(WorkUnit::Scrypt.network_work(U256::MAX), 65_535);
}

/// Compact bits as the page of a node's programmer has them: the mantissa's three bytes end at byte `size`.
fn reference_target(bits: u32) -> Option<U256> {
    let [low, middle, high, size] = bits.to_le_bytes();
    let mut bytes = [0_u8; 32];
    for (place, byte) in [(3, low), (2, middle), (1, high & 0x7f)] {
        let Some(at) = usize::from(size).checked_sub(place) else {
            continue;
        };
        match bytes.get_mut(at) {
            Some(to) => *to = byte,
            None if byte == 0 => {}
            None => return None,
        }
    }
    let target = U256::from_le_bytes(bytes);
    (high & 0x80 == 0 && target != U256::ZERO).then_some(target)
}

#[test]
fn targets_of_bits_are_those_of_a_reference() {
    for size in 0..=u32::from(u8::MAX) {
        for mantissa in [
            0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0x7f_ffff, 0x80_0000, 0xff_ffff,
        ] {
            let bits = size << 24 | mantissa;
            assert_eq!(target_of_bits(bits), reference_target(bits), "{bits:#010x}");
        }
    }
    check(
        "bits",
        50_000,
        (any::<u32>(), 0..40_u32),
        |(mantissa, size)| {
            let bits = size << 24 | mantissa & 0xff_ffff;
            assert_eq!(target_of_bits(bits), reference_target(bits), "{bits:#010x}");
        },
    );
}

#[test]
fn targets_fall_as_work_rises() {
    check(
        "monotone",
        20_000,
        (work(), work(), select(&UNITS)),
        |(a, b, unit)| {
            let (easy, hard) = (a.min(b), a.max(b));
            assert!(hard.target(unit) <= easy.target(unit));
            assert!(U256::ZERO < hard.target(unit));
            let of = |work: Work| unit.network_work(work.target(unit));
            assert!(of(easy) <= of(hard));
        },
    );
}

#[test]
fn network_work_of_a_work_s_target_is_that_work() {
    check(
        "there and back",
        20_000,
        (work(), select(&UNITS)),
        |(work, unit)| {
            let back = unit.network_work(work.target(unit));
            let units = u128::from(work.units());
            match unit {
                // The easiest targets are cut at 2^256 - 1.
                WorkUnit::Scrypt if units <= 65_535 => assert_eq!(back, 65_535),
                WorkUnit::Sha256d | WorkUnit::Scrypt | WorkUnit::Ethash => assert_eq!(back, units),
            }
        },
    );
    assert_eq!(work_of(1).target(WorkUnit::Ethash), U256::MAX);
    assert_eq!(work_of(1).target(WorkUnit::Scrypt), U256::MAX);
    assert_eq!(
        work_of(1).target(WorkUnit::Sha256d),
        U256::from(0xffff) << 240
    );
    assert_eq!(work_of(65_535).target(WorkUnit::Scrypt), U256::MAX);
    assert_eq!(
        work_of(ONE).target(WorkUnit::Sha256d),
        U256::from(0xffff) << 208
    );
}

#[test]
fn work_is_from_one_to_below_two_to_the_63() {
    assert_eq!(Work::MAX, 9_223_372_036_854_775_807);
    for (units, legal) in [
        (0, false),
        (1, true),
        (Work::MAX, true),
        (Work::MAX + 1, false),
        (u64::MAX, false),
    ] {
        assert_eq!(Work::new(units).map(Work::units), legal.then_some(units));
    }
    let sha = |text| Work::from_difficulty(text, WorkUnit::Sha256d).map(Work::units);
    let ethash = |text| Work::from_difficulty(text, WorkUnit::Ethash).map(Work::units);
    // Half a unit of difficulty is 2^-33 = 0.000000000116415321826934814453125.
    assert_eq!(sha("0.0000000001"), None);
    assert_eq!(sha("0.00000000012"), Some(1));
    assert_eq!(sha("0"), None);
    assert_eq!(sha("2147483647"), Some(2_147_483_647 << 32));
    assert_eq!(sha("2147483648"), None);
    assert_eq!(sha("2147483647.9999999999"), None);
    assert_eq!(sha("2147483647.9999999997"), Some(Work::MAX));
    assert_eq!(sha("99999999999999999999999999999999999999"), None);
    assert_eq!(ethash("0.4"), None);
    assert_eq!(ethash("0.5"), Some(1));
    assert_eq!(ethash("9223372036854775807"), Some(Work::MAX));
    assert_eq!(ethash("9223372036854775808"), None);
    for text in [
        "", ".", "1e3", "-1", "+1", " 1", "1,000", "0x10", "1.2.3", "NaN", "1_000", "٣",
    ] {
        assert_eq!(sha(text), None, "{text:?}");
    }
    assert_eq!((sha("1."), sha(".5")), (Some(ONE), Some(ONE / 2)));
}

#[test]
fn work_of_a_decimal_is_rounded_halves_up() {
    let values = (any::<u32>(), 0..1_000_000_000_u64, select(&UNITS));
    check("decimals", 20_000, values, |(whole, billionths, unit)| {
        let exact = u128::from(whole) * 1_000_000_000 + u128::from(billionths);
        let units = (2 * exact * unit.scale() + 1_000_000_000) / 2_000_000_000;
        let text = format!("{whole}.{billionths:09}");
        let expected = u64::try_from(units).ok().and_then(Work::new);
        assert_eq!(Work::from_difficulty(&text, unit), expected, "{text}");
    });
}

#[test]
fn the_figures_of_the_money_rules_come_out() {
    let unit = WorkUnit::Sha256d;
    let small = Work::from_difficulty("0.003", unit).unwrap();
    assert_eq!(small.units(), 12_884_902);
    assert_eq!(small.shown(unit), "0.003");
    assert_eq!(
        shown_difficulty(1_000 * u128::from(small.units()), unit),
        "3"
    );
    let least = Work::from_difficulty("0.0001", unit).unwrap();
    assert_eq!(least.units(), 429_497);
    assert_eq!(least.shown(unit), "0.0001");
}

#[test]
fn shown_difficulties_are_half_even_and_never_zero_unless_zero() {
    let unit = WorkUnit::Sha256d;
    let known = [
        (0, "0"),
        (1, "0.0000000002"),
        (43, "0.00000001"),
        (2_147, "0.0000004"),
        (2_148, "0.000001"),
        (u128::from(ONE) / 128, "0.007812"),
        (3 * u128::from(ONE) / 128, "0.023438"),
        (u128::from(ONE) - 1, "1"),
        (u128::from(ONE), "1"),
        (u128::from(ONE) * 1_024, "1024"),
        (u128::from(ONE) * 3 / 2, "1.5"),
        (u128::MAX, "79228162514264337593543950336"),
    ];
    for (work, text) in known {
        assert_eq!(shown_difficulty(work, unit), text);
        assert_eq!(shown_difficulty(work, WorkUnit::Scrypt), text);
        assert_eq!(shown_difficulty(work, WorkUnit::Ethash), work.to_string());
    }
}

/// A shown difficulty in millionths, if it has no more digits.
fn millionths(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<6}");
    (fraction.len() <= 6).then(|| digits.parse().unwrap())
}

#[test]
fn shown_difficulties_are_the_nearest_millionths() {
    let below = |(value, bits): (u128, u32)| value >> bits;
    let any_work = (edge_u128(), 30..128_u32).prop_map(below);
    check(
        "shown",
        50_000,
        (any_work, select(&UNITS)),
        |(work, unit)| {
            let text = shown_difficulty(work, unit);
            let padded = text.ends_with('.') || text.contains('.') && text.ends_with('0');
            assert!(!padded, "{text}");
            let scale = unit.scale();
            let Some(shown) = millionths(&text) else {
                // Below half a millionth: the first digit that is not zero, cut.
                assert!(2 * work * 1_000_000 < scale, "{text}");
                let digits = u32::try_from(text.len() - 2).unwrap();
                let digit: u128 = text[text.len() - 1..].parse().unwrap();
                assert_eq!(work * 10_u128.pow(digits) / scale, digit);
                return;
            };
            assert_eq!(shown == 0, work == 0, "{text}");
            let far = 2 * (shown * scale).abs_diff(work * 1_000_000);
            assert!(
                far < scale || far == scale && shown.is_multiple_of(2),
                "{text}"
            );
        },
    );
}
