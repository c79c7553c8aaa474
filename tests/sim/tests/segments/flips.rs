//! Flipped bits: each is found and named, by chance or by malice.

use orebook_ledger::disk::Disk;
use orebook_ledger::segment::footer::{FooterFacts, IndexEntry, put_footer};
use orebook_ledger::segment::record::{
    Body, ClosureBody, FILE_HEADER_BYTES, FileHeader, FrameBody, put_closure, put_frame,
    read_record,
};
use orebook_ledger::segment::{Fault, Record, SegmentStore, StoreError, StoredFrame};
use orebook_ledger::tree::{Tree, leaf_hash};
use orebook_schema::{Hash, Header, LedgerId};
use orebook_sim::disk::SimDisk;
use orebook_sim::rng::Rng;

use crate::pool::{Pool, Shape};
use crate::{DIR, grown, verify, written};

/// Segments of a little over 64 KiB.
const LARGE: Shape = Shape {
    segment_positions: 1_000,
    segment_bytes: 65_536,
    shares_max: 80,
};

/// Offsets of the records of a file, the footer's too, and of their end.
pub(crate) fn record_offsets(bytes: &[u8]) -> Vec<u64> {
    let mut offsets = vec![u64::try_from(FILE_HEADER_BYTES).unwrap()];
    let mut at = FILE_HEADER_BYTES;
    while let Ok((_, len)) = read_record(&bytes[at..]) {
        at += len;
        offsets.push(u64::try_from(at).unwrap());
    }
    offsets
}

/// A ledger with one sealed segment of 64 KiB and a little more, and the path of it.
fn sealed_segment() -> (Pool, SimDisk, String) {
    for seed in 0.. {
        let mut pool = grown(seed, LARGE, 20);
        while written(&pool, 10, 0, pool.state.size()).paths().len() < 2 {
            pool.grow(pool.state.size() + 2);
        }
        let disk = written(&pool, 10, 0, pool.state.size());
        let path = format!("{DIR}/{:020}.seg", 0);
        if disk
            .read_raw(&path)
            .is_ok_and(|bytes| 65_536 <= bytes.len())
        {
            return (pool, disk, path);
        }
    }
    unreachable!("some seed fills a segment well")
}

/// Flips every bit of a file, one at a time, and checks what verification says of it.
fn flip_all(disk: &SimDisk, ledger: LedgerId, path: &str) {
    let bytes = disk.read_raw(path).unwrap();
    let offsets = record_offsets(&bytes);
    let bits = u64::try_from(bytes.len()).unwrap() * 8;
    assert!(524_288 <= bits, "{bits} bits");
    verify(disk, ledger).unwrap();
    for bit in 0..bits {
        disk.flip_bit(path, bit).unwrap();
        let Err(Fault { file, offset, .. }) = verify(disk, ledger) else {
            panic!("bit {bit} is not seen");
        };
        let record = offsets.partition_point(|offset| *offset <= bit / 8);
        let wanted = record.checked_sub(1).map_or(0, |record| offsets[record]);
        assert_eq!((file.as_str(), offset), (path, wanted), "bit {bit}");
        disk.flip_bit(path, bit).unwrap();
    }
    verify(disk, ledger).unwrap();
    println!("{bits} bits in {} records", offsets.len() - 1);
}

#[test]
fn every_single_bit_of_a_64_kib_segment_flipped_is_found_and_named() {
    let (pool, disk, path) = sealed_segment();
    flip_all(&disk, pool.ledger, &path);
}

#[test]
fn every_single_bit_of_an_open_segment_and_its_zeros_flipped_is_found_and_named() {
    let mut pool = grown(1, LARGE, 20);
    let used = |pool: &Pool| {
        let disk = written(pool, 10, 0, 0);
        let path = format!("{DIR}/{:020}.open", 0);
        disk.read_raw(&path).unwrap().len()
    };
    while used(&pool) < 50_000 {
        pool.grow(pool.state.size() + 1);
    }
    let disk = written(&pool, 10, 65_536, 0);
    let path = format!("{DIR}/{:020}.open", 0);
    let bytes = disk.read_raw(&path).unwrap();
    assert_eq!((bytes.len(), disk.paths().len()), (65_536, 1));
    flip_all(&disk, pool.ledger, &path);
}

/// What somebody does who can write to the file: changes a bit and makes all checksums right again.
struct Forger {
    bytes: Vec<u8>,
    /// Frame records with the bits of their payloads.
    payload_bits: Vec<(usize, u64)>,
}

/// Bits of a frame's payload that are its append time, which nothing but the file's hash binds.
const APPEND_TIME: std::ops::Range<u64> = 128..192;

