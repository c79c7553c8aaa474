//! Coinbases that pay accounts: the outputs in order, the rest to the pool, and room for no more than the block and the job hold.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use orebook_chain::wire::coinbase;
use orebook_chain::{
    CoinbaseParts, DevChain, DevConfig, JobParts, OutputRoom, Paying, Template, TemplateError,
    TemplateFields,
};
use orebook_schema::At;
use orebook_schema::coinbase::miner_outputs;
use orebook_schema::names::Script;
use orebook_schema::units::WorkUnit;

const POOL: &[u8] = &[0x51, 1, 9];
const PARTS: CoinbaseParts<'_> = CoinbaseParts {
    tag: *b"a tag of",
    // With bytes above 127, of which none is ff.
    text: "/pööl/1",
    payout_script: POOL,
    extranonce_bytes: 8,
};

fn script(number: u16) -> Script {
    let [low, high] = number.to_le_bytes();
    Script::new(&[&[0, 20, low, high][..], &[7; 18]].concat()).expect("a script")
}

fn fields() -> TemplateFields {
    TemplateFields {
        height: 7,
        nbits: 0x207f_ffff,
        reward: 5_000,
        witness_commitment: Some(vec![0x6a; 38]),
        coinbase_weight_max: 400_000,
        coinbase_sigops_max: 400,
        ..TemplateFields::default()
    }
}

fn template(fields: TemplateFields) -> Template {
    Template::new(fields).expect("legal fields")
}

#[test]
fn accounts_are_paid_in_order_and_the_pool_has_the_rest() {
    let template = template(fields());
    let outputs = vec![(3_000, script(1)), (1_999, script(2))];
    let parts = JobParts {
        number: 0,
        policy: At::default(),
        clean: true,
        unit: WorkUnit::Sha256d,
        coinbase: PARTS,
    };
    let paying = Paying {
        direct: 42,
        policy: At::default(),
        outputs: outputs.clone(),
    };
    let job = template.job_paying(&parts, Some(&paying)).expect("a job");
    assert_eq!((job.direct, job.reward), (42, 5_000));
    let whole = [&job.coinbase1[..], &[0xab; 8], &job.coinbase2].concat();
    let read = coinbase(&whole).expect("a coinbase");
    let paid: Vec<(u64, Vec<u8>)> = read.outputs;
    assert_eq!(
        paid,
        [
            (1, POOL.to_vec()),
            (3_000, script(1).bytes().to_vec()),
            (1_999, script(2).bytes().to_vec()),
            (0, vec![0x6a; 38]),
        ]
    );
    // What the ledger's readers find in it.
    let found = miner_outputs(&job.coinbase2).into_iter();
    let found: Vec<(u64, Script)> = found.map(|output| (output.amount, output.script)).collect();
    assert_eq!(found, outputs);
    let plain = template.job(&parts).expect("a job");
    assert_eq!((plain.direct, miner_outputs(&plain.coinbase2)), (0, vec![]));
    // Nothing may be left for the pool; more than the reward may not go.
    let all = [(5_000, script(1))];
    let (_, coinbase2) = template.coinbase_paying(&PARTS, &all).expect("a coinbase");
    assert_eq!(miner_outputs(&coinbase2).len(), 1);
    for too_much in [
        vec![(5_001, script(1))],
        vec![(u64::MAX, script(1)), (2, script(2))],
    ] {
        let refused = template.coinbase_paying(&PARTS, &too_much);
        assert_eq!(refused, Err(TemplateError::Outputs));
    }
}

#[test]
fn what_the_room_holds_fits_the_job_and_the_block() {
    let room = |weight, sigops| {
        template(TemplateFields {
            coinbase_weight_max: weight,
            coinbase_sigops_max: sigops,
            ..fields()
        })
        .room(POOL)
    };
    assert_eq!(
        room(0, 0),
        OutputRoom {
            bytes: 0,
            sigops: 0
        }
    );
    for weight in [4_000, 20_000, 65_000, 400_000] {
        let room = room(weight, 400);
        assert_eq!(room.sigops, 396);
        // Outputs of 31 bytes, as many as there is room for.
        let count = u16::try_from(room.bytes / 31).expect("a few");
        let outputs: Vec<(u64, Script)> = (0..count).map(|number| (1, script(number))).collect();
        let template = template(fields());
        let longest = CoinbaseParts {
            text: "0123456789abcdef0123456789abcdef",
            extranonce_bytes: 16,
            ..PARTS
        };
        let (one, two) = template
            .coinbase_paying(&longest, &outputs)
            .expect("it fits");
        let bytes = one.len() + 16 + two.len();
        assert!(
            u64::try_from(4 * bytes + 38).expect("small") <= weight,
            "{weight}"
        );
        assert!(two.len() <= 16_384);
    }
    let most = room(400_000, 400).bytes;
    assert!(16_000 < most, "{most}");
    let many: Vec<(u64, Script)> = (0..530).map(|number| (1, script(number))).collect();
    let refused = template(fields()).coinbase_paying(&PARTS, &many);
    assert_eq!(refused, Err(TemplateError::Outputs));
}

#[test]
fn the_count_of_outputs_has_its_three_bytes_whatever_it_takes() {
    let longest = CoinbaseParts {
        text: "0123456789abcdef0123456789abcdef",
        ..PARTS
    };
    // 252 and 253 outputs with the pool's own and the commitment, that fill the room to its last byte.
    for (accounts, count_bytes) in [(250, 1), (251, 3)] {
        let template = template(fields());
        let room = usize::try_from(template.room(POOL).bytes).expect("small");
        let (each, longer) = (room / accounts, room % accounts);
        let outputs: Vec<(u64, Script)> = (0..accounts)
            .map(|number| {
                let script = vec![0x61; each - 9 + usize::from(number < longer)];
                (1, Script::new(&script).expect("a script"))
            })
            .collect();
        let made = template.coinbase_paying(&longest, &outputs);
        let (_, coinbase2) = made.expect("it fits");
        assert_eq!(miner_outputs(&coinbase2).len(), accounts);
        // Lengths of the pool's script and of the commitment have three bytes of room and take one.
        assert_eq!(coinbase2.len(), 16_384 - 2 - 2 - (3 - count_bytes));
    }
}

#[test]
fn the_development_chain_leaves_room() {
    let chain = DevChain::new(DevConfig::default(), std::sync::Arc::new(|| 1_700_000_000));
    let room = chain.expect("a chain").template().room(POOL);
    assert!(10_000 < room.bytes && 400 < room.sigops, "{room:?}");
}
