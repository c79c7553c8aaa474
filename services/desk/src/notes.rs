//! Lines of the audit trail, and what a new life makes of them.

use std::net::SocketAddr;

use orebook_producer::outbox::Place;
use orebook_schema::event::RawEvent;
use orebook_schema::units::{hex, unhex};
use orebook_schema::{At, Event, Hash, StreamId};
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::audit::Fields;
use crate::command::{COMMAND_DOMAIN, Signed, read_message};
use crate::judge::Subject;
use crate::memory::{Kept, Memory, Pending, Standing};
use crate::words::words;

/// Characters of an event's words that a line holds at most.
const WORDS_MAX: usize = 4_096;

/// A command is about to be written.
pub(crate) fn said(signed: &Signed, who: &str, from: SocketAddr, final_size: u64) -> Fields {
    let mut line = of(signed, who, from);
    line.insert("final".to_owned(), final_size.into());
    line
}

/// A command that its operator signed was refused.
pub(crate) fn refused(signed: &Signed, who: &str, from: SocketAddr, answer: &Answer) -> Fields {
    let mut line = of(signed, who, from);
    line.insert("answer".to_owned(), answer.body.clone());
    line
}

/// Something that nobody is known to have signed was refused; so many before it got no line.
pub(crate) fn stranger(bytes: &[u8], from: SocketAddr, answer: &Answer, unwritten: u64) -> Fields {
    let mut line = Map::new();
    line.insert("from".to_owned(), from.to_string().into());
    line.insert("bytes".to_owned(), bytes.len().into());
    line.insert("sha256".to_owned(), Hash::of(&[bytes]).to_string().into());
    line.insert("answer".to_owned(), answer.body.clone());
    if 0 < unwritten {
        line.insert("unwritten".to_owned(), unwritten.into());
    }
    line
}

/// A setting by its account's owner is about to be written. The event has his proof: the signed text, or the hash of his token.
pub(crate) fn set(pending: &Pending, until_ms: u64, text: &str, from: SocketAddr) -> Fields {
    let mut line = named(pending.id);
    line.insert("from".to_owned(), from.to_string().into());
    line.insert("says".to_owned(), words(&pending.event).into());
    line.insert("text".to_owned(), text.into());
    line.insert("event".to_owned(), hex(&pending.event.to_bytes(0)).into());
    line.insert("until_ms".to_owned(), until_ms.into());
    line.insert("final".to_owned(), pending.from.into());
    line
}

/// Where in the desk's stream the event of a line is about to be written: what a new life looks for, since another command
/// may have said the same before.
pub(crate) fn will_stand(line: &mut Fields, place: Option<Place>) {
    if let Some(place) = place {
        line.insert("stream".to_owned(), place.stream.to_string().into());
        line.insert("number".to_owned(), place.number.into());
    }
}

/// None for a line of before places were noted.
fn place(line: &Fields) -> Option<Place> {
    Some(Place {
        stream: StreamId::parse(line.get("stream")?.as_str()?)?,
        number: line.get("number")?.as_u64()?,
    })
}

/// A command became final.
pub(crate) fn answered(id: Hash, answer: &Answer) -> Fields {
    let mut line = named(id);
    line.insert("status".to_owned(), answer.status.into());
    line.insert("answer".to_owned(), answer.body.clone());
    line
}

/// Something happened to a command.
pub(crate) fn named(id: Hash) -> Fields {
    let mut line = Map::new();
    line.insert("id".to_owned(), id.to_string().into());
    line
}

fn of(signed: &Signed, who: &str, from: SocketAddr) -> Fields {
    let mut line = named(signed.id);
    let command = &signed.command;
    line.insert("who".to_owned(), who.into());
    line.insert("key".to_owned(), command.operator.to_string().into());
    line.insert("from".to_owned(), from.to_string().into());
    let said: String = words(&command.event).chars().take(WORDS_MAX).collect();
    line.insert("says".to_owned(), said.into());
    line.insert("command".to_owned(), hex(&signed.message).into());
    line.insert("signature".to_owned(), hex(&signed.signature).into());
    line
}

/// Takes a line of a former life into the memory. None for a line that this software did not write.
pub(crate) fn recall(line: &Fields, memory: &mut Memory) -> Option<()> {
    let text = |key: &str| line.get(key).and_then(Value::as_str);
    match text("what")? {
        "refused" => Some(()),
        "said" => {
            let message = unhex(text("command")?)?;
            let command = read_message(&message).ok()?;
            let id = Hash::of(&[COMMAND_DOMAIN, &message]);
            take(line, memory, id, (command.event, command.until_ms))
        }
        "set" => {
            let event = RawEvent::one(&unhex(text("event")?)?).ok()?.decode().ok()?;
            let until_ms = line.get("until_ms").and_then(Value::as_u64)?;
            take(line, memory, hash(text("id")?)?, (event, until_ms))
        }
        "answered" => {
            let answer = Answer {
                status: line.get("status")?.as_u64()?.try_into().ok()?,
                body: line.get("answer")?.clone(),
            };
            memory.settle(hash(text("id")?)?, Standing::Answered(answer));
            Some(())
        }
        "lost" => {
            memory.settle(hash(text("id")?)?, Standing::Lost);
            Some(())
        }
        _ => None,
    }
}

/// Something was written, or is about to be, by this line.
fn take(
    line: &Fields,
    memory: &mut Memory,
    id: Hash,
    (event, until_ms): (Event, u64),
) -> Option<()> {
    let pending = Pending {
        id,
        subject: Subject::of(&event).ok()?,
        event: event.clone(),
        thing: None,
        from: line.get("final").and_then(Value::as_u64)?,
        lost_when: None,
        place: place(line),
    };
    let kept = Kept {
        until_ms,
        event,
        standing: Standing::Pending,
    };
    // A former one of this id was lost, also if there was no room to note it.
    memory.pending.retain(|former| former.id != id);
    memory.pending.push(pending);
    memory.commands.insert(id, kept);
    Some(())
}

/// A hash as it is shown.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    let bytes: [u8; 32] = unhex(text)?.try_into().ok()?;
    Some(Hash(bytes))
}

/// The place that an answer names.
pub(crate) fn place_of(body: &Value) -> Option<At> {
    let place = body.get("at")?.as_array()?;
    Some(At {
        position: place.first()?.as_u64()?,
        index: place.get(1)?.as_u64()?.try_into().ok()?,
    })
}