impl Forger {
    fn new(bytes: Vec<u8>) -> Self {
        let mut payload_bits = Vec::new();
        for (at, offset) in record_offsets(&bytes).iter().enumerate() {
            let record = &bytes[usize::try_from(*offset).unwrap()..];
            if let Ok((Body::Frame(body), _)) = read_record(record) {
                payload_bits.push((at, APPEND_TIME.end + body.frame.len() as u64 * 8));
            }
        }
        Self {
            bytes,
            payload_bits,
        }
    }

    /// The file with one bit of a payload flipped, and which record that is. Unless the bit is the append time's, the
    /// footer's SHA-256 and index are made right as well, if `hash`.
    fn forge(&self, rng: &mut Rng, hash: bool) -> (usize, Vec<u8>) {
        let pick = usize::try_from(rng.below(self.payload_bits.len() as u64)).unwrap();
        let (target, bits) = self.payload_bits[pick];
        // One in eight within the three numbers before the frame.
        let few = rng.chance(1, 8);
        let bit = rng.below(if few { APPEND_TIME.end } else { bits });
        let hash = hash && !APPEND_TIME.contains(&bit);
        let mut out = self.bytes[..FILE_HEADER_BYTES].to_vec();
        let (mut at, mut record, mut index) = (FILE_HEADER_BYTES, 0, Vec::new());
        while let Ok((body, len)) = read_record(&self.bytes[at..]) {
            match body {
                Body::Frame(mut body) => {
                    let mut frame = body.frame.to_vec();
                    if record == target {
                        flip(&mut body, &mut frame, bit);
                    }
                    index.extend(place(&frame, body.position));
                    put_frame(
                        &mut out,
                        &FrameBody {
                            frame: &frame,
                            ..body
                        },
                    );
                }
                Body::Closure(body) => put_closure(&mut out, &ClosureBody { ..body }),
                Body::Footer(footer) => {
                    let sha256 = if hash {
                        Hash::of(&[&out])
                    } else {
                        footer.facts.sha256
                    };
                    let facts = FooterFacts {
                        sha256,
                        ..footer.facts
                    };
                    index.sort();
                    let fits = hash && index.len() == usize::try_from(facts.positions).unwrap();
                    let index = if fits {
                        index.clone()
                    } else {
                        footer.index().collect()
                    };
                    put_footer(&mut out, &facts, footer.offsets(), index.into_iter());
                }
            }
            at += len;
            record += 1;
        }
        out.extend_from_slice(&self.bytes[at..]);
        (target, out)
    }
}

/// Flips a bit of the payload: position, ledger time, append time, frame.
fn flip(body: &mut FrameBody<'_>, frame: &mut [u8], bit: u64) {
    match bit {
        0..64 => body.position ^= 1 << bit,
        64..128 => body.ledger_time ^= 1 << (bit - 64),
        128..192 => body.append_time ^= 1 << (bit - 128),
        _ => frame[usize::try_from(bit / 8).unwrap() - 24] ^= 1 << (bit % 8),
    }
}

fn place(frame: &[u8], position: u64) -> Option<IndexEntry> {
    let header = Header::read(frame.first_chunk()?).ok()?;
    Some(IndexEntry {
        stream: header.stream,
        first_seq: header.first_seq,
        position,
    })
}

#[test]
fn a_forged_bit_with_right_checksums_is_found() {
    let (pool, disk, path) = sealed_segment();
    let offsets = record_offsets(&disk.read_raw(&path).unwrap());
    let forger = Forger::new(disk.read_raw(&path).unwrap());
    let mut rng = Rng::new(2);
    let (mut by_hash, mut by_frame) = (0, 0);
    for round in 0..2_000 {
        let hash = round % 4 != 0;
        let (record, bytes) = forger.forge(&mut rng, hash);
        assert_eq!(bytes.len(), forger.bytes.len());
        disk.write_raw(&path, &bytes).unwrap();
        let fault = verify(&disk, pool.ledger).unwrap_err();
        assert_eq!(fault.file, path, "round {round}");
        // The numbers of a record may be found where later ones contradict them, never before it.
        assert!(offsets[record] <= fault.offset, "round {round}: {fault}");
        if fault.what.contains("SHA-256") {
            by_hash += 1
        } else {
            by_frame += 1
        }
    }
    println!("{by_hash} by the file's hash, {by_frame} by admission or framing");
    assert!(10 < by_hash && 1_000 < by_frame);
    disk.write_raw(&path, &forger.bytes).unwrap();
    verify(&disk, pool.ledger).unwrap();
}

