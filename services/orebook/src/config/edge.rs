//! What holds at a gateway's doors: limits, who is exempt from them, and certificates.

use std::path::PathBuf;
use std::time::Duration;

use orebook_gateway::{
    EXEMPT_MAX, EdgeConfig, FIREWALL_ARGUMENTS_MAX, FirewallConfig, Limits, Network,
    REGISTER_BYTES_MAX, REGISTER_DEFAULT, TlsFiles,
};
use serde::Deserialize;

use super::{Gateway, Port};

/// A port's certificate. Both files are looked at every two seconds, and at SIGHUP; what changed is served from then on.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain as PEM, the server's own certificate first.
    pub certificate_file: PathBuf,
    /// Its key as PEM, readable by its owner only.
    pub key_file: PathBuf,
}

/// The command that puts an address that is kept out into a set of the system's filter.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// Program and arguments: `%a` stands for the address, `%s` for the seconds, `%f` for the family, 4 or 6. No shell reads it.
    pub command: Vec<String>,
    /// Milliseconds that it may take.
    #[serde(default = "firewall_timeout_ms")]
    pub timeout_ms: u32,
}

const fn firewall_timeout_ms() -> u32 {
    5_000
}

/// Limits of a gateway's doors. What each does when it is hit is said at [`orebook_gateway::Limits`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Doors {
    /// Connections of a port.
    pub connections_per_port: u32,
    /// Connections of an address; IPv6 counts by /64 here and below.
    pub connections_per_address: u32,
    /// Connections that an address may open within a minute, beside those that its shares earned.
    pub connects_per_minute: u32,
    /// Connections that a good share earns its address.
    pub connects_per_share: u32,
    /// Seconds after the start in which connections are not counted by the minute.
    pub connects_grace_s: u32,
    /// Seconds to the first successful login.
    pub login_timeout_s: u32,
    /// Seconds to the end of a TLS handshake.
    pub handshake_timeout_s: u32,
    /// TLS handshakes at one time.
    pub handshakes: u32,
    /// Failed logins of a connection.
    pub failed_logins_per_connection: u32,
    /// Failed logins of an address within a minute.
    pub failed_logins_per_address: u32,
    /// Connections of an address within a minute that spoke something else.
    pub malformed_per_address: u32,
    /// Logins of an address within a minute that were kept out for their shares.
    pub bad_logins_per_address: u32,
    /// Refused shares of a worker, percent of `invalid_of`, above which its login is kept out.
    pub invalid_percent: u32,
    /// Shares after which a worker is judged.
    pub invalid_of: u32,
    /// Seconds that an address or a login is kept out.
    pub ban_s: u32,
    /// Networks that no limit of addresses holds for.
    pub exempt: Vec<String>,
    /// The system's filter; none unless said.
    pub firewall: Option<Firewall>,
    /// Where or how to be registered, for those whose login names no account.
    pub register: String,
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Default for Doors {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections_per_port: number(limits.connections_per_port),
            connections_per_address: number(limits.connections_per_address),
            connects_per_minute: limits.connects_per_minute,
            connects_per_share: limits.connects_per_share,
            connects_grace_s: seconds(limits.connects_grace),
            login_timeout_s: seconds(limits.login_timeout),
            handshake_timeout_s: seconds(limits.handshake_timeout),
            handshakes: number(limits.handshakes),
            failed_logins_per_connection: limits.failed_logins_per_connection,
            failed_logins_per_address: limits.failed_logins_per_address,
            malformed_per_address: limits.malformed_per_address,
            bad_logins_per_address: limits.bad_logins_per_address,
            invalid_percent: limits.invalid_percent,
            invalid_of: limits.invalid_of,
            ban_s: seconds(limits.ban),
            exempt: Vec::new(),
            firewall: None,
            register: REGISTER_DEFAULT.to_owned(),
        }
    }
}

impl Doors {
    /// As the gateway takes them; the others are its defaults.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        Limits {
            connections_per_port: size(self.connections_per_port),
            connections_per_address: size(self.connections_per_address),
            connects_per_minute: self.connects_per_minute,
            connects_per_share: self.connects_per_share,
            connects_grace: seconds(self.connects_grace_s),
            login_timeout: seconds(self.login_timeout_s),
            handshake_timeout: seconds(self.handshake_timeout_s),
            handshakes: size(self.handshakes),
            failed_logins_per_connection: self.failed_logins_per_connection,
            failed_logins_per_address: self.failed_logins_per_address,
            malformed_per_address: self.malformed_per_address,
            bad_logins_per_address: self.bad_logins_per_address,
            invalid_percent: self.invalid_percent,
            invalid_of: self.invalid_of,
            ban: seconds(self.ban_s),
            ..Limits::default()
        }
    }

    /// The first limit that nobody could meet.
    fn zero(&self) -> Option<&'static str> {
        let zeros = [
            ("connections_per_port", self.connections_per_port),
            ("connections_per_address", self.connections_per_address),
            ("connects_per_minute", self.connects_per_minute),
            ("login_timeout_s", self.login_timeout_s),
            ("handshake_timeout_s", self.handshake_timeout_s),
            ("handshakes", self.handshakes),
            (
                "failed_logins_per_connection",
                self.failed_logins_per_connection,
            ),
            ("failed_logins_per_address", self.failed_logins_per_address),
            ("malformed_per_address", self.malformed_per_address),
            ("bad_logins_per_address", self.bad_logins_per_address),
            ("invalid_percent", self.invalid_percent),
            ("invalid_of", self.invalid_of),
            ("ban_s", self.ban_s),
        ];
        let mut zeros = zeros.into_iter().filter(|(_, limit)| *limit == 0);
        zeros.next().map(|(name, _)| name)
    }
}

