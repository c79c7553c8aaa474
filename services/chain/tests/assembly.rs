//! Coinbases, branches and blocks against vectors of real nodes, and the templates of two real nodes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::path::Path;

use orebook_chain::hash::{
    fold_branches, merkle_branches, merkle_root, parse_shown, sha256d, shown,
};
use orebook_chain::rpc::template_of_json;
use orebook_chain::wire::{
    Block, HeaderFields, coinbase, coinbase_of_block, height_of, height_push,
};
use orebook_chain::{
    CoinbaseParts, JobParts, Template, TemplateError, TemplateFields, Transaction,
};
use orebook_schema::units::{At, Hash, U256, WorkUnit, hex, unhex};
use proptest::prelude::*;
use serde_json::Value;

fn vector(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors");
    std::fs::read_to_string(folder.join(name)).expect("the vectors are in tests/vectors")
}

fn hash(value: &Value) -> Hash {
    let bytes = unhex(value.as_str().expect("hex")).expect("hex");
    Hash(bytes.try_into().expect("32 bytes"))
}

const PARTS: CoinbaseParts<'_> = CoinbaseParts {
    tag: *b"TAGTAGTA",
    text: "/orebook/",
    payout_script: &[0x51],
    extranonce_bytes: 8,
};

#[test]
fn heights_are_pushed_as_bip34_says() {
    let vectors: Value = serde_json::from_str(&vector("assembly.json")).expect("JSON");
    let cases = vectors["bip34_push"].as_array().expect("a list");
    assert!(10 < cases.len());
    for case in cases {
        let height = case["height"].as_u64().expect("a height");
        assert_eq!(
            hex(&height_push(height)),
            case["push"].as_str().expect("hex"),
            "height {height}"
        );
        let script = [height_push(height), b"tag and text".to_vec()].concat();
        assert_eq!(height_of(&script), Some(height));
    }
}

#[test]
fn a_height_has_one_spelling() {
    for script in [
        "",
        "00",
        "50",
        "61",
        "0110",
        "0100",
        "02ff",
        "020100",
        "0181",
        "028080",
        "06000000000001",
        "0201",
    ] {
        assert_eq!(height_of(&unhex(script).expect("hex")), None, "{script}");
    }
}

#[test]
fn branches_and_roots_are_those_of_the_vectors() {
    let vectors: Value = serde_json::from_str(&vector("assembly.json")).expect("JSON");
    let cases = vectors["merkle"].as_array().expect("a list");
    assert!(5 < cases.len());
    for case in cases {
        let txids: Vec<Hash> = case["txids_bytes"]
            .as_array()
            .expect("a list")
            .iter()
            .map(hash)
            .collect();
        let expected: Vec<Hash> = case["branches"]
            .as_array()
            .expect("a list")
            .iter()
            .map(hash)
            .collect();
        let branches = merkle_branches(&txids);
        assert_eq!(branches, expected, "{} transactions", txids.len());
        let (first, root) = (
            hash(&case["coinbase_txid_bytes"]),
            hash(&case["root_bytes"]),
        );
        assert_eq!(fold_branches(first, &branches), root);
        assert_eq!(merkle_root([&[first], txids.as_slice()].concat()), root);
    }
}

#[test]
fn a_hash_is_shown_reversed() {
    let vectors: Value = serde_json::from_str(&vector("assembly.json")).expect("JSON");
    let case = &vectors["prevhash"][0];
    let rpc = case["rpc_previousblockhash"].as_str().expect("hex");
    let read = parse_shown(rpc).expect("a hash");
    assert_eq!(read, hash(&case["header_bytes"]));
    assert_eq!(shown(read), rpc);
    for bad in [
        "",
        "00",
        &rpc[1..],
        &format!("{rpc}00"),
        &rpc.replace('0', "g"),
    ] {
        assert_eq!(parse_shown(bad), None, "{bad}");
    }
}

