//! What docker-compose.yml and the files it names must be, each rule a function that says what is wrong.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::deploy::{Deploy, binds, mounts, port, texts, words_after, yaml};

/// Ports of Stratum: these alone may be published to everybody.
const STRATUM: [u16; 2] = [3_333, 3_334];
/// Services that run once, before the others.
const ONCE: [&str; 2] = ["init", "preflight"];
/// Volumes with every key; one service may see it.
const ALL_KEYS: &str = "site";

type Rule = fn(&Deploy, &mut Vec<String>);

/// Everything that is wrong.
pub(crate) fn faults(deploy: &Deploy) -> Vec<String> {
    let rules: [Rule; 9] = [
        images,
        confined,
        lives,
        published,
        declared,
        keys,
        balancer,
        brokers_and_nodes,
        scrapes,
    ];
    let mut faults = Vec::new();
    rules.iter().for_each(|rule| rule(deploy, &mut faults));
    faults
}

/// `name:1.2.3…`, `name:12.11-slim`, or by digest; never a tag that moves on by itself.
fn is_pinned(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return digest.len() == 64;
    }
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let version = tag.trim_start_matches('v').split('-').next().unwrap_or("");
    let parts: Vec<&str> = version.split('.').collect();
    2 <= parts.len() && parts.iter().all(|part| part.parse::<u32>().is_ok())
}

fn images(deploy: &Deploy, faults: &mut Vec<String>) {
    for (name, service) in deploy.services() {
        let image = service["image"].as_str().unwrap_or("");
        if !is_pinned(image) {
            faults.push(format!("{name}: the image `{image}` is not pinned"));
        }
    }
    let own: BTreeSet<&str> = deploy
        .services()
        .values()
        .filter(|service| !service["build"].is_null())
        .filter_map(|service| service["image"].as_str())
        .collect();
    for (name, service) in deploy.services() {
        let image = service["image"].as_str().unwrap_or("");
        if image.starts_with("orebook") && !own.contains(image) {
            faults.push(format!("{name}: nobody builds `{image}`"));
        }
        let build = &service["build"];
        if build.is_null() {
            continue;
        }
        let path = build["dockerfile"].as_str().unwrap_or("");
        let target = build["target"].as_str().unwrap_or("");
        if !deploy.file(path).contains(&format!(" AS {target}\n")) {
            faults.push(format!("{name}: {path} has no stage `{target}`"));
        }
    }
    let text = deploy.file("deploy/Dockerfile");
    let mut stages: Vec<&str> = Vec::new();
    let mut user = "";
    for line in text.lines().chain(["FROM end:1.0"]) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["FROM", image, rest @ ..] => {
                if !stages.is_empty() && stages.last() != Some(&"build") && user != "10001:10001" {
                    faults.push(format!("deploy/Dockerfile: a stage ends as user `{user}`"));
                }
                if !stages.contains(image) && !is_pinned(image) {
                    faults.push(format!("deploy/Dockerfile: `{image}` is not pinned"));
                }
                stages.push(rest.last().unwrap_or(image));
                user = "";
            }
            ["USER", who] => user = who,
            _ => {}
        }
    }
}

fn confined(deploy: &Deploy, faults: &mut Vec<String>) {
    for (name, service) in deploy.services() {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        let user = service["user"].as_str().unwrap_or("");
        let uid = user
            .split(':')
            .next()
            .and_then(|uid| uid.parse::<u32>().ok());
        must(
            uid.is_some_and(|uid| uid != 0),
            "runs as root, or as nobody knows whom",
        );
        must(service["read_only"] == true, "its root can be written");
        must(texts(&service["cap_drop"]) == ["ALL"], "keeps capabilities");
        must(
            service["cap_add"].is_null() && service["privileged"].is_null(),
            "gets rights",
        );
        let options = texts(&service["security_opt"]);
        must(
            options.contains(&"no-new-privileges:true"),
            "may gain privileges",
        );
        let limit = service["mem_limit"].as_str().unwrap_or("");
        must(limit.ends_with(['m', 'g']), "has no memory limit");
        for host in ["network_mode", "pid", "ipc", "userns_mode"] {
            must(service[host] != "host", "shares something with the host");
        }
        for (from, _) in mounts(service) {
            must(!from.contains("docker.sock"), "rules the engine");
        }
        let writable = texts(&service["volumes"]);
        let writable = writable
            .iter()
            .filter(|text| text.starts_with('.') && !text.ends_with(":ro"));
        must(writable.count() == 0, "may write a file of the repository");
    }
}

