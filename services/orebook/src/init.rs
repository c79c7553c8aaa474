//! `orebook init`: a ledger begins with its genesis and the keys of its first producers.

use std::fs;
use std::path::{Path, PathBuf};

use orebook_archiver::{new_stream, now_ms};
use orebook_ledger::admit::{State, Verdict};
use orebook_ledger::build::genesis_frame;
use orebook_ledger::disk::real::RealDisk;
use orebook_ledger::segment::SegmentStore;
use orebook_ledger::sign::Signer;
use orebook_schema::genesis::{Algorithm, Approved, Genesis};
use orebook_schema::names::{CoinName, Pot};
use orebook_schema::policy::{NetworkFees, PotRules, Scheme};
use orebook_schema::units::unhex;
use orebook_schema::{Hash, Key, Kind, LedgerId, Policy, Role};

use crate::cat::Object;
use crate::cli::{EthashLike, Format, InitArgs};
use crate::{Failure, keys, print};
use orebook::config::{PayoutTerms, Preset, direct_outputs};

/// Number of the PPLNS pot that `init` makes.
const PPLNS_POT: Pot = Pot(0);
/// Number of the solo pot that `init` makes.
const SOLO_POT: Pot = Pot(1);

/// File of a hot wallet's key, in the folder of keys.
pub(crate) const WALLET_KEY: &str = "wallet.key";

struct Coin {
    name: &'static str,
    slip44: u32,
    algorithm: Algorithm,
    decimals: u8,
    /// Genesis block, as shown.
    chain: &'static str,
    depths: (u32, u32, u32),
    threshold: u128,
}

const fn coin(preset: Preset) -> Coin {
    match preset {
        Preset::Dev => Coin {
            name: "dev",
            slip44: 1,
            algorithm: Algorithm::Sha256d,
            decimals: 8,
            chain: "0000000000000000000000000000000000000000000000000000000000000000",
            depths: (1, 6, 3),
            threshold: 1_000_000,
        },
        Preset::Bitcoin => Coin {
            name: "bitcoin",
            slip44: 0,
            algorithm: Algorithm::Sha256d,
            decimals: 8,
            chain: "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
            depths: (1, 100, 6),
            threshold: 100_000,
        },
        Preset::BitcoinRegtest => Coin {
            name: "bitcoin-regtest",
            slip44: 1,
            algorithm: Algorithm::Sha256d,
            decimals: 8,
            chain: "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            depths: (1, 100, 3),
            threshold: 1_000_000,
        },
        Preset::Litecoin => Coin {
            name: "litecoin",
            slip44: 2,
            algorithm: Algorithm::Scrypt,
            decimals: 8,
            chain: "12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2",
            depths: (1, 100, 12),
            threshold: 1_000_000,
        },
        Preset::LitecoinRegtest => Coin {
            name: "litecoin-regtest",
            slip44: 1,
            algorithm: Algorithm::Scrypt,
            decimals: 8,
            chain: "530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9",
            depths: (1, 100, 3),
            threshold: 1_000_000,
        },
        Preset::EthereumClassic => Coin {
            name: "ethereum-classic",
            slip44: 61,
            algorithm: Algorithm::Etchash,
            decimals: 18,
            chain: "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
            depths: (1, 120, 12),
            threshold: 100_000_000_000_000_000,
        },
        Preset::EthashTest => Coin {
            name: "ethash-test",
            slip44: 1,
            algorithm: Algorithm::Ethash,
            decimals: 18,
            chain: "0000000000000000000000000000000000000000000000000000000000000000",
            // A block is an uncle of the next six at most.
            depths: (1, 12, 8),
            threshold: 100_000_000_000_000_000,
        },
        Preset::VeriumTest => Coin {
            name: "verium-test",
            slip44: 1,
            algorithm: Algorithm::Scrypt2,
            decimals: 8,
            chain: "0000000000000000000000000000000000000000000000000000000000000000",
            depths: (1, 6, 3),
            threshold: 1_000_000,
        },
    }
}

