//! What stands in docker-compose.yml and deploy/, as the checks see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// The files, so that a planted fault can change one.
#[derive(Clone, Debug)]
pub(crate) struct Deploy {
    /// docker-compose.yml, merge keys resolved.
    pub(crate) compose: Value,
    /// Text of every file of deploy/, by its path from the repository's root.
    pub(crate) files: BTreeMap<String, String>,
}

fn plain(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Integer(number) => Value::from(*number),
        Yaml::Boolean(is) => Value::from(*is),
        Yaml::Array(list) => list.iter().map(plain).collect(),
        Yaml::Hash(hash) => {
            let mut merged = Map::new();
            let mut own = Map::new();
            for (key, value) in hash {
                let key = key.as_str().expect("a key is a text");
                match plain(value) {
                    // As Compose reads it: what is said here wins over what is merged, whole key by whole key.
                    Value::Object(all) if key == "<<" => merged.extend(all),
                    value => drop(own.insert(key.to_owned(), value)),
                }
            }
            merged.extend(own);
            Value::Object(merged)
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("an alias of nothing"),
    }
}

/// A document of YAML.
///
/// # Panics
/// If it is none, or more than one.
pub(crate) fn yaml(text: &str) -> Value {
    let documents = YamlLoader::load_from_str(text).expect("YAML");
    assert_eq!(documents.len(), 1, "one document");
    plain(&documents[0])
}

fn read_all(root: &Path, folder: &Path, into: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(root, &path, into);
        } else {
            let name = path.strip_prefix(root).expect("below the root");
            let text = fs::read_to_string(&path).expect("text");
            into.insert(name.display().to_string(), text);
        }
    }
}

impl Deploy {
    pub(crate) fn read(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("docker-compose.yml")).expect("it is there");
        let mut files = BTreeMap::new();
        read_all(root, &root.join("deploy"), &mut files);
        Self {
            compose: yaml(&text),
            files,
        }
    }

    pub(crate) fn services(&self) -> &Map<String, Value> {
        self.compose["services"].as_object().expect("services")
    }

    pub(crate) fn file(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// A configuration of a role.
    pub(crate) fn toml(&self, path: &str) -> toml::Table {
        self.file(path).parse().expect("TOML")
    }

    /// Ports at which a service answers, as its own configuration says.
    pub(crate) fn ports_of(&self, service: &str) -> BTreeSet<u16> {
        let mut ports = BTreeSet::new();
        let said = &self.services()[service];
        for (host, _) in binds(said) {
            let text = self.file(host.trim_start_matches("./"));
            match host.rsplit('.').next() {
                Some("toml") => {
                    let config: toml::Table = text.parse().expect("TOML");
                    ports.extend(listens(&toml::Value::Table(config)));
                }
                Some("cfg") => ports.extend(words_after(text, "bind").filter_map(port)),
                Some("conf") => ports.extend(
                    text.lines()
                        .filter_map(|line| line.trim().strip_prefix("rpcport="))
                        .filter_map(|port| port.parse::<u16>().ok()),
                ),
                Some("properties") => ports.extend(
                    text.lines()
                        .filter_map(|line| line.strip_prefix("listeners="))
                        .flat_map(|line| line.split(','))
                        .filter_map(port),
                ),
                _ => {}
            }
        }
        // These listen where their makers decided.
        match service {
            "prometheus" => drop(ports.insert(9_090)),
            "grafana" => drop(ports.insert(3_000)),
            _ => {}
        }
        ports
    }
}

/// The port at the end of a word.
pub(crate) fn port(word: &str) -> Option<u16> {
    word.rsplit(':').next()?.parse().ok()
}

/// The words that follow `key` at the beginning of a line.
pub(crate) fn words_after<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    let after = move |line: &'t str| {
        let mut words = line.split_whitespace();
        words.next().filter(|first| *first == key)?;
        words.next()
    };
    text.lines().filter_map(after)
}

/// Every `listen` of a configuration.
fn listens(value: &toml::Value) -> Vec<u16> {
    match value {
        toml::Value::Table(table) => {
            let own = table.get("listen").and_then(toml::Value::as_str);
            let own = own.and_then(port).into_iter();
            own.chain(table.values().flat_map(listens)).collect()
        }
        toml::Value::Array(list) => list.iter().flat_map(listens).collect(),
        _ => Vec::new(),
    }
}

/// Texts of a list.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

/// What a service mounts: (where it comes from, where it goes).
pub(crate) fn mounts(service: &Value) -> Vec<(&str, &str)> {
    texts(&service["volumes"])
        .into_iter()
        .filter_map(|text| {
            let mut parts = text.split(':');
            Some((parts.next()?, parts.next()?))
        })
        .collect()
}

/// Files and folders of the host among them.
pub(crate) fn binds(service: &Value) -> Vec<(&str, &str)> {
    let mut all = mounts(service);
    all.retain(|(from, _)| from.starts_with('.') || from.starts_with('/'));
    all
}