fn lives(deploy: &Deploy, faults: &mut Vec<String>) {
    for (name, service) in deploy.services() {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        let grace = service["stop_grace_period"].as_str().unwrap_or("");
        let seconds = grace
            .strip_suffix('s')
            .and_then(|text| text.parse::<u32>().ok());
        must(
            seconds.is_some_and(|seconds| 10 <= seconds),
            "has no grace to end in",
        );
        let once = ONCE.contains(&name.as_str());
        must(
            service["restart"] == if once { "no" } else { "unless-stopped" },
            "is restarted wrongly",
        );
        if once {
            continue;
        }
        let test = texts(&service["healthcheck"]["test"]);
        must(
            test.first() == Some(&"CMD") && 2 <= test.len(),
            "has no health check",
        );
        must(
            !service["healthcheck"]["start_period"].is_null(),
            "has no time to start in",
        );
        let asked = test.iter().flat_map(|word| word.split("127.0.0.1")).skip(1);
        let asked: Vec<u16> = asked
            .filter_map(|rest| {
                let digits = rest.trim_start_matches([':', '/']);
                let end = digits
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(digits.len());
                digits.get(..end)?.parse().ok()
            })
            .collect();
        let own = deploy.ports_of(name);
        must(
            asked.iter().all(|port| own.contains(port)),
            "its health check asks where nobody answers",
        );
    }
}

fn published(deploy: &Deploy, faults: &mut Vec<String>) {
    for (name, service) in deploy.services() {
        for text in texts(&service["ports"]) {
            let parts: Vec<&str> = text.split(':').collect();
            let (address, inner) = match parts.as_slice() {
                [_, inner] => ("0.0.0.0", *inner),
                [address, _, inner] => (*address, *inner),
                _ => ("?", ""),
            };
            let Some(inner) = port(inner) else {
                faults.push(format!("{name}: `{text}` is no port"));
                continue;
            };
            let is_stratum = name == "haproxy" && STRATUM.contains(&inner);
            if address != "127.0.0.1" && !is_stratum {
                faults.push(format!("{name}: `{text}` is open to everybody"));
            }
            if !deploy.ports_of(name).contains(&inner) {
                faults.push(format!("{name}: `{text}`: nobody listens there"));
            }
        }
        let networks = &service["networks"];
        let named: Vec<&str> = match networks.as_object() {
            Some(all) => all.keys().map(String::as_str).collect(),
            None => texts(networks),
        };
        if !service["ports"].is_null() && !named.contains(&"edge") {
            faults.push(format!(
                "{name}: publishes from a network that leads nowhere"
            ));
        }
        for network in &named {
            if deploy.compose["networks"].get(network).is_none() {
                faults.push(format!("{name}: the network `{network}` is not declared"));
            }
        }
        if named.is_empty() && service["network_mode"] != "none" {
            faults.push(format!("{name}: is in the default network"));
        }
    }
    let open: BTreeSet<u16> = texts(&deploy.services()["haproxy"]["ports"])
        .into_iter()
        .filter_map(port)
        .collect();
    if open != STRATUM.into() {
        faults.push(format!(
            "haproxy: publishes {open:?}, not Stratum's {STRATUM:?}"
        ));
    }
    if deploy.compose["networks"]["pool"]["internal"] != true {
        faults.push("the network `pool` leads outside".to_owned());
    }
}

fn declared(deploy: &Deploy, faults: &mut Vec<String>) {
    let mut used = BTreeSet::new();
    for (name, service) in deploy.services() {
        for (from, to) in mounts(service) {
            if let Some(path) = from.strip_prefix("./") {
                let folder = format!("{path}/");
                let is_there = deploy
                    .files
                    .keys()
                    .any(|file| file == path || file.starts_with(&folder));
                if !is_there {
                    faults.push(format!("{name}: mounts `{from}`, which is not there"));
                }
            } else if from.starts_with('/') {
                faults.push(format!("{name}: mounts `{from}` of the host"));
            } else if deploy.compose["volumes"].get(from).is_none() {
                faults.push(format!("{name}: the volume `{from}` is not declared"));
            } else {
                used.insert(from);
            }
            if !to.starts_with('/') {
                faults.push(format!("{name}: mounts to `{to}`"));
            }
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let Some(awaited) = deploy.services().get(other) else {
                faults.push(format!("{name}: waits for `{other}`, which is not there"));
                continue;
            };
            let how = how["condition"].as_str().unwrap_or("");
            let once = ONCE.contains(&other.as_str());
            let fits = match how {
                "service_completed_successfully" => once,
                "service_healthy" => !once && !awaited["healthcheck"].is_null(),
                "service_started" => !once,
                _ => false,
            };
            if !fits {
                faults.push(format!("{name}: waits for `{other}` by `{how}`"));
            }
        }
    }
    let all = deploy.compose["volumes"].as_object().expect("volumes");
    for name in all.keys().filter(|name| !used.contains(name.as_str())) {
        faults.push(format!("the volume `{name}` is nobody's"));
    }
}