/// The algorithm of a new ledger: the coin's, or of the test chain the one that was asked for.
fn algorithm(preset: Preset, asked: Option<EthashLike>) -> Result<Algorithm, Failure> {
    let of_coin = coin(preset).algorithm;
    let asked = match asked {
        None => return Ok(of_coin),
        Some(EthashLike::Ethash) => Algorithm::Ethash,
        Some(EthashLike::Etchash) => Algorithm::Etchash,
    };
    if asked != of_coin && preset != Preset::EthashTest {
        let (name, of_coin) = (preset.name(), of_coin.name());
        return Err(Failure::new(format!("{name} is a coin of {of_coin}"))
            .hint("leave out --algorithm, or give --coin ethash-test"));
    }
    Ok(asked)
}

/// One producer's key file.
struct Producer {
    file: String,
    role: Role,
    signer: Signer,
}

/// What is asked of a new ledger.
pub(crate) struct Wanted {
    /// Folder of the pool.
    pub(crate) data: PathBuf,
    pub(crate) coin: Preset,
    /// Instead of the coin's own, where it is a test chain of ethash.
    pub(crate) algorithm: Option<EthashLike>,
    /// How many gateways and archivers get a key.
    pub(crate) gateways: u8,
    pub(crate) archivers: u8,
    /// How many approvers there are, and how many of them a key or a policy needs.
    pub(crate) approvers: u8,
    pub(crate) needed: u8,
    /// Rules of the first policy's pots, by number.
    pub(crate) pots: Vec<PotRules>,
    /// What a change of an account's address waits, milliseconds.
    pub(crate) address_hold_ms: u64,
    /// What the first policy says about payouts and write-offs.
    pub(crate) payouts: PayoutTerms,
}

/// A new ledger.
struct Made {
    genesis: Genesis,
    hash: Hash,
    producers: Vec<Producer>,
}

pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let made = make(Wanted {
        data: args.data.clone(),
        coin: args.coin,
        algorithm: args.algorithm,
        gateways: args.gateways,
        archivers: args.archivers,
        approvers: args.approvers,
        needed: args.needed,
        pots: pots(args),
        address_hold_ms: args.address_hold_ms,
        payouts: PayoutTerms {
            auto_pay_limit: args.auto_pay_limit,
            payout_depth: args.payout_depth,
            payout_final_depth: args.payout_final_depth,
            writeoff_ms: args.writeoff_ms,
            rounding_to_fee: args.rounding_to_fee,
        },
    })?;
    report(args, &made.genesis, made.hash, &made.producers)
}

/// The same without a word, for `up` in a new folder.
pub(crate) fn quietly(wanted: Wanted) -> Result<(), Failure> {
    make(wanted).map(|_| ())
}

/// The pots that the command line asks for.
fn pots(args: &InitArgs) -> Vec<PotRules> {
    let pot = |pot, scheme, n_ppm| PotRules {
        pot,
        scheme,
        n_ppm,
        fee_ppm: args.fee_ppm,
        bonus_ppm: 0,
        stale_ppm: 0,
        keep_tx_fees: false,
        direct_min: 0,
        direct_outputs: 0,
    };
    vec![
        PotRules {
            direct_min: args.direct_min,
            direct_outputs: direct_outputs(args.direct_min, args.direct_outputs),
            ..pot(PPLNS_POT, Scheme::Pplns, args.window_ppm)
        },
        pot(SOLO_POT, Scheme::Solo, 1),
    ]
}

fn make(wanted: Wanted) -> Result<Made, Failure> {
    // Before anything is written.
    algorithm(wanted.coin, wanted.algorithm)?;
    wanted.payouts.checked().map_err(Failure::new)?;
    let pays_direct = wanted.pots.iter().any(|rules| rules.direct_min != 0);
    if pays_direct && wanted.coin.is_ethash() {
        return Err(Failure::new("a block of an ethash-like pays one address")
            .hint("leave --direct-min away"));
    }
    if wanted.approvers < wanted.needed {
        let message = format!(
            "{} approvals are needed of {} approvers",
            wanted.needed, wanted.approvers
        );
        return Err(Failure::new(message).hint("give --needed at most the number of --approvers"));
    }
    let keys_dir = wanted.data.join("keys");
    let ledger_dir = wanted.data.join("ledger");
    for dir in [&keys_dir, &ledger_dir] {
        if dir.exists() {
            let message = format!("{} exists already", dir.display());
            return Err(
                Failure::new(message).hint("a ledger is begun once; choose another --data folder")
            );
        }
    }
    make_dir(&keys_dir)?;
    let producers = make_producers(&wanted, &keys_dir)?;
    if matches!(wanted.coin, Preset::Dev | Preset::VeriumTest) {
        // Of the development chain, whose coins are nothing: a real wallet's key is its operator's matter.
        keys::create_wallet(&keys_dir.join(WALLET_KEY))?;
    }
    let approvers = (1..=wanted.approvers)
        .map(|number| Ok(keys::create(&keys_dir.join(format!("approver-{number}.key")))?.key()))
        .collect::<Result<Vec<Key>, Failure>>()?;
    let genesis = make_genesis(wanted, &producers, approvers)?;
    let hash = write_genesis(&ledger_dir, &genesis, &producers)?;
    Ok(Made {
        genesis,
        hash,
        producers,
    })
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| Failure::new(format!("{}: {error}", dir.display())))
}