/// What else holds at a gateway's doors.
///
/// # Errors
/// What is wrong with it, in words.
pub fn edge(gateway: &Gateway) -> Result<EdgeConfig, String> {
    let doors = &gateway.doors;
    if let Some(name) = doors.zero() {
        return Err(format!("doors.{name}: nobody could come in with 0"));
    }
    if EXEMPT_MAX < doors.exempt.len() {
        return Err(format!("doors.exempt: more than {EXEMPT_MAX} networks"));
    }
    if !EdgeConfig::may_register(&doors.register) {
        return Err(format!(
            "doors.register: 1 to {REGISTER_BYTES_MAX} printable ASCII characters"
        ));
    }
    let read =
        |text: &String| Network::parse(text).map_err(|why| format!("doors.exempt: {text}: {why}"));
    Ok(EdgeConfig {
        exempt: doors.exempt.iter().map(read).collect::<Result<_, _>>()?,
        firewall: doors.firewall.as_ref().map(firewall).transpose()?,
        register: doors.register.clone(),
    })
}

fn firewall(said: &Firewall) -> Result<FirewallConfig, String> {
    let wrong = |what| Err(format!("doors.firewall: {what}"));
    let Some((program, arguments)) = said.command.split_first() else {
        return wrong("a command is a program and its arguments".to_owned());
    };
    let program = PathBuf::from(program);
    if !program.is_absolute() {
        return wrong("the program's whole path is needed".to_owned());
    }
    if FIREWALL_ARGUMENTS_MAX < arguments.len() {
        return wrong(format!("more than {FIREWALL_ARGUMENTS_MAX} arguments"));
    }
    if !arguments.iter().any(|text| text.contains("%a")) {
        return wrong("no argument says %a, the address".to_owned());
    }
    if said.timeout_ms == 0 {
        return wrong("timeout_ms: no command ends at once".to_owned());
    }
    Ok(FirewallConfig {
        program,
        arguments: arguments.to_vec(),
        timeout: Duration::from_millis(u64::from(said.timeout_ms)),
    })
}

/// The certificate of a port.
#[must_use]
pub fn tls(port: &Port) -> Option<TlsFiles> {
    let tls = port.tls.as_ref()?;
    Some(TlsFiles {
        certificate: tls.certificate_file.clone(),
        key: tls.key_file.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_not_said_is_the_gateways_default() {
        assert_eq!(Doors::default().limits(), Limits::default());
        let edge = edge(&Gateway::default()).unwrap();
        assert!(edge.exempt.is_empty() && edge.firewall.is_none());
    }

    #[test]
    fn the_example_of_a_filter_is_taken() {
        let text = include_str!("../../../../orebook.example.toml");
        let filter = text
            .lines()
            .find_map(|line| line.strip_prefix("# firewall"));
        let filter = filter.expect("the example has one").split('#').next();
        let text = format!(
            "[[gateway]]\n[gateway.doors]\nfirewall{}\n",
            filter.unwrap()
        );
        let config = parse(&text).unwrap();
        let filter = edge(&config.gateways()[0]).unwrap().firewall.unwrap();
        assert_eq!(filter.program, PathBuf::from("/usr/sbin/nft"));
        assert_eq!(filter.arguments.len(), 6);
    }

    #[test]
    fn what_is_said_reaches_the_gateway() {
        let text = "[[gateway]]\n[gateway.doors]\nban_s = 7\nconnects_per_minute = 9\n\
                    register = \"register at pool.example\"\n\
                    exempt = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n\
                    [[gateway.port]]\nlisten = \"[::]:3443\"\ndifficulty = \"1\"\n\
                    tls = { certificate_file = \"a.crt\", key_file = \"a.key\" }\n";
        let config = parse(text).unwrap();
        let gateway = &config.gateways()[0];
        let limits = gateway.doors.limits();
        assert_eq!(limits.ban, Duration::from_secs(7));
        assert_eq!(limits.connects_per_minute, 9);
        assert_eq!(edge(gateway).unwrap().exempt.len(), 2);
        assert_eq!(edge(gateway).unwrap().register, "register at pool.example");
        let files = tls(&gateway.port[0]).unwrap();
        assert_eq!(files.certificate, PathBuf::from("a.crt"));
        assert_eq!(files.key, PathBuf::from("a.key"));
    }

    #[test]
    fn what_nobody_could_meet_is_refused_by_name() {
        for (said, says) in [
            (
                "invalid_of = 0",
                "gateway 1: doors.invalid_of: nobody could",
            ),
            ("ban_s = 0", "gateway 1: doors.ban_s: nobody could"),
            (
                "exempt = [\"10.0.0.1/8\"]",
                "gateway 1: doors.exempt: 10.0.0.1/8: bits are set",
            ),
            ("bans = 1", "unknown field `bans`"),
            ("register = \"\"", "doors.register: 1 to 200 printable"),
            (
                "firewall = { command = [] }",
                "doors.firewall: a command is a program",
            ),
            (
                "firewall = { command = [\"nft\", \"%a\"] }",
                "doors.firewall: the program's whole path",
            ),
            (
                "firewall = { command = [\"/usr/sbin/nft\"] }",
                "doors.firewall: no argument says %a",
            ),
        ] {
            let text = format!("[[gateway]]\n[gateway.doors]\n{said}\n");
            let fault = parse(&text).unwrap_err();
            assert!(fault.message.contains(says), "{said}: {}", fault.message);
        }
    }
}