/// Each role sees its own key only.
fn keys(deploy: &Deploy, faults: &mut Vec<String>) {
    let script = deploy.file("deploy/init.sh");
    for (name, service) in deploy.services() {
        let volumes: Vec<(&str, &str)> = mounts(service)
            .into_iter()
            .filter(|(from, _)| !from.starts_with('.'))
            .collect();
        if name != "init" && volumes.iter().any(|(from, _)| *from == ALL_KEYS) {
            faults.push(format!("{name}: sees every key"));
        }
        let data: Vec<&str> = volumes
            .iter()
            .filter(|(_, to)| *to == "/data")
            .map(|(from, _)| *from)
            .collect();
        let Some(words) = role_of(service) else {
            continue;
        };
        let own = match words {
            (role, Some(number)) => format!("{role}-{number}"),
            (role, None) => role.to_owned(),
        };
        let own = if name == "preflight" {
            "projector".to_owned()
        } else {
            own
        };
        if data != [own.as_str()] {
            faults.push(format!("{name}: its folder is {data:?}, not `{own}`"));
        }
        let foreign = volumes
            .iter()
            .filter(|(from, to)| *to != "/data" && !from.starts_with("rpc-"));
        for (from, _) in foreign {
            faults.push(format!("{name}: sees `{from}` too"));
        }
    }
    for role in [
        "gateway-$number",
        "archiver-$number",
        "settler",
        "paymaster",
        "desk",
        "projector",
    ] {
        if !script.contains(&format!("role {role}"))
            && !script.contains(&format!("role \"{role}\""))
        {
            faults.push(format!("deploy/init.sh: forgets {role}"));
        }
    }
}

/// The role that a service's command names, and its number.
fn role_of(service: &Value) -> Option<(&str, Option<&str>)> {
    if !service["image"].as_str()?.starts_with("orebook:") {
        return None;
    }
    let words = texts(&service["command"]);
    let role = *words.first()?;
    let number = words.iter().position(|word| *word == "--number");
    Some((role, number.and_then(|at| words.get(at + 1).copied())))
}

/// HAProxy and the gateways mean the same names, ports and addresses.
fn balancer(deploy: &Deploy, faults: &mut Vec<String>) {
    let text = deploy.file("deploy/haproxy/haproxy.cfg");
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let gateways: Vec<&String> = deploy
        .services()
        .iter()
        .filter(|(_, service)| role_of(service).is_some_and(|(role, _)| role == "gateway"))
        .map(|(name, _)| name)
        .collect();
    must(gateways.len() == 2, format!("{} gateways", gateways.len()));
    let config = deploy.toml("deploy/orebook/gateway.toml");
    let http = config["http"]["listen"].as_str().and_then(port);
    let ports = config["gateway"][0]["port"]
        .as_array()
        .expect("ports")
        .clone();
    let servers: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("server "))
        .collect();
    must(
        servers.len() == gateways.len() * ports.len(),
        format!("haproxy: {} servers", servers.len()),
    );
    let defaults = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("default-server "));
    let defaults: Vec<&str> = defaults.unwrap_or("").split_whitespace().collect();
    must(
        defaults.contains(&"send-proxy-v2"),
        "haproxy: sends no PROXY header".to_owned(),
    );
    must(
        !defaults.contains(&"check-send-proxy"),
        "haproxy: its checks speak PROXY to HTTP".to_owned(),
    );
    let checked = defaults.iter().position(|word| *word == "port");
    let checked = checked.and_then(|at| defaults.get(at + 1)?.parse::<u16>().ok());
    must(
        checked == http,
        format!("haproxy: checks port {checked:?}, health is at {http:?}"),
    );
    must(
        text.matches("option httpchk GET /readyz").count() == ports.len(),
        "haproxy: a backend is not checked".to_owned(),
    );
    let address = deploy.services()["haproxy"]["networks"]["pool"]["ipv4_address"]
        .as_str()
        .unwrap_or("");
    for said in &ports {
        let listen = said["listen"].as_str().and_then(port).unwrap_or(0);
        let from: Vec<&str> = said
            .get("proxy_from")
            .and_then(toml::Value::as_array)
            .map(|list| list.iter().filter_map(toml::Value::as_str).collect())
            .unwrap_or_default();
        must(
            from == [address],
            format!("port {listen}: proxy_from is {from:?}, HAProxy is {address}"),
        );
        for gateway in &gateways {
            let wanted = format!("server {gateway} {gateway}:{listen}");
            must(
                servers.contains(&wanted.as_str()),
                format!("haproxy: no `{wanted}`"),
            );
        }
        let bound = words_after(text, "bind")
            .filter_map(port)
            .any(|bound| bound == listen);
        must(bound, format!("haproxy: nobody binds {listen}"));
    }
    let subnet = deploy.compose["networks"]["pool"]["ipam"]["config"][0]["subnet"]
        .as_str()
        .unwrap_or("");
    let prefix = subnet.strip_suffix("0/24").unwrap_or("?");
    must(
        address.starts_with(prefix),
        format!("{address} is not in {subnet}"),
    );
    let node = deploy.file("deploy/litecoin/regtest.conf");
    must(
        node.contains(&format!("rpcallowip={subnet}\n")),
        format!("litecoind: does not let in {subnet}"),
    );
}