#[test]
fn a_forged_footer_root_or_ledger_time_is_found() {
    let (pool, disk, path) = sealed_segment();
    let bytes = disk.read_raw(&path).unwrap();
    let offsets = record_offsets(&bytes);
    let footer_at = usize::try_from(offsets[offsets.len() - 2]).unwrap();
    let Ok((Body::Footer(footer), _)) = read_record(&bytes[footer_at..]) else {
        panic!("a sealed file ends with its footer");
    };
    let put = |head: &[u8], facts: FooterFacts| {
        let mut out = head.to_vec();
        put_footer(&mut out, &facts, footer.offsets(), footer.index());
        disk.write_raw(&path, &out).unwrap();
        verify(&disk, pool.ledger).unwrap_err()
    };
    let fault = put(
        &bytes[..footer_at],
        FooterFacts {
            root: Hash([1; 32]),
            ..footer.facts
        },
    );
    assert!(fault.what.contains("root"), "{fault}");
    let mut head = bytes[..FILE_HEADER_BYTES].to_vec();
    for (at, pair) in offsets.windows(2).enumerate() {
        let (from, to) = (
            usize::try_from(pair[0]).unwrap(),
            usize::try_from(pair[1]).unwrap(),
        );
        match read_record(&bytes[from..to]).unwrap().0 {
            Body::Frame(body) if at == 5 => {
                let ledger_time = body.ledger_time + 1;
                put_frame(
                    &mut head,
                    &FrameBody {
                        ledger_time,
                        ..body
                    },
                );
            }
            Body::Footer(_) => {}
            _ => head.extend_from_slice(&bytes[from..to]),
        }
    }
    let sha256 = Hash::of(&[&head]);
    let fault = put(
        &head,
        FooterFacts {
            sha256,
            ..footer.facts
        },
    );
    assert!(
        fault.what.contains("ledger time") && fault.offset == offsets[5],
        "{fault}"
    );
}

/// A folder with the pool's frames in files of so many positions, each file right by itself.
fn divided(pool: &Pool, positions: &[usize]) -> SimDisk {
    let disk = SimDisk::new(1);
    let mut tree = Tree::new();
    let mut records = pool.records.iter().peekable();
    for positions in positions {
        let (ledger, first, root) = (pool.ledger, tree.size(), tree.root());
        let mut bytes = FileHeader {
            ledger,
            first,
            root,
        }
        .to_bytes();
        let end = first + u64::try_from(*positions).unwrap();
        // A closure stands in the segment of the position before its own.
        let belongs = |record: &Record| match record {
            Record::Frame(stored) => stored.position < end,
            Record::Closure { position, .. } => *position <= end,
        };
        while let Some(record) = records.next_if(|record| belongs(record)) {
            match record {
                Record::Frame(StoredFrame {
                    position,
                    ledger_time,
                    append_time,
                    frame,
                }) => {
                    tree.push(leaf_hash(&frame.leaf_entry(*position, *ledger_time)));
                    let (position, ledger_time, append_time) =
                        (*position, *ledger_time, *append_time);
                    let frame = frame.bytes();
                    put_frame(
                        &mut bytes,
                        &FrameBody {
                            position,
                            ledger_time,
                            append_time,
                            frame,
                        },
                    );
                }
                Record::Closure {
                    position,
                    append_time,
                    header,
                } => {
                    let (position, append_time) = (*position, *append_time);
                    let header = &header.to_bytes();
                    put_closure(
                        &mut bytes,
                        &ClosureBody {
                            position,
                            append_time,
                            header,
                        },
                    );
                }
            }
        }
        disk.write_raw(&format!("{DIR}/{first:020}.open"), &bytes)
            .unwrap();
    }
    disk
}

#[test]
fn a_segment_that_ends_early_or_late_is_found() {
    let pool = grown(1, crate::SMALL, 15);
    verify(&divided(&pool, &[5, 5, 5]), pool.ledger).unwrap();
    let early = verify(&divided(&pool, &[5, 4, 5, 1]), pool.ledger).unwrap_err();
    assert!(
        early.what.contains("had room") && early.position == 9,
        "{early}"
    );
    let late = verify(&divided(&pool, &[5, 6, 4]), pool.ledger).unwrap_err();
    assert!(
        late.what.contains("next segment") && late.position == 10,
        "{late}"
    );
}

#[test]
fn the_store_hands_out_nothing_that_was_flipped() {
    let (pool, disk, path) = sealed_segment();
    let bits = disk.read_raw(&path).unwrap().len() as u64 * 8;
    let mut rng = Rng::new(3);
    for bit in (0..4_000)
        .map(|_| rng.below(bits))
        .chain(0..72 * 8)
        .chain(bits - 3_000..bits)
    {
        disk.flip_bit(&path, bit).unwrap();
        let opened = SegmentStore::open_read_only(disk.clone(), DIR, pool.ledger, 1);
        let read: Result<Vec<_>, _> = opened.and_then(|(store, _)| store.records(0).collect());
        let Err(StoreError::Damaged { file, .. }) = read else {
            panic!("bit {bit} is not seen");
        };
        assert_eq!(file, path, "bit {bit}");
        disk.flip_bit(&path, bit).unwrap();
    }
}