#[test]
fn litecoinds_template_is_read_whole() {
    let template =
        template_of_json(vector("chain-litecoind-template.json").as_bytes()).expect("a template");
    assert_eq!(
        (template.height, template.version, template.nbits),
        (102, 0x2000_0000, 0x207f_ffff)
    );
    assert_eq!(
        shown(template.prev),
        "c8f68fbd0ef0a6933da47f9f38fe03d926adccd8215f79d7bab4f20ea10aa8cf"
    );
    assert_eq!((template.reward, template.fees), (5_000_028_500, 28_500));
    assert_eq!(
        (template.time, template.mintime),
        (1_795_254_377, 1_795_254_377)
    );
    assert_eq!(template.transactions.len(), 2);
    assert_eq!(template.target(), U256::from(0x7f_ffff) << 232);
    assert_eq!(
        template.network_work(WorkUnit::Scrypt),
        (0xffff << 24) / 0x7f_ffff
    );
    assert!(template.aux_flags.is_empty() && template.mweb.is_none());
    assert_eq!(template.longpoll_id.as_deref().map(str::len), Some(67));
    // The node's own commitment proves that data, order and ids fit: coinbase zero, then the transactions with witness.
    let wtxids = template.transactions.iter().map(|tx| sha256d(&tx.data));
    let root = merkle_root(std::iter::once(Hash::ZERO).chain(wtxids).collect());
    let script = [
        unhex("6a24aa21a9ed").expect("hex"),
        sha256d(&[root.0, [0; 32]].concat()).0.to_vec(),
    ]
    .concat();
    assert_eq!(template.witness_commitment, Some(script));
}

#[test]
fn a_block_on_litecoinds_template_holds_together() {
    let template =
        template_of_json(vector("chain-litecoind-template.json").as_bytes()).expect("a template");
    let (coinbase1, coinbase2) = template.coinbase(&PARTS).expect("a coinbase");
    assert!(
        coinbase1.ends_with(b"TAGTAGTA"),
        "the tag stands before the extranonces"
    );
    let plain = [coinbase1.as_slice(), b"12345678", &coinbase2].concat();
    let read = coinbase(&plain).expect("a coinbase");
    assert_eq!(read.txid, sha256d(&plain));
    assert_eq!(
        read.script_sig,
        [&[1, 102], b"TAGTAGTA12345678/orebook/".as_slice()].concat()
    );
    let commitment = template.witness_commitment.clone().expect("a commitment");
    assert_eq!(read.outputs, [(5_000_028_500, vec![0x51]), (0, commitment)]);
    assert!(read.witness.is_empty(), "the parts have no witness");

    let root = fold_branches(read.txid, &template.branches());
    let header = HeaderFields {
        version: template.version,
        prev: template.prev,
        root,
        time: template.time,
        nbits: template.nbits,
        nonce: 7,
    };
    let bytes = template.block(&header.bytes(), &plain);
    let block = Block::read(&bytes).expect("a block");
    assert_eq!(HeaderFields::read(&block.header), header);
    assert_eq!(
        block.coinbase.txid, read.txid,
        "the witness leaves the id alone"
    );
    assert_eq!(block.coinbase.witness, [vec![0; 32]]);
    assert_eq!(coinbase_of_block(&bytes), Ok(block.coinbase));
    for (ours, offered) in block.transactions.iter().zip(&template.transactions) {
        assert_eq!(
            (ours.txid, ours.wtxid),
            (offered.txid, sha256d(&offered.data))
        );
    }
    assert_eq!(block.transactions.len(), 2);
}

#[test]
fn btcds_template_has_flags_and_no_commitment() {
    let template =
        template_of_json(vector("chain-btcd-template.json").as_bytes()).expect("a template");
    assert_eq!(hex(&template.aux_flags), "0b2f503253482f627463642f");
    assert_eq!(template.witness_commitment, None);
    assert_eq!(template.fees, 0);
    let (coinbase1, coinbase2) = template.coinbase(&PARTS).expect("a coinbase");
    let plain = [coinbase1.as_slice(), b"12345678", &coinbase2].concat();
    let read = coinbase(&plain).expect("a coinbase");
    let start = [
        height_push(template.height),
        template.aux_flags.clone(),
        b"TAGTAGTA".to_vec(),
    ]
    .concat();
    assert!(read.script_sig.starts_with(&start));
    assert_eq!(read.outputs, [(template.reward, vec![0x51])]);
    let block = template.block(&[0; 80], &plain);
    assert_eq!(
        block,
        [[0; 80].as_slice(), &[1], &plain].concat(),
        "without a commitment there is no witness"
    );
}

#[test]
fn the_extension_block_comes_last() {
    let mut json: Value =
        serde_json::from_str(&vector("chain-litecoind-template.json")).expect("JSON");
    json["mweb"] = "c0ffee".into();
    let template = template_of_json(json.to_string().as_bytes()).expect("a template");
    let (coinbase1, coinbase2) = template.coinbase(&PARTS).expect("a coinbase");
    let block = template.block(
        &[0; 80],
        &[coinbase1.as_slice(), &[0; 8], &coinbase2].concat(),
    );
    let last = &template.transactions[1].data;
    assert!(block.ends_with(&[last.as_slice(), &[1, 0xc0, 0xff, 0xee]].concat()));
}