/// Every role's `host:port` is a service of this file that listens there.
fn brokers_and_nodes(deploy: &Deploy, faults: &mut Vec<String>) {
    let mut places: Vec<(String, String)> = Vec::new();
    for (path, text) in &deploy.files {
        if !path.starts_with("deploy/orebook/") {
            continue;
        }
        let config: toml::Table = text.parse().expect("TOML");
        let list = |value: Option<&toml::Value>| -> Vec<String> {
            let list = value
                .and_then(toml::Value::as_array)
                .cloned()
                .unwrap_or_default();
            list.iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        let brokers = list(config.get("kafka").and_then(|kafka| kafka.get("brokers")));
        if brokers.is_empty() {
            faults.push(format!("{path}: names no broker"));
        }
        let peers = list(config.get("ledger").and_then(|ledger| ledger.get("peers")));
        let nodes = config
            .get("node")
            .and_then(toml::Value::as_array)
            .cloned()
            .unwrap_or_default();
        let nodes = nodes
            .iter()
            .filter_map(|node| Some(node.get("rpc")?.as_str()?.to_owned()));
        places.extend(
            brokers
                .into_iter()
                .chain(peers)
                .chain(nodes)
                .map(|place| (path.clone(), place)),
        );
        for node in config
            .get("node")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
        {
            let file = node
                .get("credentials_file")
                .and_then(toml::Value::as_str)
                .unwrap_or("");
            let users = deploy.services().iter().filter(|(_, service)| {
                binds(service)
                    .iter()
                    .any(|(from, _)| from.trim_start_matches("./") == path)
            });
            for (user, service) in users {
                let is_mounted = mounts(service)
                    .iter()
                    .any(|(_, to)| file.starts_with(&format!("{to}/")));
                if !is_mounted {
                    faults.push(format!("{user}: does not mount `{file}`"));
                }
            }
        }
    }
    let prometheus = yaml(deploy.file("deploy/prometheus/prometheus.yml"));
    for job in prometheus["scrape_configs"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let targets = texts(&job["static_configs"][0]["targets"]);
        places.extend(
            targets
                .into_iter()
                .map(|target| ("prometheus.yml".to_owned(), target.to_owned())),
        );
    }
    for (who, place) in places {
        let (host, at) = (place.split(':').next().unwrap_or(""), port(&place));
        let listens = deploy.services().contains_key(host)
            && at.is_some_and(|at| deploy.ports_of(host).contains(&at));
        if !listens {
            faults.push(format!("{who}: nobody listens at `{place}`"));
        }
    }
    let kafka = deploy.file("deploy/kafka/server.properties");
    for line in [
        "auto.create.topics.enable=false",
        "unclean.leader.election.enable=false",
        "advertised.listeners=PLAINTEXT://kafka:9092",
        "log.dirs=/var/lib/kafka/data",
    ] {
        if !kafka.lines().any(|said| said == line) {
            faults.push(format!("server.properties: no `{line}`"));
        }
    }
}

/// Prometheus asks every role.
fn scrapes(deploy: &Deploy, faults: &mut Vec<String>) {
    let text = deploy.file("deploy/prometheus/prometheus.yml");
    for (name, service) in deploy.services() {
        let is_role = role_of(service).is_some() && !ONCE.contains(&name.as_str());
        if is_role && !text.contains(&format!("\"{name}:")) {
            faults.push(format!("prometheus.yml: does not ask {name}"));
        }
    }
}
