//! What the configuration says of gateways, in the gateway's own words.

use std::time::Duration;

use orebook_gateway::{
    AskedDifficulty, DifficultyRule, Elsewhere, EthashConfig, GatewayConfig, Limits, PortConfig,
    VERSION_MASK_DEFAULT, VardiffRule, difficulty,
};
use orebook_schema::names::Pot;
use orebook_schema::units::WorkUnit;

use super::chain::Chain;
use super::place::Place;
use super::roles::failed;
use crate::Failure;
use orebook::config::{
    AskedText, Config, Gateway as GatewayText, NodeKind, Port, balancers, edge, region, tls,
};

/// Retargets of a variable difficulty look at so many times the wanted time between shares.
const RETARGET_SHARES: u32 = 12;
/// Folder of ethash's caches, which gateways of one folder share.
const CACHES: &str = "ethash";

/// What a configuration says of gateways, without starting one.
pub(crate) fn check(config: &Config, gateways: &[GatewayText]) -> Result<(), Failure> {
    let is_ethash = config.node.iter().any(|node| node.kind == NodeKind::Ethash);
    let unit = if is_ethash {
        WorkUnit::Ethash
    } else {
        WorkUnit::Sha256d
    };
    for port in gateways.iter().flat_map(|gateway| &gateway.port) {
        elsewhere(port)?;
        rule(port, unit)?;
        if let Some(files) = tls(port) {
            let what = format!("port {}", port.listen);
            files.check().map_err(|error| failed(&what, error))?;
        }
    }
    if orebook_chain::template::TEXT_BYTES_MAX < config.pool.text.len() {
        return Err(Failure::new("pool.text is longer than 32 bytes"));
    }
    Ok(())
}

fn elsewhere(port: &Port) -> Result<Vec<Elsewhere>, Failure> {
    let wrong = |text: &str| {
        Failure::new(format!(
            "port {}: elsewhere = {text:?} is no host:port",
            port.listen
        ))
    };
    let all = port.elsewhere.all().iter();
    all.map(|text| Elsewhere::parse(text).ok_or_else(|| wrong(text)))
        .collect()
}

fn limits(gateway: &GatewayText) -> Limits {
    let drain = &gateway.drain;
    Limits {
        idle: Duration::from_secs(u64::from(gateway.idle_s)),
        slowest_hashes_per_s: gateway.slowest_hashes_per_s,
        drain_wave: usize::try_from(drain.wave).unwrap_or(usize::MAX),
        drain_interval: Duration::from_millis(u64::from(drain.interval_ms)),
        drain_grace: Duration::from_secs(u64::from(drain.grace_s)),
        drain_max: Duration::from_secs(u64::from(drain.max_s)),
        check_threads: usize::from(gateway.checks.threads),
        check_wait: Duration::from_secs(u64::from(gateway.checks.wait_s)),
        ..gateway.doors.limits()
    }
}

fn rule(port: &Port, unit: WorkUnit) -> Result<DifficultyRule, Failure> {
    let work = |text: &str| {
        difficulty(text, unit)
            .ok_or_else(|| Failure::new(format!("port {}: {text} is no difficulty", port.listen)))
    };
    match (&port.difficulty, &port.vardiff) {
        (Some(text), _) => Ok(DifficultyRule::Fixed(work(text)?)),
        (None, Some(vardiff)) => {
            let target = Duration::from_secs(u64::from(vardiff.seconds_per_share));
            Ok(DifficultyRule::Vardiff(VardiffRule {
                start: work(&vardiff.start)?,
                min: work(&vardiff.min)?,
                max: work(&vardiff.max)?,
                target,
                retarget: target * RETARGET_SHARES,
                asked: match vardiff.password {
                    AskedText::Start => AskedDifficulty::Start,
                    AskedText::Fixed => AskedDifficulty::Fixed,
                },
            }))
        }
        (None, None) => Err(Failure::new(format!("port {}: no difficulty", port.listen))),
    }
}

pub(super) fn gateway_config(
    (number, gateway): (u8, &GatewayText),
    config: &Config,
    place: &Place,
    chain: &Chain,
) -> Result<GatewayConfig, Failure> {
    let unit = place.genesis.algorithm.work_unit();
    let ports = gateway.port.iter().map(|port| {
        Ok(PortConfig {
            address: port.listen,
            pot: Pot(port.pot),
            difficulty: rule(port, unit)?,
            proxy_from: balancers(port).map_err(Failure::new)?,
            elsewhere: elsewhere(port)?,
            tls: tls(port),
            region: region(gateway, port).map_err(Failure::new)?,
        })
    });
    Ok(GatewayConfig {
        algorithm: place.genesis.algorithm,
        ports: ports.collect::<Result<_, Failure>>()?,
        payout_script: chain.payout.script().to_vec(),
        coinbase_text: config.pool.text.clone(),
        extranonce2_bytes: orebook_gateway::EXTRANONCE2_BYTES_DEFAULT,
        version_mask: VERSION_MASK_DEFAULT,
        commit_spacing: Duration::from_millis(u64::from(gateway.commit_ms)),
        stale_grace: Duration::from_millis(u64::from(gateway.stale_grace_ms)),
        limits: limits(gateway),
        edge: edge(gateway).map_err(Failure::new)?,
        ethash: EthashConfig {
            gateway: number,
            cache_folder: Some(place.path().join(CACHES)),
            rule: None,
        },
    })
}
