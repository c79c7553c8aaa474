//! Reading the file: where a fault stands, and what was probably meant.

use std::io::Read as _;
use std::path::Path;

use std::collections::BTreeSet;
use std::ops::Range;

use orebook_gateway::{Network, PROXY_FROM_MAX, REGION_BYTES_MAX, Region};
use orebook_schema::policy::{ADDRESS_HOLD_MS_MAX, DIRECT_OUTPUTS_MAX};

use super::{
    Config, Desk, Gateway, Node, NodeKind, POTS_MAX, PPM, Pool, Port, Preset, Scheme, edge, wallet,
};

/// Largest configuration file, bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most bytes of an operator's name, which stands in each line of the desk's audit trail about him.
pub(super) const OPERATOR_NAME_BYTES_MAX: usize = 64;

/// Why a file is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// What is wrong, with the file's name and the place in it.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

/// Reads and checks a configuration file of at most [`FILE_BYTES_MAX`] bytes.
///
/// # Errors
/// If it cannot be read, is too large, is not UTF-8, or is no configuration.
pub fn read(path: &Path) -> Result<Config, ReadError> {
    let shown = path.display();
    let refused = |error: std::io::Error| ReadError {
        message: format!("{shown}: {error}"),
        hint: Some(
            "give the file with --config, or leave it out for a development pool".to_owned(),
        ),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(refused)?;
    // A file may grow while it is read, and a pipe has no length.
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(refused)?;
    let refused = |what: &str| ReadError {
        message: format!("{shown}: {what}"),
        hint: None,
    };
    if FILE_BYTES_MAX < bytes.len() as u64 {
        return Err(refused("more than 1 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("not UTF-8"))?;
    parse(&text).map_err(|fault| ReadError {
        message: format!("{shown}:{}:{}: {}", fault.line, fault.column, fault.message),
        hint: fault.hint,
    })
}

/// A fault in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1; of a fault of the whole, line and column are 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// The configuration that a text says. Never panics.
///
/// # Errors
/// [`ConfigFault`]: the first thing that is wrong with it, and where.
pub fn parse(text: &str) -> Result<Config, ConfigFault> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        let message = error.message().trim().to_owned();
        let hint = suggestion(&message);
        ConfigFault {
            line,
            column,
            message,
            hint,
        }
    })?;
    check(&config).map_err(|message| ConfigFault {
        line: 1,
        column: 1,
        message,
        hint: None,
    })?;
    check_pots(&config.pool).map_err(|(span, message)| {
        let (line, column) = place(text, span.start);
        ConfigFault {
            line,
            column,
            message,
            hint: None,
        }
    })?;
    Ok(config)
}

/// What no single key says.
fn check(config: &Config) -> Result<(), String> {
    for (number, gateway) in (1..).zip(&config.gateway) {
        if gateway.port.is_empty() {
            return Err(format!("gateway {number} has no port"));
        }
        edge(gateway).map_err(|why| format!("gateway {number}: {why}"))?;
        let direct = gateway.check_direct();
        direct.map_err(|why| format!("gateway {number}: {why}"))?;
        for port in &gateway.port {
            let one = port.difficulty.is_some() != port.vardiff.is_some();
            if !one {
                return Err(format!(
                    "port {} of gateway {number}: give either difficulty or vardiff",
                    port.listen
                ));
            }
            let wrong = |why| format!("port {} of gateway {number}: {why}", port.listen);
            balancers(port).map_err(wrong)?;
            region(gateway, port).map_err(wrong)?;
        }
    }
    proxies(&config.desk)?;
    let mut operators = BTreeSet::new();
    for operator in &config.desk.operator {
        let name = &operator.name;
        let is_short = (1..=OPERATOR_NAME_BYTES_MAX).contains(&name.len());
        if !is_short || name.chars().any(char::is_control) {
            return Err(format!(
                "desk.operator: a name has 1 to {OPERATOR_NAME_BYTES_MAX} bytes, and no control characters"
            ));
        }
        if orebook_schema::Key::parse(&operator.key).is_none() {
            return Err(format!(
                "desk.operator {name}: a key is 64 hex digits, the public half"
            ));
        }
        if !operators.insert(&operator.key) {
            return Err(format!("desk.operator {name}: this key stands here twice"));
        }
    }
    let activity = &config.activity;
    let limits = [
        (
            "retention_days",
            (1..=365).contains(&activity.retention_days),
            "1 to 365",
        ),
        (
            "total_bytes",
            (2 << 20) <= activity.total_bytes,
            "2097152 or more",
        ),
        (
            "flush_ms",
            (100..=60_000).contains(&activity.flush_ms),
            "100 to 60000",
        ),
    ];
    if let Some((key, _, wanted)) = limits.iter().find(|(_, holds, _)| !holds) {
        return Err(format!("activity.{key}: {wanted}"));
    }
    if !config.node.is_empty() && config.pool.payout_address.is_none() {
        return Err("pool.payout_address: say which address the coinbases pay".to_owned());
    }
    wallet::check(config)?;
    check_nodes(config)
}

/// Nodes of one kind, that of the coin, each with what its kind needs.
fn check_nodes(config: &Config) -> Result<(), String> {
    let is_ethash = |node: &Node| node.kind == NodeKind::Ethash;
    let ethash = config.node.iter().filter(|node| is_ethash(node)).count();
    if ethash != 0 && ethash != config.node.len() {
        return Err("node: a coin's nodes are all of one kind".to_owned());
    }
    let mut nodes = config.node.iter();
    if let Some(node) = nodes.find(|node| !is_ethash(node) && node.credentials_file.is_none()) {
        let name = &node.name;
        return Err(format!("node {name}: give its credentials_file"));
    }
    if let Some(coin) = config.pool.coin {
        let (name, kind) = (coin.name(), if ethash == 0 { "bitcoin" } else { "ethash" });
        if coin.is_ethash() && config.node.is_empty() {
            return Err(format!(
                "pool.coin: {name} needs a node: the development chain has no ethash"
            ));
        }
        if !config.node.is_empty() && coin.is_ethash() != (ethash != 0) {
            return Err(format!("pool.coin: {name} has no nodes of kind {kind}"));
        }
    }
    let pool = &config.pool;
    let of_ethash = [
        ("block_reward", pool.block_reward.is_some()),
        ("push_listen", pool.push_listen.is_some()),
        ("landmark", pool.landmark.is_some()),
    ];
    if let Some((key, _)) = of_ethash.iter().find(|(_, said)| *said && ethash == 0) {
        return Err(format!("pool.{key}: only with nodes of kind ethash"));
    }
    pool.landmark()?;
    pool.payouts()?;
    pool.rewards().map(|_| ())
}

/// The load balancers of a port.
///
/// # Errors
/// What is wrong with `proxy_from`, in words.
pub fn balancers(port: &Port) -> Result<Vec<Network>, String> {
    networks("proxy_from", &port.proxy_from)
}

/// The proxies in front of the listener for miners' settings.
///
/// # Errors
/// What is wrong with `miners_proxy_from`, in words.
pub fn proxies(desk: &Desk) -> Result<Vec<Network>, String> {
    networks("desk.miners_proxy_from", &desk.miners_proxy_from)
}

fn networks(key: &str, texts: &[String]) -> Result<Vec<Network>, String> {
    if PROXY_FROM_MAX < texts.len() {
        return Err(format!("{key}: more than {PROXY_FROM_MAX} networks"));
    }
    let read = |text: &String| Network::parse(text).map_err(|why| format!("{key}: {text}: {why}"));
    texts.iter().map(read).collect()
}

/// Where a port of a gateway stands.
///
/// # Errors
/// What is wrong with `region`, in words.
pub fn region(gateway: &Gateway, port: &Port) -> Result<Region, String> {
    match port.region.as_ref().or(gateway.region.as_ref()) {
        None => Ok(Region::default()),
        Some(text) => Region::parse(text).ok_or_else(|| {
            format!("region: {text:?}: 1 to {REGION_BYTES_MAX} of a to z, digits and hyphens")
        }),
    }
}

/// Whether the pots make a policy that a ledger can hold; else where the fault stands, and what it is.
fn check_pots(pool: &Pool) -> Result<(), (Range<usize>, String)> {
    let mut numbers = BTreeSet::new();
    if ADDRESS_HOLD_MS_MAX < pool.address_hold_ms {
        let message = format!("pool.address_hold_ms: at most {ADDRESS_HOLD_MS_MAX}, 30 days");
        return Err((0..0, message));
    }
    if pool.pot.is_empty() {
        return Err((0..0, "pool.pot: a pool has at least one pot".to_owned()));
    }
    for pot in &pool.pot {
        let at = pot.pot.span();
        let number = *pot.pot.get_ref();
        if POTS_MAX <= numbers.len() {
            return Err((at, format!("pool.pot: more than {POTS_MAX} pots")));
        }
        if !numbers.insert(number) {
            return Err((at, format!("pool.pot: pot {number} stands here twice")));
        }
        if *pot.window_ppm.get_ref() == 0 {
            let message = format!("pool.pot: pot {number} has a window of nothing");
            return Err((pot.window_ppm.span(), message));
        }
        if PPM < *pot.fee_ppm.get_ref() {
            let message = format!("pool.pot: pot {number} has a fee above the whole, {PPM}");
            return Err((pot.fee_ppm.span(), message));
        }
        if !(1..=DIRECT_OUTPUTS_MAX).contains(&pot.direct_outputs) {
            let message =
                format!("pool.pot: pot {number} has 1 to {DIRECT_OUTPUTS_MAX} direct_outputs");
            return Err((at, message));
        }
        let can =
            *pot.scheme.get_ref() == Scheme::Pplns && !pool.coin.is_some_and(Preset::is_ethash);
        if pot.direct_min != 0 && !can {
            let message = format!(
                "pool.pot: pot {number} cannot pay by the coinbase: direct_min is of pplns pots of bitcoin-likes"
            );
            return Err((pot.scheme.span(), message));
        }
    }
    Ok(())
}

/// Line and column of a byte, from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |last| last.chars().count())
        + 1;
    (line, column)
}

