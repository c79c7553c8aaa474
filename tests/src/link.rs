//! A long and bad line: a proxy for TCP that holds back what it carries for half the round trip, each way. What a lossy path
//! does to TCP is stalls, while a lost packet is sent again and everything behind it waits, and now and then the end of a
//! connection. Where both happen follows from a seed and from what is carried.

use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that TCP puts into a packet.
const PACKET_BYTES: usize = 1_460;
/// Packets on their way in one direction; beyond them the sender waits, as with a full window.
const PACKETS_MAX: usize = 1_024;
/// A lost packet comes so much later, at least and at most: a round trip and a timer of 200 ms, or two of them.
const STALL_MS: (u64, u64) = (500, 900);
/// One packet in so many ends its connection.
const RESET_ONE_IN: u64 = 4_000;

/// How bad a line is.
#[derive(Clone, Copy, Debug)]
pub struct Badness {
    /// Time from one end to the other; half of the round trip.
    pub delay: Duration,
    /// One packet in so many is lost.
    pub lost_one_in: u64,
    /// Decides which.
    pub seed: u64,
}

/// What a line did so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Packets carried.
    pub packets: AtomicU64,
    /// Packets that came late.
    pub stalls: AtomicU64,
    /// Connections that it ended.
    pub resets: AtomicU64,
}

/// A line to one address. Its threads live as long as the process.
#[derive(Debug)]
pub struct Link {
    near: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    badness: Badness,
    counts: Counts,
    far: Mutex<Option<SocketAddr>>,
}

impl Link {
    /// A line whose near end listens, and whose far end is not known yet.
    ///
    /// # Panics
    /// If there is no port left.
    #[must_use]
    pub fn new(badness: Badness) -> Self {
        println!("{badness:?}");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            badness,
            counts: Counts::default(),
            far: Mutex::default(),
        });
        let here = shared.clone();
        std::thread::spawn(move || {
            for (number, near) in (0_u64..).zip(listener.incoming().map_while(Result::ok)) {
                let far = *here.far.lock().unwrap_or_else(PoisonError::into_inner);
                // A far end that is not there: the near one is closed.
                if let Some(far) = far.and_then(|far| TcpStream::connect(far).ok()) {
                    carry(&here, &near, &far, 2 * number);
                    carry(&here, &far, &near, 2 * number + 1);
                }
            }
        });
        Self { near, shared }
    }

    /// Where it begins.
    #[must_use]
    pub const fn near(&self) -> SocketAddr {
        self.near
    }

    /// It ends here from now on.
    pub fn leads_to(&self, far: SocketAddr) {
        *self
            .shared
            .far
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(far);
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

/// Randomness from a seed (SplitMix64).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One direction of a connection.
fn carry(shared: &Arc<Shared>, from: &TcpStream, to: &TcpStream, number: u64) {
    let (packets, arriving) = sync_channel(PACKETS_MAX);
    let (mut reading, writing) = (
        from.try_clone().expect("a handle"),
        to.try_clone().expect("a handle"),
    );
    std::thread::spawn(move || deliver(&arriving, writing));
    let (shared, back) = (shared.clone(), to.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let Badness {
            delay,
            lost_one_in,
            seed,
        } = shared.badness;
        let mut random = seed ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut packet = [0; PACKET_BYTES];
        // Nothing overtakes what was lost before it.
        let mut earliest = Instant::now();
        while let Ok(len) = reading.read(&mut packet) {
            if len == 0 {
                break;
            }
            shared.counts.packets.fetch_add(1, Ordering::Relaxed);
            let mut arrives = Instant::now() + delay;
            if draw(&mut random).is_multiple_of(lost_one_in) {
                shared.counts.stalls.fetch_add(1, Ordering::Relaxed);
                let (least, most) = STALL_MS;
                arrives += Duration::from_millis(least + draw(&mut random) % (most - least));
            }
            earliest = earliest.max(arrives);
            if draw(&mut random).is_multiple_of(RESET_ONE_IN) {
                shared.counts.resets.fetch_add(1, Ordering::Relaxed);
                drop(back.shutdown(Shutdown::Both));
                break;
            }
            if packets.send((earliest, packet[..len].to_vec())).is_err() {
                break;
            }
        }
        drop(reading.shutdown(Shutdown::Both));
    });
}

/// Writes each packet when it arrives.
fn deliver(arriving: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (at, packet) in arriving {
        while let Some(left) = at.checked_duration_since(Instant::now()) {
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
        if to.write_all(&packet).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_comes_whole_and_in_order_and_not_before_its_time() {
        let far = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let delay = Duration::from_millis(30);
        let link = Link::new(Badness {
            delay,
            lost_one_in: 10,
            seed: 1,
        });
        link.leads_to(far.local_addr().expect("an address"));
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = far.accept().expect("a connection");
            let mut taken = vec![0; 40_000];
            stream.read_exact(&mut taken).expect("all of it");
            stream.write_all(&taken).expect("back");
        });
        let mut near = TcpStream::connect(link.near()).expect("connected");
        let sent: Vec<u8> = (0..40_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let started = Instant::now();
        near.write_all(&sent).expect("sent");
        let mut back = vec![0; sent.len()];
        near.read_exact(&mut back).expect("all of it");
        assert_eq!(back, sent);
        // That much is the line's; a busy machine only adds to it.
        assert!(2 * delay <= started.elapsed());
        assert!(0 < link.counts().stalls.load(Ordering::Relaxed));
        echo.join().expect("the echo");
    }
}