#[test]
fn the_smallest_empty_commitment_is_that_of_the_vectors() {
    let vectors: Value = serde_json::from_str(&vector("assembly.json")).expect("JSON");
    let script = unhex(
        vectors["witness_commitment_empty_block"]["script"]
            .as_str()
            .expect("hex"),
    )
    .expect("hex");
    let root = merkle_root(vec![Hash::ZERO]);
    assert_eq!(script[6..], sha256d(&[root.0, [0; 32]].concat()).0);
}

type Change = fn(&mut Value);

#[test]
fn a_template_that_cannot_be_used_is_refused_by_its_cause() {
    let field = TemplateError::Field;
    let cases: Vec<(Change, TemplateError)> = vec![
        (|json| json["height"] = 0.into(), TemplateError::Height(0)),
        (
            |json| json["height"] = 0x8000_0000_u64.into(),
            TemplateError::Height(0x8000_0000),
        ),
        (|json| json["height"] = (-1).into(), field("JSON")),
        (|json| json["coinbasevalue"] = 1.5.into(), field("JSON")),
        (|json| json["coinbasevalue"] = "50".into(), field("JSON")),
        (
            |json| json["coinbasevalue"] = 28_499.into(),
            TemplateError::Fees,
        ),
        (
            |json| json["transactions"][0]["fee"] = u64::MAX.into(),
            TemplateError::Fees,
        ),
        (
            |json| json["transactions"][0]["fee"] = (-1).into(),
            field("JSON"),
        ),
        (
            |json| json["transactions"][0]["data"] = "0".into(),
            field("data"),
        ),
        (
            |json| json["transactions"][0]["txid"] = "00".into(),
            field("txid"),
        ),
        (|json| json["bits"] = "zz".into(), field("bits")),
        (
            |json| json["bits"] = "207ffffe".into(),
            TemplateError::Target,
        ),
        (|json| json["target"] = "7f".into(), field("target")),
        (
            |json| {
                json["bits"] = "ff7fffff".into();
                json["target"] = Value::Null;
            },
            TemplateError::Bits(0xff7f_ffff),
        ),
        (
            |json| json["previousblockhash"] = "00".into(),
            field("previousblockhash"),
        ),
        (
            |json| json["mintime"] = 1_795_254_378.into(),
            TemplateError::Time,
        ),
        (
            |json| json["version"] = 0x1_0000_0000_i64.into(),
            field("version"),
        ),
        (
            |json| json["coinbaseaux"] = serde_json::json!({"flags": "00".repeat(33)}),
            TemplateError::AuxFlags(33),
        ),
        (
            |json| json["default_witness_commitment"] = "".into(),
            TemplateError::OutputScript(0),
        ),
        (
            |json| json["rules"] = serde_json::json!(["csv", "!quantum\n\u{1b}[31m"]),
            TemplateError::Rule("quantum[31m".to_owned()),
        ),
        (|json| json["mweb"] = "xyz".into(), field("mweb")),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut json: Value =
            serde_json::from_str(&vector("chain-litecoind-template.json")).expect("JSON");
        change(&mut json);
        assert_eq!(
            template_of_json(json.to_string().as_bytes()),
            Err(expected),
            "case {index}"
        );
    }
}

#[test]
fn a_negative_version_keeps_its_bits() {
    let mut json: Value =
        serde_json::from_str(&vector("chain-litecoind-template.json")).expect("JSON");
    json["version"] = (-2).into();
    let template = template_of_json(json.to_string().as_bytes()).expect("a template");
    assert_eq!(template.version, 0xffff_fffe);
}

#[test]
fn the_callers_parts_have_limits() {
    let template =
        template_of_json(vector("chain-litecoind-template.json").as_bytes()).expect("a template");
    let long = "x".repeat(33);
    let cases = [
        (
            CoinbaseParts {
                text: &long,
                ..PARTS
            },
            TemplateError::Text(33),
        ),
        (
            CoinbaseParts {
                extranonce_bytes: 0,
                ..PARTS
            },
            TemplateError::Extranonce(0),
        ),
        (
            CoinbaseParts {
                extranonce_bytes: 17,
                ..PARTS
            },
            TemplateError::Extranonce(17),
        ),
        (
            CoinbaseParts {
                payout_script: &[],
                ..PARTS
            },
            TemplateError::OutputScript(0),
        ),
        (
            CoinbaseParts {
                payout_script: &[0; 1_025],
                ..PARTS
            },
            TemplateError::OutputScript(1_025),
        ),
    ];
    for (parts, expected) in cases {
        assert_eq!(template.coinbase(&parts), Err(expected));
    }
}