fn make_producers(wanted: &Wanted, dir: &Path) -> Result<Vec<Producer>, Failure> {
    let numbered = |role: Role, count: u8| {
        (1..=count).map(move |n| (format!("{}-{n}.key", role.name()), role))
    };
    let single = [Role::Desk, Role::Settler, Role::Paymaster]
        .map(|role| (format!("{}.key", role.name()), role));
    let files = single
        .into_iter()
        .chain(numbered(Role::Gateway, wanted.gateways))
        .chain(numbered(Role::Archiver, wanted.archivers));
    files
        .map(|(file, role)| {
            let signer = keys::create(&dir.join(&file))?;
            Ok(Producer { file, role, signer })
        })
        .collect()
}

fn make_genesis(
    wanted: Wanted,
    producers: &[Producer],
    mut approvers: Vec<Key>,
) -> Result<Genesis, Failure> {
    let algorithm = algorithm(wanted.coin, wanted.algorithm)?;
    let (coin, is_ethash) = (coin(wanted.coin), wanted.coin.is_ethash());
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::new(format!("no randomness: {error}")))?;
    let mut chain = unhex(coin.chain).unwrap_or_default();
    // Bitcoin-likes show hashes with their bytes reversed; the ledger has header order.
    if !is_ethash {
        chain.reverse();
    }
    let (immature_depth, confirmed_depth, orphan_depth) = coin.depths;
    let policy = Policy {
        pots: wanted.pots,
        immature_depth,
        confirmed_depth,
        orphan_depth,
        threshold: coin.threshold,
        address_hold_ms: wanted.address_hold_ms,
        network_fees: NetworkFees::Pool,
        auto_pay_limit: wanted.payouts.auto_pay_limit,
        payout_depth: wanted.payouts.payout_depth,
        payout_final_depth: wanted.payouts.payout_final_depth,
        writeoff_ms: wanted.payouts.writeoff_ms,
        rounding_to_fee: wanted.payouts.rounding_to_fee,
    };
    approvers.sort_unstable();
    let mut keys: Vec<(Key, Role)> = producers
        .iter()
        .map(|one| (one.signer.key(), one.role))
        .collect();
    keys.sort_unstable();
    let for_money = wanted.needed.max(wanted.approvers.min(2));
    let name = CoinName::parse(coin.name).ok_or_else(|| Failure::new("the coin's name"))?;
    Ok(Genesis {
        ledger: LedgerId::from_parts(now_ms(), random),
        coin: coin.slip44,
        coin_name: name,
        algorithm,
        decimals: coin.decimals,
        chain: Hash(chain.try_into().unwrap_or_default()),
        segment_positions: 65_536,
        segment_bytes: 256 << 20,
        digest_answers: 1,
        approvers,
        approvals: vec![
            (Approved::Key, wanted.needed),
            (Approved::Policy, wanted.needed),
            // Money rules 8.7: two, where there are two.
            (Approved::Adjustment, for_money),
            (Approved::Payout, for_money),
            (Approved::Resume, wanted.needed),
            (Approved::WriteOff, for_money),
            (Approved::InactiveDust, for_money),
        ],
        producers: keys,
        schema_set: Kind::known(),
        policy,
    })
}

