//! docker-compose.yml and deploy/ without an engine: every rule over the files, every command through the real binary's `check`,
//! the first start's script run for real, and every metric of alerts and dashboards against what the binary shows. Each check
//! has planted faults that it finds.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

#[path = "compose/deploy.rs"]
mod deploy;
#[path = "compose/metrics.rs"]
mod metrics;
#[path = "compose/openmetrics.rs"]
mod openmetrics;
#[path = "compose/rules.rs"]
mod rules;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use orebook_tests::{orebook_binary, repo_root};
use serde_json::{Value, json};

use deploy::{Deploy, binds, texts};

fn deploy() -> Deploy {
    Deploy::read(&repo_root())
}

#[test]
fn the_compose_file_keeps_every_rule() {
    let faults = rules::faults(&deploy());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_planted_fault_of_the_compose_file_is_found() {
    type Change = fn(&mut Value);
    let table: [(&str, Change); 40] = [
        (
            "kafka: the image `apache/kafka:latest` is not pinned",
            |c| set(c, "kafka", "image", json!("apache/kafka:latest")),
        ),
        ("grafana: the image `grafana/grafana` is not pinned", |c| {
            set(c, "grafana", "image", json!("grafana/grafana"))
        }),
        ("kafka: the image `apache/kafka:4` is not pinned", |c| {
            set(c, "kafka", "image", json!("apache/kafka:4"))
        }),
        ("settler: nobody builds `orebook:9.9.9`", |c| {
            set(c, "settler", "image", json!("orebook:9.9.9"))
        }),
        ("init: deploy/Dockerfile has no stage `other`", |c| {
            c["services"]["init"]["build"]["target"] = json!("other")
        }),
        ("kafka: runs as root", |c| {
            set(c, "kafka", "user", json!("0:0"))
        }),
        ("projector: runs as root", |c| {
            remove(c, "projector", "user")
        }),
        ("gateway-1: its root can be written", |c| {
            set(c, "gateway-1", "read_only", json!(false))
        }),
        ("haproxy: keeps capabilities", |c| {
            set(c, "haproxy", "cap_drop", json!(["NET_RAW"]))
        }),
        ("haproxy: gets rights", |c| {
            set(c, "haproxy", "cap_add", json!(["NET_ADMIN"]))
        }),
        ("init: may gain privileges", |c| {
            remove(c, "init", "security_opt")
        }),
        ("archiver-2: has no memory limit", |c| {
            remove(c, "archiver-2", "mem_limit")
        }),
        ("gateway-2: shares something with the host", |c| {
            set(c, "gateway-2", "network_mode", json!("host"))
        }),
        ("may write a file of the repository", |c| {
            c["services"]["kafka"]["volumes"][0] = json!("./deploy/init.sh:/x")
        }),
        ("settler: has no grace to end in", |c| {
            remove(c, "settler", "stop_grace_period")
        }),
        ("settler: is restarted wrongly", |c| {
            set(c, "settler", "restart", json!("no"))
        }),
        ("init: is restarted wrongly", |c| {
            set(c, "init", "restart", json!("always"))
        }),
        ("litecoind-b: has no health check", |c| {
            remove(c, "litecoind-b", "healthcheck")
        }),
        (
            "gateway-1: its health check asks where nobody answers",
            |c| {
                c["services"]["gateway-1"]["healthcheck"]["test"][3] =
                    json!("http://127.0.0.1:8081/readyz");
            },
        ),
        ("projector: `8080:8080` is open to everybody", |c| {
            set(c, "projector", "ports", json!(["8080:8080"]))
        }),
        (
            "prometheus: `0.0.0.0:9090:9090` is open to everybody",
            |c| set(c, "prometheus", "ports", json!(["0.0.0.0:9090:9090"])),
        ),
        ("kafka: `9092:9092` is open to everybody", |c| {
            set(c, "kafka", "ports", json!(["9092:9092"]))
        }),
        ("haproxy: `8405:8405` is open to everybody", |c| {
            set(
                c,
                "haproxy",
                "ports",
                json!(["3333:3333", "3334:3334", "8405:8405"]),
            )
        }),
        ("haproxy: publishes {3333}", |c| {
            set(c, "haproxy", "ports", json!(["3333:3333"]))
        }),
        (
            "projector: `127.0.0.1:8080:9999`: nobody listens there",
            |c| set(c, "projector", "ports", json!(["127.0.0.1:8080:9999"])),
        ),
        (
            "projector: publishes from a network that leads nowhere",
            |c| set(c, "projector", "networks", json!(["pool"])),
        ),
        ("settler: the network `pol` is not declared", |c| {
            set(c, "settler", "networks", json!(["pol"]))
        }),
        ("settler: is in the default network", |c| {
            remove(c, "settler", "networks")
        }),
        ("the network `pool` leads outside", |c| {
            c["networks"]["pool"]["internal"] = json!(false)
        }),
        (
            "mounts `./deploy/kafka/other.properties`, which is not there",
            |c| {
                c["services"]["kafka"]["volumes"][0] =
                    json!("./deploy/kafka/other.properties:/x:ro");
            },
        ),
        ("settler: mounts `/etc` of the host", |c| {
            push(c, "settler", "volumes", json!("/etc:/x:ro"))
        }),
        ("settler: rules the engine", |c| {
            push(c, "settler", "volumes", json!("/var/run/docker.sock:/x:ro"))
        }),
        ("settler: the volume `setler` is not declared", |c| {
            push(c, "settler", "volumes", json!("setler:/x"))
        }),
        ("the volume `unused` is nobody's", |c| {
            c["volumes"]["unused"] = json!({})
        }),
        ("settler: waits for `litecoind`, which is not there", |c| {
            c["services"]["settler"]["depends_on"]["litecoind"] = json!({})
        }),
        ("waits for `preflight` by `service_healthy`", |c| {
            c["services"]["settler"]["depends_on"]["preflight"]["condition"] =
                json!("service_healthy");
        }),
        ("gateway-1: sees every key", |c| {
            push(c, "gateway-1", "volumes", json!("site:/site:ro"))
        }),
        ("gateway-2: its folder is [\"gateway-1\"]", |c| {
            c["services"]["gateway-2"]["volumes"][1] = json!("gateway-1:/data")
        }),
        ("settler: does not mount `/rpc/b/cookie`", |c| {
            c["services"]["settler"]["volumes"]
                .as_array_mut()
                .expect("a list")
                .pop();
        }),
        (
            "port 3333: proxy_from is [\"172.30.77.10\"], HAProxy is 172.30.77.11",
            |c| {
                c["services"]["haproxy"]["networks"]["pool"]["ipv4_address"] =
                    json!("172.30.77.11");
            },
        ),
    ];
    let sound = deploy();
    for (says, change) in table {
        let mut wrong = sound.clone();
        change(&mut wrong.compose);
        finds(&wrong, says);
    }
}

fn set(compose: &mut Value, service: &str, key: &str, value: Value) {
    compose["services"][service][key] = value;
}

fn remove(compose: &mut Value, service: &str, key: &str) {
    let service = compose["services"][service].as_object_mut();
    assert!(service.expect("a service").remove(key).is_some(), "{key}");
}

fn push(compose: &mut Value, service: &str, key: &str, value: Value) {
    let list = compose["services"][service][key].as_array_mut();
    list.expect("a list").push(value);
}

fn finds(wrong: &Deploy, says: &str) {
    let faults = rules::faults(wrong);
    assert!(
        faults.iter().any(|fault| fault.contains(says)),
        "not found: {says}\n{}",
        faults.join("\n")
    );
}

#[test]
fn each_planted_fault_of_the_files_beside_it_is_found() {
    let table = [
        (
            "deploy/haproxy/haproxy.cfg",
            "gateway-2:3334",
            "gateway-3:3334",
            "haproxy: no `server gateway-2 gateway-2:3334`",
        ),
        (
            "deploy/haproxy/haproxy.cfg",
            " send-proxy-v2",
            "",
            "haproxy: sends no PROXY header",
        ),
        (
            "deploy/haproxy/haproxy.cfg",
            "check port 8080",
            "check port 80",
            "haproxy: checks port Some(80)",
        ),
        (
            "deploy/haproxy/haproxy.cfg",
            "bind :3334",
            "bind :3335",
            "haproxy: nobody binds 3334",
        ),
        (
            "deploy/haproxy/haproxy.cfg",
            "option httpchk GET /readyz",
            "option tcp-check",
            "haproxy: a backend is not checked",
        ),
        (
            "deploy/orebook/gateway.toml",
            "proxy_from = [\"172.30.77.10\"]",
            "proxy_from = []",
            "port 3333: proxy_from is []",
        ),
        (
            "deploy/orebook/gateway.toml",
            "archiver-2:8080",
            "archiver-3:8080",
            "nobody listens at `archiver-3:8080`",
        ),
        (
            "deploy/orebook/settler.toml",
            "litecoind-a:19443",
            "litecoind-a:9332",
            "nobody listens at `litecoind-a:9332`",
        ),
        (
            "deploy/orebook/archiver.toml",
            "kafka:9092",
            "kafka:9093x",
            "nobody listens at `kafka:9093x`",
        ),
        (
            "deploy/orebook/projector.toml",
            "0.0.0.0:8080",
            "0.0.0.0:8081",
            "projector: `127.0.0.1:8080:8080`: nobody listens there",
        ),
        (
            "deploy/kafka/server.properties",
            "auto.create.topics.enable=false",
            "auto.create.topics.enable=true",
            "no `auto.create.topics.enable=false`",
        ),
        (
            "deploy/litecoin/regtest.conf",
            "rpcallowip=172.30.77.0/24",
            "rpcallowip=0.0.0.0/0",
            "litecoind: does not let in 172.30.77.0/24",
        ),
        (
            "deploy/prometheus/prometheus.yml",
            "\"settler:8080\"",
            "\"projector:8080\"",
            "prometheus.yml: does not ask settler",
        ),
        (
            "deploy/init.sh",
            "role settler settler.key",
            "",
            "deploy/init.sh: forgets settler",
        ),
        (
            "deploy/Dockerfile",
            "FROM debian:12.11-slim AS orebook",
            "FROM debian AS orebook",
            "`debian` is not pinned",
        ),
        (
            "deploy/Dockerfile",
            "USER 10001:10001\nENTRYPOINT",
            "ENTRYPOINT",
            "a stage ends as user ``",
        ),
    ];
    let sound = deploy();
    for (path, from, to, says) in table {
        let mut wrong = sound.clone();
        let text = wrong.files.get_mut(path).expect("the file");
        assert!(text.contains(from), "{path}: {from}");
        *text = text.replace(from, to);
        finds(&wrong, says);
    }
}

/// `orebook check -- COMMAND`.
fn check(words: &[String]) -> Output {
    let output = Command::new(orebook_binary())
        .args(["check", "--"])
        .args(words)
        .output();
    output.expect("the binary runs")
}

/// The words with the container's paths made the repository's.
fn on_this_machine(service: &Value, words: &[&str]) -> Vec<String> {
    let mounted = binds(service);
    let word = |word: &&str| {
        let bind = mounted.iter().find(|(_, to)| to == word);
        bind.map_or_else(
            || (*word).to_owned(),
            |(from, _)| repo_root().join(from).display().to_string(),
        )
    };
    words.iter().map(word).collect()
}

fn understood(who: &str, words: &[String]) {
    let output = check(words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{who}: {words:?}: {said}");
}

#[test]
fn the_real_binary_understands_every_command() {
    let deploy = deploy();
    let mut seen = Vec::new();
    for (name, service) in deploy.services() {
        if !service["image"]
            .as_str()
            .is_some_and(|image| image.starts_with("orebook:"))
        {
            continue;
        }
        let health = texts(&service["healthcheck"]["test"]);
        let command = texts(&service["command"]);
        for words in [command.as_slice(), health.get(2..).unwrap_or_default()] {
            if words.is_empty() {
                continue;
            }
            let words = on_this_machine(service, words);
            understood(name, &words);
            seen.push(words[0].clone());
        }
    }
    for role in [
        "gateway",
        "archiver",
        "settler",
        "paymaster",
        "projector",
        "desk",
        "check",
        "health",
    ] {
        assert!(
            seen.iter().any(|word| word == role),
            "nobody runs {role}: {seen:?}"
        );
    }
    for (path, text) in &deploy.files {
        let Some(command) = text
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart="))
        else {
            assert!(!path.ends_with(".service"), "{path} starts nothing");
            continue;
        };
        let words: Vec<String> = command
            .replace("%i", "1")
            .split_whitespace()
            .skip(1)
            .map(|word| match word.strip_prefix("/etc/orebook/") {
                Some(file) => repo_root()
                    .join("deploy/orebook")
                    .join(file)
                    .display()
                    .to_string(),
                None => word.to_owned(),
            })
            .collect();
        understood(path, &words);
    }
}

#[test]
fn a_command_that_would_not_start_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = deploy().file("deploy/orebook/gateway.toml").to_owned();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let good = written("good.toml", &gateway);
    let two = written(
        "two.toml",
        &gateway.replace(
            "[spool]",
            "[[gateway]]\n[[gateway.port]]\nlisten = \"0.0.0.0:1\"\ndifficulty = \"1\"\n[spool]",
        ),
    );
    let alone = written("alone.toml", "");
    let network = written(
        "network.toml",
        &gateway.replace("172.30.77.10", "172.30.77.10/24"),
    );
    let key = written("key.toml", &gateway.replace("proxy_from", "proxy_form"));
    let table: [(&[&str], &str); 12] = [
        (
            &["gatway", "--config", &good],
            "unrecognized subcommand 'gatway'",
        ),
        (&["gateway", "--data", "/data"], "required arguments"),
        (
            &["gateway", "--data", "/data", "--config", "/nowhere.toml"],
            "/nowhere.toml",
        ),
        (
            &[
                "gateway", "--data", "/data", "--config", &good, "--number", "33",
            ],
            "33",
        ),
        (
            &[
                "gateway", "--data", "/data", "--config", &good, "--nmber", "1",
            ],
            "--nmber",
        ),
        (
            &[
                "gateway", "--data", "/data", "--config", &two, "--number", "3",
            ],
            "no gateway 3",
        ),
        (&["gateway", "--config", &good], "needs the folder"),
        (
            &["archiver", "--data", "/data", "--config", &alone],
            "a log that others reach",
        ),
        (
            &["gateway", "--data", "/data", "--config", &network],
            "proxy_from: 172.30.77.10/24: bits are set behind",
        ),
        (
            &["settler", "--data", "/data", "--config", &key],
            "proxy_form",
        ),
        (
            &["desk", "--data", "/data", "--config", &alone],
            "a log that others reach",
        ),
        (
            &["paymaster", "--data", "/data", "--config", &alone],
            "a log that others reach",
        ),
    ];
    for (words, says) in table {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let output = check(&words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words:?} is understood");
        assert!(said.contains(says), "{words:?}: {said}");
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).map(|all| {
        all.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
    });
    let mut names: Vec<String> = names.unwrap_or_default();
    names.sort();
    names
}

/// Runs deploy/init.sh with the real binary in the search path.
fn init(folder: &Path) -> bool {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    if !bin.join("orebook").exists() {
        std::os::unix::fs::symlink(orebook_binary(), bin.join("orebook")).expect("a link");
    }
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let status = Command::new("sh")
        .arg(repo_root().join("deploy/init.sh"))
        .env("PATH", path)
        .env("SITE", folder.join("site"))
        .env("ROLES", folder.join("roles"))
        .status();
    status.expect("sh runs").success()
}

#[test]
fn the_first_start_gives_each_role_its_own_key_and_changes_nothing_later() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("site")).expect("a folder");
    assert!(init(folder.path()));
    let roles = folder.path().join("roles");
    let table = [
        ("gateway-1", vec!["gateway-1.key"]),
        ("gateway-2", vec!["gateway-2.key"]),
        ("archiver-1", vec!["archiver-1.key"]),
        ("archiver-2", vec!["archiver-2.key"]),
        ("settler", vec!["settler.key"]),
        ("paymaster", vec!["paymaster.key"]),
        ("desk", vec!["desk.key"]),
        ("projector", vec![]),
    ];
    let genesis = |path: &Path| {
        let files = entries(&path.join("ledger/segments"));
        assert_eq!(files.len(), 1, "{files:?}");
        fs::read(path.join("ledger/segments").join(&files[0])).expect("read")
    };
    let first = genesis(&folder.path().join("site/pool"));
    for (role, keys) in &table {
        assert_eq!(&entries(&roles.join(role).join("keys")), keys, "{role}");
        assert_eq!(genesis(&roles.join(role)), first, "{role}");
    }
    assert_eq!(entries(&roles).len(), table.len());
    // A role has gone on since; another one was interrupted half way, and a third lost its volume.
    fs::write(roles.join("settler/keys/settler.key"), "changed").expect("written");
    fs::rename(roles.join("desk/ledger"), roles.join("desk/ledger.new")).expect("renamed");
    fs::remove_dir_all(roles.join("gateway-2")).expect("removed");
    assert!(init(folder.path()));
    let kept = fs::read_to_string(roles.join("settler/keys/settler.key"));
    assert_eq!(kept.expect("read"), "changed");
    for role in ["desk", "gateway-2"] {
        assert_eq!(genesis(&roles.join(role)), first, "{role}");
        assert_eq!(
            entries(&roles.join(role).join("keys")),
            [format!("{role}.key")]
        );
        assert_eq!(entries(&roles.join(role)), ["keys", "ledger"]);
    }
}