#[test]
fn a_job_says_what_the_template_says() {
    let template =
        template_of_json(vector("chain-litecoind-template.json").as_bytes()).expect("a template");
    let policy = At {
        position: 3,
        index: 1,
    };
    let parts = JobParts {
        number: 9,
        policy,
        clean: true,
        unit: WorkUnit::Scrypt,
        coinbase: PARTS,
    };
    let job = template.job(&parts).expect("a job");
    assert_eq!(
        (job.number, job.policy, job.height, job.clean),
        (9, policy, 102, true)
    );
    assert_eq!((job.reward, job.fees), (5_000_028_500, 28_500));
    assert_eq!(
        (job.version, job.prev, job.nbits, job.time),
        (
            template.version,
            template.prev,
            template.nbits,
            template.time
        )
    );
    assert_eq!(
        (job.coinbase1, job.coinbase2),
        template.coinbase(&PARTS).expect("a coinbase")
    );
    assert_eq!(job.branches, template.branches());
    assert_eq!(job.network_work, template.network_work(WorkUnit::Scrypt));
}

/// Any template that is taken makes coinbases within the consensus' limits, and blocks that read back.
fn any_fields() -> impl Strategy<Value = TemplateFields> {
    let numbers = (
        1..0x8000_0000_u64,
        any::<u64>(),
        proptest::collection::vec(any::<u8>(), 0..=32),
        any::<bool>(),
    );
    (numbers, 0..20_usize).prop_map(|((height, reward, aux_flags, commits), count)| {
        // A minimal transaction, told apart by its output.
        let transaction = |index: usize| {
            let value = u64::try_from(index).expect("small").to_le_bytes();
            let data = [
                [1, 0, 0, 0, 1].as_slice(),
                &[7; 36],
                &[0],
                &[0xff; 4],
                &[1],
                &value,
                &[0],
                &[0; 4],
            ]
            .concat();
            Transaction {
                txid: sha256d(&data),
                data,
                fee: 0,
            }
        };
        TemplateFields {
            height,
            reward,
            aux_flags,
            nbits: 0x207f_ffff,
            witness_commitment: commits.then(|| vec![0x6a; 38]),
            transactions: (0..count).map(transaction).collect(),
            ..TemplateFields::default()
        }
    })
}

proptest! {
    #[test]
    fn any_template_makes_legal_coinbases_and_blocks(fields in any_fields(), extranonce in 1..=16_usize, text in "[ -~]{0,32}") {
        let template = Template::new(fields).expect("legal fields");
        let parts = CoinbaseParts { text: &text, extranonce_bytes: extranonce, payout_script: &[0x51; 34], ..PARTS };
        let (coinbase1, coinbase2) = template.coinbase(&parts).expect("a coinbase");
        prop_assert!(coinbase1.len() <= 8_192 && coinbase2.len() <= 16_384);
        let plain = [coinbase1, vec![0xab; extranonce], coinbase2].concat();
        let read = coinbase(&plain).expect("a coinbase");
        prop_assert!((2..=100).contains(&read.script_sig.len()));
        let root = fold_branches(read.txid, &template.branches());
        let header = HeaderFields { version: 0, prev: template.prev, root, time: 0, nbits: template.nbits, nonce: 0 };
        let block = Block::read(&template.block(&header.bytes(), &plain)).expect("a block");
        let txids: Vec<Hash> = block.transactions.iter().map(|tx| tx.txid).collect();
        prop_assert_eq!(merkle_root([&[block.coinbase.txid], txids.as_slice()].concat()), root);
        prop_assert_eq!(block.coinbase.witness.len(), usize::from(template.witness_commitment.is_some()));
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _read = (Block::read(&bytes), coinbase(&bytes), coinbase_of_block(&bytes), template_of_json(&bytes));
    }

    #[test]
    fn no_damaged_block_makes_the_reader_panic(at in 80..400_usize, byte in any::<u8>(), cut in 0..400_usize) {
        let template = template_of_json(vector("chain-litecoind-template.json").as_bytes()).expect("a template");
        let (coinbase1, coinbase2) = template.coinbase(&PARTS).expect("a coinbase");
        let mut block = template.block(&[0; 80], &[coinbase1.as_slice(), &[0; 8], &coinbase2].concat());
        let at = at % block.len();
        block[at] = byte;
        block.truncate(block.len().saturating_sub(cut));
        let _read = (Block::read(&block), coinbase_of_block(&block));
    }
}