/// "did you mean" for an unknown key: the known key that is nearest to it.
fn suggestion(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, expected) = rest.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2);
    let nearest = known.min_by_key(|known| distance(unknown, known))?;
    let near = distance(unknown, nearest) <= unknown.chars().count().div_ceil(2);
    near.then(|| format!("did you mean {nearest}?"))
}

/// Letters to insert, delete or change (Levenshtein), by rows.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (number, from) in (1..).zip(left.chars()) {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), number);
        let mut before = number;
        for (cell, to) in row.iter_mut().skip(1).zip(right.chars()) {
            let changed = diagonal + usize::from(from != to);
            diagonal = *cell;
            *cell = changed.min(*cell + 1).min(before + 1);
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    #[test]
    fn nothing_configured_is_a_development_pool_on_the_loopback() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        let gateways = config.gateways();
        assert_eq!(gateways.len(), 1);
        assert_eq!(gateways[0].port[0].listen.to_string(), "127.0.0.1:3333");
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn the_example_says_every_key_and_is_understood() {
        let text = include_str!("../../../../orebook.example.toml");
        let config = parse(text).unwrap();
        assert_eq!(config.gateways().len(), 1);
        assert_eq!(config.node.len(), 1);
        let defaults = Config::default();
        assert_eq!(config.pool.pot, defaults.pool.pot);
        assert_eq!(config.development, defaults.development);
        assert_eq!(config.http, defaults.http);
        assert_eq!(config.spool, defaults.spool);
        assert_eq!(config.settler, defaults.settler);
        let wallet = config.wallet.as_ref().unwrap();
        assert!(wallet.is_dry_run(false), "nobody is paid by an example");
        assert_eq!(config.desk_listen(), defaults.desk_listen());
        assert_eq!(config.desk.answer_ms, defaults.desk.answer_ms);
        assert_eq!(config.desk.operator.len(), 1);
        assert_eq!(config.activity, defaults.activity);
    }

    #[test]
    fn the_example_of_ethash_is_understood() {
        let text = include_str!("../../../../orebook.ethash.example.toml");
        let config = parse(text).unwrap();
        assert_eq!(config.pool.coin, Some(Preset::EthereumClassic));
        let node = &config.node[0];
        assert_eq!(
            (node.kind, &node.credentials_file),
            (NodeKind::Ethash, &None)
        );
        assert_eq!(config.pool.rewards(), Ok(None), "the coin's own table");
        assert!(config.pool.push_listen.is_some());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_what_was_probably_meant() {
        for (text, place, hint) in [
            ("dta = \"x\"\n", (1, 1), Some("did you mean data?")),
            (
                "[http]\nlitsen = \"127.0.0.1:1\"\n",
                (2, 1),
                Some("did you mean listen?"),
            ),
            (
                "[pool]\n\n payout_adress = \"a\"\n",
                (3, 2),
                Some("did you mean payout_address?"),
            ),
            ("[http]\nxyzzyplugh = 1\n", (2, 1), None),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.line, fault.column), place, "{text}");
            assert_eq!(fault.hint.as_deref(), hint, "{text}");
            assert!(fault.message.starts_with("unknown field"), "{text}");
        }
    }

    #[test]
    fn a_contradiction_is_refused_in_words() {
        for (text, says) in [
            ("[[gateway]]\nport = []\n", "gateway 1 has no port"),
            (
                "[[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:1\"\n",
                "give either difficulty or vardiff",
            ),
            (
                "[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\ncredentials_file = \"c\"\n",
                "payout_address",
            ),
            (
                "[pool]\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\n",
                "node a: give its credentials_file",
            ),
            (
                "[pool]\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\nkind = \"geth\"\n",
                "unknown variant `geth`",
            ),
            (
                "[pool]\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\nkind = \"ethash\"\n\
                 [[node]]\nname = \"b\"\nrpc = \"127.0.0.1:2\"\ncredentials_file = \"c\"\n",
                "all of one kind",
            ),
            (
                "[pool]\ncoin = \"bitcoin\"\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\nkind = \"ethash\"\n",
                "pool.coin: bitcoin has no nodes of kind ethash",
            ),
            (
                "[pool]\ncoin = \"ethereum-classic\"\npayout_address = \"a\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\ncredentials_file = \"c\"\n",
                "pool.coin: ethereum-classic has no nodes of kind bitcoin",
            ),
            (
                "[pool]\ncoin = \"ethash-test\"\n",
                "ethash-test needs a node",
            ),
            (
                "[pool]\nblock_reward = \"5\"\n",
                "pool.block_reward: only with nodes of kind ethash",
            ),
            (
                "[pool]\nlandmark = { height = 1, hash = \"0x12\" }\n",
                "pool.landmark: only with nodes of kind ethash",
            ),
            (
                "[pool]\npayout_address = \"a\"\nlandmark = { height = 1, hash = \"0x12\" }\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\nkind = \"ethash\"\n",
                "pool.landmark: \"0x12\" is no hash",
            ),
            (
                "[pool]\npush_listen = \"127.0.0.1:0\"\n",
                "pool.push_listen: only with nodes of kind ethash",
            ),
            (
                "[pool]\npayout_address = \"a\"\nblock_reward = \"2.5\"\n[[node]]\nname = \"a\"\nrpc = \"127.0.0.1:1\"\nkind = \"ethash\"\n",
                "pool.block_reward: \"2.5\" is no whole number",
            ),
            (
                "[[gateway]]\n[[gateway.port]]\nlisten = \"127.0.0.1:1\"\ndifficulty = \"1\"\nproxy_from = [\"::1\", \"10.0.0.1/8\"]\n",
                "port 127.0.0.1:1 of gateway 1: proxy_from: 10.0.0.1/8: bits are set behind the network's own",
            ),
            (
                "[[gateway]]\nregion = \"EU\"\n[[gateway.port]]\nlisten = \"127.0.0.1:1\"\ndifficulty = \"1\"\n",
                "port 127.0.0.1:1 of gateway 1: region: \"EU\": 1 to 16 of a to z, digits and hyphens",
            ),
            ("[activity]\nretention_days = 0\n", "1 to 365"),
            (
                "[pool]\naddress_hold_ms = 2592000001\n",
                "at most 2592000000",
            ),
            (
                "[pool]\nauto_pay_limit = \"1.5\"\n",
                "pool.auto_pay_limit: \"1.5\" is no whole number",
            ),
            (
                "[pool]\npayout_depth = 4\n",
                "below payout_final_depth, not 4 and 4",
            ),
            ("[pool]\npayout_depth = 0\n", "payout_depth is at least 1"),
            (
                "[pool]\nwriteoff_ms = 1099511627777\n",
                "at most 1099511627776",
            ),
            ("[activity]\ntotal_bytes = 1\n", "2097152 or more"),
            ("[activity]\nflush_ms = 99\n", "100 to 60000"),
            ("[http]\nlisten = \"nowhere\"\n", "invalid socket address"),
            (
                "[desk]\nminers_proxy_from = [\"10.0.0.0/8\", \"here\"]\n",
                "desk.miners_proxy_from: here: not a network as",
            ),
            (
                "[[desk.operator]]\nname = \"\"\nkey = \"12\"\n",
                "desk.operator: a name has 1 to 64 bytes",
            ),
            (
                "[[desk.operator]]\nname = \"anna\"\nkey = \"12\"\n",
                "desk.operator anna: a key is 64 hex digits",
            ),
            (
                "[[desk.operator]]\nname = \"anna\"\nkey = \"12\"\nmay = [\"mint\"]\n",
                "unknown variant `mint`",
            ),
            ("data = \n", ""),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.message.contains(says), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn a_pot_that_the_ledger_cannot_hold_is_refused_at_its_line() {
        let pots = |rows: &str| format!("[pool]\npot = [\n{rows}\n]\n");
        let many: String = (0..17)
            .map(|pot| format!("{{ pot = {pot}, scheme = \"solo\" }},\n"))
            .collect();
        for (rows, place, says) in [
            (
                "{ pot = 0, scheme = \"pplnz\" },",
                (3, 21),
                "unknown variant `pplnz`",
            ),
            (
                "{ pot = 4, scheme = \"solo\" },\n{ pot = 4, scheme = \"pplns\" },",
                (4, 9),
                "pot 4 stands here twice",
            ),
            (
                "{ pot = 0, scheme = \"pplns\", window_ppm = 0 },",
                (3, 43),
                "a window of nothing",
            ),
            (
                "{ pot = 0, scheme = \"pplns\", fee_ppm = 1000001 },",
                (3, 40),
                "a fee above the whole",
            ),
            (
                "{ pot = 0, scheme = \"pplns\", direct_min = 1, direct_outputs = 0 },",
                (3, 9),
                "1 to 500 direct_outputs",
            ),
            (
                "{ pot = 0, scheme = \"pps\", direct_min = 1 },",
                (3, 21),
                "pot 0 cannot pay by the coinbase",
            ),
            (many.as_str(), (19, 9), "more than 16 pots"),
            ("", (1, 1), "at least one pot"),
        ] {
            let fault = parse(&pots(rows)).unwrap_err();
            assert!(fault.message.contains(says), "{rows}: {}", fault.message);
            assert_eq!((fault.line, fault.column), place, "{rows}");
        }
    }

    #[test]
    fn configured_pots_are_the_rules_of_a_new_ledger_by_number() {
        let text = "[[pool.pot]]\npot = 9\nscheme = \"solo\"\nfee_ppm = 0\n\
                    [[pool.pot]]\npot = 2\nscheme = \"pplns\"\nwindow_ppm = 5\nfee_ppm = 1000000\ndirect_min = 7\n\
                    [[pool.pot]]\npot = 3\nscheme = \"prop\"\nfee_ppm = 1\n\
                    [[pool.pot]]\npot = 4\nscheme = \"pps\"\nfee_ppm = 2\n\
                    [[pool.pot]]\npot = 5\nscheme = \"fpps\"\nfee_ppm = 3\n";
        let rules = parse(text).unwrap().pool.rules();
        let said: Vec<_> = rules
            .iter()
            .map(|rules| (rules.pot.0, rules.scheme.name(), rules.fee_ppm))
            .collect();
        let expected = [
            (2, "pplns", 1_000_000),
            (3, "prop", 1),
            (4, "pps", 2),
            (5, "fpps", 3),
            (9, "solo", 0),
        ];
        assert_eq!(said, expected);
        assert_eq!((rules[0].n_ppm, rules[4].n_ppm), (5, 1));
        let direct = |pot: usize| (rules[pot].direct_min, rules[pot].direct_outputs);
        assert_eq!((direct(0), direct(4)), ((7, 100), (0, 0)));
    }

    #[test]
    fn the_distance_of_words_is_levenshteins() {
        for (left, right, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("listen", "litsen", 2),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
