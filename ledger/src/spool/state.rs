//! The state at the beginning of each file, as bytes: what recovery needs if all earlier files are gone.

use std::sync::Arc;

use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::{Event, Hash, StreamId, Work};

use super::record::{POLICY_BYTES_MAX, put_policy, read_policy, take_event};
use super::standing::{Closure, Current, Held, POLICIES_MAX, Standing};
use super::table::Table;

/// Bytes of the fields that every state has, with room.
const FIXED_BYTES: u64 = 128;
/// Bytes of a held stream without its copies.
const HELD_BYTES: u64 = 45;
/// Bytes of a copy's place.
const COPY_BYTES: u64 = 24;

/// An upper bound of the state's bytes, cheap to find.
pub(super) fn state_bytes_max(standing: &Standing) -> u64 {
    let table = standing
        .current
        .as_ref()
        .map_or(0, |current| current.table.bytes());
    let copies = |held: &Held| held.closure.as_ref().map_or(0, |it| it.copies.len() as u64);
    let streams = standing
        .streams
        .iter()
        .map(|held| HELD_BYTES + COPY_BYTES * copies(held));
    // Counted as if all were taught, since they come when the table may be full already.
    let policies = POLICY_BYTES_MAX * standing.policies.len().max(POLICIES_MAX) as u64;
    FIXED_BYTES + policies + table + streams.sum::<u64>()
}

/// The state's bytes. Unframed events are not in it: a file begins where a frame does.
pub(super) fn write_state(standing: &Standing) -> Vec<u8> {
    assert!(
        standing.unframed().is_none(),
        "a file begins where a frame does"
    );
    let mut out = Vec::new();
    match &standing.current {
        None => out.push(0),
        Some(current) => {
            out.push(1);
            write_current(current, &mut out);
        }
    }
    put_count(&mut out, standing.policies.len());
    standing
        .policies
        .iter()
        .for_each(|(at, policy)| put_policy(&mut out, *at, policy));
    let empty = Table::default();
    let table = standing
        .current
        .as_ref()
        .map_or(&empty, |current| &current.table);
    write_table(table, &mut out);
    put_count(&mut out, standing.streams.len());
    standing
        .streams
        .iter()
        .for_each(|held| write_held(held, &mut out));
    out
}

/// Reads what [`write_state`] wrote.
pub(super) fn read_state(bytes: &[u8]) -> Decoded<Standing> {
    let mut reader = Reader::new(bytes, "spool state");
    let mut current = match reader.u8()? {
        0 => None,
        1 => Some(read_current(&mut reader)?),
        _ => return Err(DecodeError::Value("spool state")),
    };
    let mut standing = Standing::default();
    for _ in 0..reader.u32()? {
        let (at, policy) = read_policy(&mut reader)?;
        standing.policies.insert(at, Arc::new(policy));
    }
    let mut nowhere = Table::default();
    let table = current
        .as_mut()
        .map_or(&mut nowhere, |current| &mut current.table);
    read_table(&mut reader, &standing, table)?;
    for _ in 0..reader.u32()? {
        standing.streams.push(read_held(&mut reader)?);
    }
    reader.end()?;
    if let Some(current) = &mut current {
        current.announced = current.table.announced();
    }
    let open = standing
        .streams
        .iter()
        .filter(|held| held.closure.is_none());
    let last = standing.streams.last().map(|held| held.stream);
    let whole = open.count() == usize::from(current.is_some())
        && current
            .as_ref()
            .is_none_or(|current| last == Some(current.stream));
    standing.current = current;
    if whole {
        Ok(standing)
    } else {
        Err(DecodeError::Value("spool state's streams"))
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_current(current: &Current, out: &mut Vec<u8>) {
    out.put(&current.stream.0);
    out.put(&current.epoch.to_le_bytes());
    out.put(&current.next_seq.to_le_bytes());
    out.put(&current.last_hash.0);
    out.put(&current.last_time.to_le_bytes());
    out.put(&current.table.next_worker.to_le_bytes());
    out.put(&current.table.next_job.to_le_bytes());
}

fn read_current(reader: &mut Reader<'_>) -> Decoded<Current> {
    let mut current = Current::new(StreamId(reader.array()?));
    current.epoch = reader.u32()?;
    current.next_seq = reader.u64()?;
    current.last_hash = Hash(reader.array()?);
    current.last_time = reader.u64()?;
    current.table.next_worker = reader.u32()?;
    current.table.next_job = reader.u32()?;
    Ok(current)
}

fn write_table(table: &Table, out: &mut Vec<u8>) {
    put_count(out, table.workers.len());
    for entry in table.workers.values() {
        out.put(&entry.work.map_or(0, Work::units).to_le_bytes());
        out.put(&entry.event);
    }
    put_count(out, table.jobs.len());
    for entry in table.jobs.values() {
        out.push(u8::from(entry.terms.policy.is_none()));
        out.put(&entry.event);
    }
}

fn read_table(reader: &mut Reader<'_>, standing: &Standing, table: &mut Table) -> Decoded<()> {
    let wrong = DecodeError::Value("spool state's table");
    for _ in 0..reader.u32()? {
        let work = Work::new(reader.u64()?);
        match take_event(reader)?.decode()? {
            Event::Worker(worker) if worker.number < table.next_worker => {
                table.add_worker(&worker, work);
            }
            _ => return Err(wrong),
        }
    }
    for _ in 0..reader.u32()? {
        let void = reader.u8()?;
        let event = take_event(reader)?.decode()?;
        let job = event.job().ok_or(wrong)?;
        // A job that was void when it was announced stays void, though its policy may be known by now.
        let policy = match void {
            0 => Some(standing.policies.get(&job.policy).cloned().ok_or(wrong)?),
            1 => None,
            _ => return Err(wrong),
        };
        if table.next_job <= job.number {
            return Err(wrong);
        }
        table.add_job(&event, policy);
    }
    Ok(())
}

fn write_held(held: &Held, out: &mut Vec<u8>) {
    out.put(&held.stream.0);
    let Some(closure) = &held.closure else {
        out.push(0);
        return;
    };
    out.push(1);
    out.put(&closure.admitted_next.to_le_bytes());
    out.put(&closure.end.to_le_bytes());
    out.put(&closure.moved_next.to_le_bytes());
    put_count(out, closure.copies.len());
    for (stream, next) in &closure.copies {
        out.put(&stream.0);
        out.put(&next.to_le_bytes());
    }
}

fn read_held(reader: &mut Reader<'_>) -> Decoded<Held> {
    let stream = StreamId(reader.array()?);
    let closure = match reader.u8()? {
        0 => None,
        1 => Some(Closure {
            admitted_next: reader.u64()?,
            end: reader.u64()?,
            moved_next: reader.u64()?,
            copies: {
                let count = reader.u32()?;
                (0..count)
                    .map(|_| Ok((StreamId(reader.array()?), reader.u64()?)))
                    .collect::<Decoded<_>>()?
            },
        }),
        _ => return Err(DecodeError::Value("spool state's streams")),
    };
    Ok(Held { stream, closure })
}
