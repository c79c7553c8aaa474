//! Keys, policies, schema sets, bans, adjustments, registered names, settings, write-offs, announcements of dust and approvals in a snapshot of admission's state.

use std::collections::BTreeMap;
use std::sync::Arc;

use orebook_schema::bytes::{DecodeError, Decoded, Reader, Write};
use orebook_schema::event::{RawEvent, SchemaSet};
use orebook_schema::{Account, Event, Key, Policy, Role};

use super::registered::Names;
use super::thing::Thing;
use super::{
    Authority, KeyState, ObeyedAdjustment, ObeyedBan, ObeyedDust, ObeyedPolicy, ObeyedRegistration,
    ObeyedSetting, ObeyedWriteOff,
};
use crate::sign::Verifier;

impl Authority {
    /// Policies that were obeyed, by their places.
    pub(crate) fn obeyed(&self) -> impl Iterator<Item = &ObeyedPolicy> {
        self.policies.values()
    }

    pub(crate) fn write_snapshot(&self, out: &mut Vec<u8>) {
        let genesis = Event::Genesis(Box::new(self.genesis.as_ref().clone()));
        put_event(&genesis, out);
        put_count(self.keys.len(), out);
        for (key, state) in &self.keys {
            out.put(&key.0);
            out.put(&[state.role as u8, u8::from(state.in_force)]);
            out.put_at(state.last);
        }
        put_count(self.policies.len(), out);
        for (at, obeyed) in &self.policies {
            out.put_at(*at);
            out.put(&obeyed.effective.to_le_bytes());
            out.put_bytes16(&obeyed.policy.to_bytes());
        }
        out.put_at(self.last_policy);
        put_count(self.schema_sets.len(), out);
        for (number, entries) in &self.schema_sets {
            let set = SchemaSet {
                number: *number,
                entries: entries.clone(),
            };
            put_event(&Event::SchemaSet(set), out);
        }
        put_count(self.waiting.len(), out);
        for (digest, (at, thing)) in &self.waiting {
            out.put(&digest.0);
            out.put_at(*at);
            put_event(&thing.event(), out);
        }
        put_count(self.bans.len(), out);
        for obeyed in self.bans.values() {
            put_event(&Event::Ban(Box::new(obeyed.ban.clone())), out);
            out.put_at(obeyed.at);
            out.put(&obeyed.effective.to_le_bytes());
        }
        put_count(self.adjusted.len(), out);
        for (account, at) in &self.adjusted {
            out.put(&account.to_bytes());
            out.put_at(*at);
        }
        put_count(self.taken.len(), out);
        for taken in &self.taken {
            let event = Event::Adjustment(Box::new(taken.adjustment.clone()));
            put_event(&event, out);
            out.put_at(taken.at);
            out.put_at(taken.effective);
        }
        self.registered.write_snapshot(out);
        put_count(self.set.len(), out);
        for (account, at) in &self.set {
            out.put(&account.to_bytes());
            out.put_at(*at);
        }
        put_count(self.taken_registrations.len(), out);
        for taken in &self.taken_registrations {
            put_event(&Event::Account(Box::new(taken.registration.clone())), out);
            out.put_at(taken.at);
            out.put_at(taken.effective);
            out.put(&taken.hold_ms.to_le_bytes());
        }
        put_count(self.taken_settings.len(), out);
        for taken in &self.taken_settings {
            put_event(&Event::Setting(Box::new(taken.setting.clone())), out);
            out.put_at(taken.at);
            out.put_at(taken.effective);
            out.put(&taken.hold_ms.to_le_bytes());
        }
        put_count(self.written_off.len(), out);
        for (account, at) in &self.written_off {
            out.put(&account.to_bytes());
            out.put_at(*at);
        }
        put_count(self.taken_write_offs.len(), out);
        for taken in &self.taken_write_offs {
            put_event(&Event::WriteOff(Box::new(taken.write_off.clone())), out);
            out.put_at(taken.at);
            out.put_at(taken.effective);
            out.put(&taken.writeoff_ms.to_le_bytes());
        }
        out.put_at(self.last_dust);
        put_count(self.taken_dust.len(), out);
        for taken in &self.taken_dust {
            put_event(&Event::InactiveDust(Box::new(taken.dust.clone())), out);
            out.put_at(taken.at);
            out.put_at(taken.effective);
        }
        put_count(self.approvals.len(), out);
        for (digest, approvers) in &self.approvals {
            out.put(&digest.0);
            put_count(approvers.len(), out);
            for (key, at) in approvers {
                out.put(&key.0);
                out.put_at(*at);
            }
        }
    }

