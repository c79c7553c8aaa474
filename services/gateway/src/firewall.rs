//! Addresses that are kept out, told to the system's own filter (nftables, ipset), so that a flood costs not even an accept. Off
//! unless configured. A thread of its own runs the command, one at a time; the loop hands over what there is room for and
//! never waits. The filter forgets by itself: each command names how long the ban lasts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::limits::Place;

/// Bans that wait for their command. Beyond it they hold at the gateway's doors only, and are counted.
const QUEUE: usize = 256;
/// Most arguments of the command.
pub const FIREWALL_ARGUMENTS_MAX: usize = 16;
/// Time between two looks whether a command ended.
const LOOK: Duration = Duration::from_millis(10);

/// The command that puts an address into a set. An argument vector: no shell reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallConfig {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments, at most [`FIREWALL_ARGUMENTS_MAX`]. In each, `%a` stands for the address (IPv6: its /64), `%s` for the seconds
    /// that it is kept out, `%f` for its family, 4 or 6. For nftables: `add`, `element`, `inet`, `filter`, `orebook%f`,
    /// `{ %a timeout %ss }`; for ipset: `add`, `orebook%f`, `%a`, `timeout`, `%s`, `-exist`.
    pub arguments: Vec<String>,
    /// How long the command may take; then it is killed.
    pub timeout: Duration,
}

impl FirewallConfig {
    /// Whether it can be used.
    pub(crate) fn is_sound(&self) -> bool {
        self.program.is_absolute()
            && self.arguments.len() <= FIREWALL_ARGUMENTS_MAX
            && self.arguments.iter().any(|text| text.contains("%a"))
            && !self.timeout.is_zero()
    }

    fn arguments(&self, place: Place, seconds: u64) -> impl Iterator<Item = String> {
        let (address, family) = match place.address() {
            IpAddr::V4(address) => (address.to_string(), "4"),
            IpAddr::V6(address) => (format!("{address}/64"), "6"),
        };
        self.arguments.iter().map(move |text| {
            let text = text.replace("%f", family);
            let text = text.replace("%s", &seconds.to_string());
            text.replace("%a", &address)
        })
    }
}

/// Figures of the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirewallMetrics {
    /// Commands that succeeded.
    pub told: u64,
    /// Commands that failed, took too long, or could not be started.
    pub failed: u64,
    /// Bans that found no room to wait.
    pub dropped: u64,
}

/// What both halves count.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    told: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    /// What waits is left.
    stop: AtomicBool,
}

impl Figures {
    pub(crate) fn read(&self) -> FirewallMetrics {
        FirewallMetrics {
            told: self.told.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The loop's half; without a command it does nothing.
#[derive(Debug)]
pub(crate) struct Firewall {
    out: Option<SyncSender<(Place, u64)>>,
    figures: Arc<Figures>,
}

/// The thread's half. It ends with the other one.
#[derive(Debug)]
pub(crate) struct Runner {
    config: FirewallConfig,
    bans: Receiver<(Place, u64)>,
    figures: Arc<Figures>,
}

/// Both halves; the second only if there is a command.
pub(crate) fn start(
    config: Option<FirewallConfig>,
    figures: &Arc<Figures>,
) -> (Firewall, Option<Runner>) {
    let (out, bans) = sync_channel(QUEUE);
    let firewall = Firewall {
        out: config.is_some().then_some(out),
        figures: Arc::clone(figures),
    };
    let runner = config.map(|config| Runner {
        config,
        bans,
        figures: Arc::clone(figures),
    });
    (firewall, runner)
}

impl Firewall {
    /// Keeps a place out for so many seconds, if there is room.
    pub(crate) fn ban(&self, place: Place, seconds: u64) {
        if let Some(out) = &self.out
            && out.try_send((place, seconds)).is_err()
        {
            self.figures.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Runner {
    /// Runs a command for each ban, until the loop is gone.
    pub(crate) fn run(self) {
        while let Ok((place, seconds)) = self.bans.recv() {
            if self.figures.stop.load(Ordering::Relaxed) {
                return;
            }
            let counter = match self.tell(place, seconds) {
                Ok(()) => &self.figures.told,
                Err(why) => {
                    let program = self.config.program.display();
                    tracing::warn!(%program, why, "an address is kept out at the doors only");
                    &self.figures.failed
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell(&self, place: Place, seconds: u64) -> Result<(), String> {
        let child = Command::new(&self.config.program)
            .args(self.config.arguments(place, seconds))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        let since = Instant::now();
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(status.to_string()),
                Ok(None) if since.elapsed() < self.config.timeout => {
                    std::thread::park_timeout(LOOK);
                }
                Ok(None) => return Err(end(&mut child)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// Kills a command that takes too long, so that nothing of it stays.
fn end(child: &mut Child) -> String {
    let ended = child.kill().and_then(|()| child.wait());
    match ended {
        Ok(_) => "it took too long".to_owned(),
        Err(error) => format!("it took too long, and does not end: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_argument_is_one_whatever_it_says() {
        let config = |arguments: &[&str]| FirewallConfig {
            program: "/usr/sbin/nft".into(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            timeout: Duration::from_secs(5),
        };
        let nft = config(&[
            "add",
            "element",
            "inet",
            "filter",
            "orebook%f",
            "{ %a timeout %ss }",
        ]);
        let place = |text: &str| Place::of(text.parse().unwrap());
        let said = |address| nft.arguments(place(address), 300).collect::<Vec<_>>();
        let v4 = [
            "add",
            "element",
            "inet",
            "filter",
            "orebook4",
            "{ 192.0.2.1 timeout 300s }",
        ];
        assert_eq!(said("192.0.2.1"), v4);
        assert_eq!(said("::ffff:192.0.2.1"), v4);
        let v6 = said("2001:db8:1:2:3::4");
        assert_eq!(v6[4..], ["orebook6", "{ 2001:db8:1:2::/64 timeout 300s }"]);
        assert!(nft.is_sound());
        assert!(!config(&["add"]).is_sound(), "nobody is named");
        assert!(!config(&["%a"; FIREWALL_ARGUMENTS_MAX + 1]).is_sound());
        let relative = FirewallConfig {
            program: "nft".into(),
            ..nft
        };
        assert!(!relative.is_sound());
    }

    #[test]
    fn bans_that_find_no_room_are_counted_and_nobody_waits() {
        let figures = Arc::new(Figures::default());
        let config = FirewallConfig {
            program: "/bin/true".into(),
            arguments: vec!["%a".to_owned()],
            timeout: Duration::from_secs(5),
        };
        let (firewall, runner) = start(Some(config), &figures);
        let place = Place::of("192.0.2.1".parse().unwrap());
        (0..QUEUE + 3).for_each(|_| firewall.ban(place, 1));
        assert_eq!(figures.read().dropped, 3);
        figures.stop();
        drop(firewall);
        runner.unwrap().run();
        assert_eq!(figures.read().told, 0, "what waits at the end is left");
        let (off, runner) = start(None, &figures);
        off.ban(place, 1);
        assert!(runner.is_none() && figures.read().dropped == 3);
    }
}
