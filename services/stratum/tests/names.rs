//! User names, passwords, difficulties, agents: what is taken and what is not.

#![allow(
    clippy::expect_used,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_schema::units::WorkUnit;
use orebook_stratum::{Agent, DifficultyText, PasswordOptions, UserName};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

#[test]
fn user_names_are_split_where_people_mean_it() {
    for (text, login, worker) in [
        ("addr", "addr", "default"),
        ("addr.", "addr", "default"),
        ("addr.rig1", "addr", "rig1"),
        ("addr.rig.1", "addr", "rig.1"),
        ("addr+rig1", "addr", "rig1"),
        ("addr/rig1", "addr", "rig1"),
        ("addr/1.5", "", ""),
        (
            "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh.S-19_a",
            "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh",
            "S-19_a",
        ),
        ("coin:addr.rig1", "coin:addr", "rig1"),
        ("name:alice.rig1", "name:alice", "rig1"),
        ("0xAbCd.rig", "0xAbCd", "rig"),
    ] {
        let name = UserName::parse(text);
        if login.is_empty() {
            assert_eq!(
                name, None,
                "{text}: a login has no slash, and the dot splits first"
            );
            continue;
        }
        let name = name.expect(text);
        assert_eq!(
            (&*name.login, name.worker.as_str()),
            (login, worker),
            "{text}"
        );
    }
}

#[test]
fn user_names_outside_the_limits_are_refused() {
    let rig = |count: usize| format!("addr.{}", "r".repeat(count));
    assert!(UserName::parse(&rig(64)).is_some());
    assert!(UserName::parse(&"a".repeat(128)).is_some());
    for text in [
        rig(65),
        "a".repeat(129),
        "a".repeat(10_000),
        String::new(),
        ".rig".to_owned(),
        "+rig".to_owned(),
        "../../etc/passwd".to_owned(),
        "addr.rig 1".to_owned(),
        "addr.rig+1".to_owned(),
        "addr\u{0}.rig".to_owned(),
        "addr.\u{1f41f}".to_owned(),
        "\u{430}ddr.rig".to_owned(),
        "a'; DROP TABLE shares; --.rig".to_owned(),
        "<script>.rig".to_owned(),
    ] {
        assert_eq!(UserName::parse(&text), None, "{text:?}");
    }
}

#[test]
fn passwords_say_what_they_can_and_the_rest_is_ignored() {
    let text = |difficulty: &Option<DifficultyText>| difficulty.as_ref().map(ToString::to_string);
    for (password, difficulty, least, coin, solo, worker) in [
        ("x", None, None, None, false, None),
        ("", None, None, None, false, None),
        ("d=4096", Some("4096"), None, None, false, None),
        ("diff=0.5,md=16", Some("0.5"), Some("16"), None, false, None),
        (
            "D=8; mindiff=4 ;m=solo",
            Some("8"),
            Some("4"),
            None,
            true,
            None,
        ),
        (
            "c=LTC,id=rig7",
            None,
            None,
            Some("ltc"),
            false,
            Some("rig7"),
        ),
        ("worker=a b,coin=with space", None, None, None, false, None),
        ("d=-1", None, None, None, false, None),
        ("d=1e400", None, None, None, false, None),
        ("d=NaN,d=inf,d=0", None, None, None, false, None),
        ("d=5,d=nonsense", Some("5"), None, None, false, None),
        ("unknown=1,=,==,d,,;;", None, None, None, false, None),
        ("m=solo,m=pplns", None, None, None, false, None),
    ] {
        let options = PasswordOptions::parse(password);
        assert_eq!(
            text(&options.difficulty).as_deref(),
            difficulty,
            "{password}"
        );
        assert_eq!(
            text(&options.difficulty_min).as_deref(),
            least,
            "{password}"
        );
        assert_eq!(options.coin.as_deref(), coin, "{password}");
        assert_eq!(options.solo, solo, "{password}");
        let name = options.worker.as_ref().map(|worker| worker.as_str());
        assert_eq!(name, worker, "{password}");
    }
    let long = format!("d=8,{}", "x".repeat(PasswordOptions::BYTES_MAX));
    assert_eq!(PasswordOptions::parse(&long), PasswordOptions::default());
}

#[test]
fn difficulties_are_exact_decimals() {
    for (text, plain) in [
        ("1024", "1024"),
        ("0.003", "0.003"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007.500", "7.5"),
        ("1e3", "1000"),
        ("1E+3", "1000"),
        ("2.5e-3", "0.0025"),
        ("1234.5678e2", "123456.78"),
        ("0.000000000000000001", "0.000000000000000001"),
        (
            "0.10000000000000000555111512312578270211815834045410",
            "0.100000000000000005",
        ),
        ("99999999999999999999", "99999999999999999999"),
    ] {
        let read = DifficultyText::parse(text).expect(text);
        assert_eq!(read.as_str(), plain, "{text}");
        assert_eq!(DifficultyText::parse(plain).as_ref(), Some(&read), "{text}");
        assert!(
            serde_json::from_str::<serde_json::Number>(plain).is_ok(),
            "{text}"
        );
    }
    for text in [
        "",
        ".",
        "0",
        "0.0",
        "-1",
        "+1",
        "1e400",
        "1e-400",
        "1e21",
        "0.0000000000000000001",
        "NaN",
        "inf",
        "1,5",
        "0x10",
        "1 ",
        " 1",
        "1e",
        "e1",
        "1.2.3",
        "1e1e1",
        "1e1.5",
        "\u{0661}",
        "100000000000000000000",
    ] {
        assert_eq!(DifficultyText::parse(text), None, "{text:?}");
    }
    let long = "1".repeat(10_000);
    assert_eq!(DifficultyText::parse(&long), None);
}

#[test]
fn agents_are_shown_harmless() {
    for (text, shown) in [
        ("cgminer/4.12.0", "cgminer/4.12.0"),
        ("", ""),
        ("a\u{0}b\nc\u{1b}[31m", "a?b?c?[31m"),
        ("b\u{f6}se", "b?se"),
    ] {
        assert_eq!(Agent::of(text).as_str(), shown);
    }
    assert_eq!(
        Agent::of(&"a".repeat(9_999)).as_str().len(),
        Agent::CHARS_MAX
    );
}

proptest! {
    #[test]
    fn no_text_breaks_a_parser(text in any::<String>()) {
        if let Some(name) = UserName::parse(&text) {
            prop_assert!(text.starts_with(&*name.login));
        }
        if let Some(difficulty) = DifficultyText::parse(&text) {
            prop_assert_eq!(DifficultyText::parse(difficulty.as_str()), Some(difficulty));
        }
        let options = PasswordOptions::parse(&text);
        prop_assert!(options.coin.is_none_or(|coin| coin.len() <= 16));
        prop_assert!(Agent::of(&text).as_str().len() <= Agent::CHARS_MAX);
    }

    #[test]
    fn a_difficulty_keeps_its_work(whole in 0_u32.., fraction in 0_u32..1_000_000, zeros in 0_usize..4) {
        let plain = format!("{whole}.{fraction:06}");
        let padded = format!("{}{plain}{}e0", "0".repeat(zeros), "0".repeat(zeros));
        let read = DifficultyText::parse(&padded);
        prop_assert_eq!(read.is_some(), whole != 0 || fraction != 0);
        if let Some(read) = read {
            for unit in [WorkUnit::Sha256d, WorkUnit::Ethash] {
                prop_assert_eq!(read.work(unit), orebook_schema::Work::from_difficulty(&plain, unit));
            }
        }
    }
}