    pub(crate) fn read_snapshot(reader: &mut Reader<'_>) -> Decoded<Self> {
        let Event::Genesis(genesis) = take_event(reader)? else {
            return Err(DecodeError::Value("snapshot's genesis"));
        };
        let keys = take_map(reader, |reader| {
            let key = Key(reader.array()?);
            let role = Role::from_byte(reader.u8()?).ok_or(DecodeError::Value("role"))?;
            let in_force = take_bool(reader)?;
            let last = reader.at()?;
            Ok((
                key,
                KeyState {
                    role,
                    in_force,
                    last,
                    verifier: Verifier::of(&key),
                },
            ))
        })?;
        let policies = take_map(reader, |reader| {
            let at = reader.at()?;
            let effective = reader.u64()?;
            let mut bytes = Reader::new(reader.bytes16(usize::from(u16::MAX))?, "policy");
            let policy = Arc::new(Policy::from_reader(&mut bytes)?);
            bytes.end()?;
            Ok((at, ObeyedPolicy { policy, effective }))
        })?;
        let last_policy = reader.at()?;
        if !policies.contains_key(&last_policy) {
            return Err(DecodeError::Value("snapshot's newest policy"));
        }
        let schema_sets = take_map(reader, |reader| match take_event(reader)? {
            Event::SchemaSet(set) => Ok((set.number, set.entries)),
            _ => Err(DecodeError::Value("snapshot's schema set")),
        })?;
        let waiting = take_map(reader, |reader| {
            let digest = reader.hash()?;
            let at = reader.at()?;
            let thing = Thing::of(&take_event(reader)?);
            let thing = thing.ok_or(DecodeError::Value("snapshot's thing"))?;
            Ok((digest, (at, thing)))
        })?;
        let bans = take_map(reader, |reader| {
            let Event::Ban(ban) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's ban"));
            };
            let obeyed = ObeyedBan {
                at: reader.at()?,
                effective: reader.u64()?,
                ban: *ban,
            };
            Ok((obeyed.ban.target.clone(), obeyed))
        })?;
        let adjusted = take_map(reader, |reader| {
            Ok((Account::from_reader(reader)?, reader.at()?))
        })?;
        let taken = take_map(reader, |reader| {
            let Event::Adjustment(adjustment) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's adjustment"));
            };
            let taken = ObeyedAdjustment {
                adjustment: *adjustment,
                at: reader.at()?,
                effective: reader.at()?,
            };
            Ok((taken.effective, taken))
        })?;
        let registered = Names::read_snapshot(reader)?;
        let set = take_map(reader, |reader| {
            Ok((Account::from_reader(reader)?, reader.at()?))
        })?;
        let taken_registrations = take_map(reader, |reader| {
            let Event::Account(registration) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's registration"));
            };
            let taken = ObeyedRegistration {
                registration: *registration,
                at: reader.at()?,
                effective: reader.at()?,
                hold_ms: reader.u64()?,
            };
            Ok((taken.effective, taken))
        })?;
        let taken_settings = take_map(reader, |reader| {
            let Event::Setting(setting) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's setting"));
            };
            let taken = ObeyedSetting {
                setting: *setting,
                at: reader.at()?,
                effective: reader.at()?,
                hold_ms: reader.u64()?,
            };
            Ok((taken.effective, taken))
        })?;
        let written_off = take_map(reader, |reader| {
            Ok((Account::from_reader(reader)?, reader.at()?))
        })?;
        let taken_write_offs = take_map(reader, |reader| {
            let Event::WriteOff(write_off) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's write-off"));
            };
            let taken = ObeyedWriteOff {
                write_off: *write_off,
                at: reader.at()?,
                effective: reader.at()?,
                writeoff_ms: reader.u64()?,
            };
            Ok((taken.effective, taken))
        })?;
        let last_dust = reader.at()?;
        let taken_dust = take_map(reader, |reader| {
            let Event::InactiveDust(dust) = take_event(reader)? else {
                return Err(DecodeError::Value("snapshot's dust"));
            };
            let taken = ObeyedDust {
                dust: *dust,
                at: reader.at()?,
                effective: reader.at()?,
            };
            Ok((taken.effective, taken))
        })?;
        let approvals = take_map(reader, |reader| {
            let digest = reader.hash()?;
            let approvers = take_map(reader, |reader| Ok((Key(reader.array()?), reader.at()?)))?;
            Ok((digest, approvers))
        })?;
        Ok(Self {
            genesis: Arc::new(*genesis),
            keys,
            policies,
            last_policy,
            schema_sets,
            bans,
            adjusted,
            taken: taken.into_values().collect(),
            registered,
            set,
            taken_registrations: taken_registrations.into_values().collect(),
            taken_settings: taken_settings.into_values().collect(),
            written_off,
            taken_write_offs: taken_write_offs.into_values().collect(),
            last_dust,
            taken_dust: taken_dust.into_values().collect(),
            waiting,
            approvals,
        })
    }
}

fn put_event(event: &Event, out: &mut Vec<u8>) {
    out.put_bytes16(&event.to_bytes(0));
}

fn take_event(reader: &mut Reader<'_>) -> Decoded<Event> {
    let raw = RawEvent::one(reader.bytes16(orebook_schema::EVENT_BYTES_MAX)?)?;
    if raw.dt == 0 {
        raw.decode()
    } else {
        Err(DecodeError::Value("snapshot's event time"))
    }
}

/// Writes the length of a list.
pub(crate) fn put_count(count: usize, out: &mut Vec<u8>) {
    out.put(&u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
}

/// Reads a list of strictly ascending keys. Nothing is reserved for the count: bytes must be there for each item.
pub(crate) fn take_map<K: Ord, V>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Decoded<(K, V)>,
) -> Decoded<BTreeMap<K, V>> {
    let mut map = BTreeMap::new();
    for _ in 0..reader.u64()? {
        let (key, value) = item(reader)?;
        if map.last_key_value().is_some_and(|(last, _)| key <= *last) {
            return Err(DecodeError::Order("snapshot's keys"));
        }
        map.insert(key, value);
    }
    Ok(map)
}

/// Reads a byte that is 0 or 1.
pub(crate) fn take_bool(reader: &mut Reader<'_>) -> Decoded<bool> {
    Ok(reader.count8(0, 1)? == 1)
}