fn write_genesis(dir: &Path, genesis: &Genesis, producers: &[Producer]) -> Result<Hash, Failure> {
    let desk = producers
        .iter()
        .find(|producer| producer.role == Role::Desk);
    let desk = desk.ok_or_else(|| Failure::new("no desk key was made"))?;
    let now = now_ms();
    let frame = genesis_frame(genesis, new_stream(), now, &desk.signer)
        .map_err(|error| Failure::new(format!("genesis: {error}")))?;
    make_dir(dir)?;
    let disk = RealDisk::new(dir.to_path_buf());
    let (mut store, _) = SegmentStore::open(disk, "segments", genesis.ledger, 0)
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut state = State::new(genesis.ledger);
    let verdict = state.admit(&store, now, frame.bytes().to_vec());
    let Ok((Verdict::Admitted(admitted), _)) = verdict else {
        return Err(Failure::new(
            "the genesis frame is not admitted: this is a fault of orebook",
        ));
    };
    store
        .append_frame(admitted.position, admitted.ledger_time, now, &frame)
        .and_then(|()| store.sync())
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(frame.header_hash())
}

fn report(
    args: &InitArgs,
    genesis: &Genesis,
    hash: Hash,
    producers: &[Producer],
) -> Result<(), Failure> {
    let text = if args.format == Format::Json {
        let mut object = Object::new();
        object
            .text("ledger", genesis.ledger)
            .text("coin", genesis.coin_name.as_str())
            .text("genesis", hash)
            .text("data", args.data.display());
        object.end()
    } else {
        let mut text = format!(
            "ledger   {}\ncoin     {} ({})\ngenesis  {hash}\nwritten  {}\n",
            genesis.ledger,
            genesis.coin_name.as_str(),
            genesis.algorithm.name(),
            args.data.join("ledger").join("segments").display(),
        );
        for producer in producers {
            text.push_str(&format!(
                "key      {}  keys/{}\n",
                producer.signer.key(),
                producer.file
            ));
        }
        text.push_str("Keep the approvers' keys somewhere else: who has them and the desk's key rules the pool.");
        text
    };
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis(coin: Preset, algorithm: Option<EthashLike>) -> Result<Genesis, String> {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Wanted {
            data: dir.path().join("pool"),
            coin,
            algorithm,
            gateways: 1,
            archivers: 1,
            approvers: 1,
            needed: 1,
            pots: orebook::config::Pool::default().rules(),
            address_hold_ms: 86_400_000,
            payouts: orebook::config::Pool::default().payouts().unwrap(),
        };
        let made = make(wanted).map_err(|failure| failure.to_string());
        assert_eq!(made.is_ok(), dir.path().join("pool").exists());
        made.map(|made| made.genesis)
    }

    #[test]
    fn each_coin_has_its_algorithm_decimals_and_first_block() {
        use EthashLike::{Etchash, Ethash};
        for (coin, asked, algorithm, decimals, chain) in [
            (Preset::Dev, None, Algorithm::Sha256d, 8, "0000"),
            (Preset::Bitcoin, None, Algorithm::Sha256d, 8, "6fe2"),
            (Preset::BitcoinRegtest, None, Algorithm::Sha256d, 8, "0622"),
            (Preset::Litecoin, None, Algorithm::Scrypt, 8, "e2bf"),
            (Preset::VeriumTest, None, Algorithm::Scrypt2, 8, "0000"),
            (
                Preset::EthereumClassic,
                None,
                Algorithm::Etchash,
                18,
                "d4e5",
            ),
            (
                Preset::EthereumClassic,
                Some(Etchash),
                Algorithm::Etchash,
                18,
                "d4e5",
            ),
            (Preset::EthashTest, None, Algorithm::Ethash, 18, "0000"),
            (
                Preset::EthashTest,
                Some(Ethash),
                Algorithm::Ethash,
                18,
                "0000",
            ),
            (
                Preset::EthashTest,
                Some(Etchash),
                Algorithm::Etchash,
                18,
                "0000",
            ),
        ] {
            let genesis = genesis(coin, asked).unwrap();
            assert_eq!(genesis.coin_name.as_str(), coin.name());
            assert_eq!((genesis.algorithm, genesis.decimals), (algorithm, decimals));
            let shown = genesis.chain.to_string();
            assert!(shown.starts_with(chain), "{coin:?}: {shown}");
        }
        for coin in [Preset::Dev, Preset::Litecoin] {
            let said = genesis(coin, Some(Ethash)).unwrap_err();
            assert!(said.contains("is a coin of"), "{said}");
        }
        let said = genesis(Preset::EthereumClassic, Some(Ethash)).unwrap_err();
        assert!(said.contains("is a coin of etchash"), "{said}");
    }
}