/// The path of a file with another root in its header, its CRC right.
fn forge_root(disk: &SimDisk, path: &str) -> String {
    let mut bytes = disk.read_raw(path).unwrap();
    let header = FileHeader::read(&bytes).unwrap();
    let forged = FileHeader {
        root: Hash([7; 32]),
        ..header
    }
    .to_bytes();
    bytes[..FILE_HEADER_BYTES].copy_from_slice(&forged);
    disk.write_raw(path, &bytes).unwrap();
    path.to_owned()
}

#[test]
fn a_footer_whose_tables_are_wrong_is_found() {
    let (pool, disk, path) = sealed_segment();
    let bytes = disk.read_raw(&path).unwrap();
    let offsets = record_offsets(&bytes);
    let footer_at = usize::try_from(offsets[offsets.len() - 2]).unwrap();
    let Ok((Body::Footer(footer), _)) = read_record(&bytes[footer_at..]) else {
        panic!("a sealed file ends with its footer");
    };
    let (table, index): (Vec<_>, Vec<_>) = (footer.offsets().collect(), footer.index().collect());
    let mut swapped = index.clone();
    (swapped[3].position, swapped[4].position) = (index[4].position, index[3].position);
    let mut moved = table.clone();
    moved[7] += 8;
    let more = FooterFacts {
        closures: footer.facts.closures + 1,
        ..footer.facts
    };
    let forged = [
        (footer.facts, &table, &swapped),
        (footer.facts, &moved, &index),
        (more, &table, &index),
    ];
    for (facts, table, index) in forged {
        let mut out = bytes[..footer_at].to_vec();
        put_footer(
            &mut out,
            &facts,
            table.iter().copied(),
            index.iter().copied(),
        );
        disk.write_raw(&path, &out).unwrap();
        let fault = verify(&disk, pool.ledger).unwrap_err();
        assert!(fault.what.contains("tables"), "{fault}");
        assert_eq!(fault.offset, offsets[offsets.len() - 2]);
    }
}

#[test]
fn a_forged_root_in_a_file_header_is_found() {
    let pool = grown(1, crate::SMALL, 23);
    for (path, final_size) in [
        ("05.open", 0),
        ("20.open", 0),
        ("05.seg", 23),
        ("20.open", 23),
    ] {
        let disk = written(&pool, 4, 0, final_size);
        let path = forge_root(&disk, &format!("{DIR}/{:018}{path}", 0));
        let fault = verify(&disk, pool.ledger).unwrap_err();
        assert_eq!((fault.file.as_str(), fault.offset), (path.as_str(), 0));
        assert!(fault.what.contains("root"), "{fault}");
        // The store compares roots where a sealed segment tells them; the rest is verification's.
        let opened = SegmentStore::open_read_only(disk, DIR, pool.ledger, 0);
        let wanted = 0 < final_size;
        assert_eq!(
            matches!(opened, Err(StoreError::Damaged { .. })),
            wanted,
            "{path}"
        );
    }
}

/// A process that dies before the rename leaves an open file with its footer: that is right, and checked as well.
#[test]
fn an_open_file_may_end_with_its_footer() {
    let (pool, disk, path) = sealed_segment();
    let bytes = disk.read_raw(&path).unwrap();
    let offsets = record_offsets(&bytes);
    let open = path.replace(".seg", ".open");
    disk.remove(&path).unwrap();
    for zeros in [0, 100, 5_000] {
        let longer = [bytes.clone(), vec![0; zeros]].concat();
        disk.write_raw(&open, &longer).unwrap();
        assert_eq!(verify(&disk, pool.ledger).unwrap().root, pool.state.root());
        let mut rng = Rng::new(4);
        for _ in 0..500 {
            let bit = rng.range(offsets[offsets.len() - 2] * 8, longer.len() as u64 * 8);
            disk.flip_bit(&open, bit).unwrap();
            let fault = verify(&disk, pool.ledger).unwrap_err();
            assert_eq!(fault.file, open, "bit {bit}");
            disk.flip_bit(&open, bit).unwrap();
        }
    }
    let (store, torn) = crate::open(&disk, pool.ledger, pool.state.size());
    assert_eq!((torn, crate::all(&store)), (None, pool.records));
}
