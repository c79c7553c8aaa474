//! A command's bytes: what an operator signs, so that the desk writes exactly that, once, in this ledger, in time.
//!
//! ```text
//! ledger uuid 16 ‖ operator's key 32 ‖ nonce 16 ‖ until_ms 8 ‖ event's canonical bytes, dt 0 ‖ signature 64
//! ```
//! Numbers are little-endian. The signature is Ed25519 over [`COMMAND_DOMAIN`] and all bytes before it; the command's id is
//! SHA-256 of the same. `until_ms` is when the desk stops taking it: an id is known for longer than its command is taken.

use orebook_ledger::sign::{Signer, verify};
use orebook_schema::event::RawEvent;
use orebook_schema::{DecodeError, Event, Hash, Key, LedgerId};

/// What precedes the signed bytes of a command, and the hashed ones.
pub const COMMAND_DOMAIN: &[u8] = b"orebook/command/0\n";
/// Bytes before the event.
const HEAD_BYTES: usize = 16 + 32 + 16 + 8;
/// Bytes after the event.
const SIGNATURE_BYTES: usize = 64;
/// Most bytes of a command: a batch of some hundred workers; a policy of 16 pots has fewer than 700. Longer ones are refused
/// unread.
pub const COMMAND_BYTES_MAX: usize = 8_192;
/// How long after now a command may be taken at most, in milliseconds: a week, for keys that are kept offline.
pub const COMMAND_LIFE_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;

/// What an operator wants said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The ledger.
    pub ledger: LedgerId,
    /// Who says it.
    pub operator: Key,
    /// Random: the same thing may be wanted twice.
    pub nonce: [u8; 16],
    /// When the desk stops taking it, milliseconds since 1970.
    pub until_ms: u64,
    /// What is to be written.
    pub event: Event,
}

/// A command as it came in, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub command: Command,
    /// Its name.
    pub id: Hash,
    /// The bytes that are signed.
    pub message: Vec<u8>,
    /// The signature.
    pub signature: [u8; 64],
}

impl Command {
    /// The bytes that are signed.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let head = [
            self.ledger.0.as_slice(),
            &self.operator.0,
            &self.nonce,
            &self.until_ms.to_le_bytes(),
        ];
        [head.concat(), self.event.to_bytes(0)].concat()
    }

    /// Its name: the same bytes are the same command.
    #[must_use]
    pub fn id(&self) -> Hash {
        id_of(&self.message())
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> Vec<u8> {
        let message = self.message();
        let signature = signer.sign(COMMAND_DOMAIN, &message);
        [message.as_slice(), &signature].concat()
    }
}

impl Signed {
    /// Reads what was sent. The signature is not looked at: [`Signed::is_signed`] does.
    ///
    /// # Errors
    /// [`DecodeError`] for bytes that are no command of this format.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        if COMMAND_BYTES_MAX < bytes.len() {
            return Err(DecodeError::Limit("command bytes"));
        }
        let (message, signature) = bytes
            .split_last_chunk::<SIGNATURE_BYTES>()
            .ok_or(DecodeError::Short("command"))?;
        let command = read_message(message)?;
        Ok(Self {
            command,
            id: id_of(message),
            message: message.to_vec(),
            signature: *signature,
        })
    }

    /// Whether its operator signed it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let key = &self.command.operator;
        verify(key, COMMAND_DOMAIN, &self.message, &self.signature)
    }
}

fn id_of(message: &[u8]) -> Hash {
    Hash::of(&[COMMAND_DOMAIN, message])
}

/// Reads the bytes that are signed.
///
/// # Errors
/// [`DecodeError`].
pub fn read_message(message: &[u8]) -> Result<Command, DecodeError> {
    let (head, event) = message
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(DecodeError::Short("command"))?;
    let (ledger, rest) = cut::<16>(head)?;
    let (operator, rest) = cut::<32>(rest)?;
    let (nonce, rest) = cut::<16>(rest)?;
    let (until, _) = cut::<8>(rest)?;
    let raw = RawEvent::one(event)?;
    if raw.dt != 0 {
        return Err(DecodeError::Value("dt of a command's event"));
    }
    Ok(Command {
        ledger: LedgerId(ledger),
        operator: Key(operator),
        nonce,
        until_ms: u64::from_le_bytes(until),
        event: raw.decode()?,
    })
}

fn cut<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), DecodeError> {
    let (field, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(DecodeError::Short("command"))?;
    Ok((*field, rest))
}

#[cfg(test)]
mod tests {
    use orebook_schema::event::{KeyAction, KeyChange};
    use orebook_schema::{At, Role};

    use super::*;

    fn command(signer: &Signer) -> Command {
        Command {
            ledger: LedgerId([7; 16]),
            operator: signer.key(),
            nonce: [9; 16],
            until_ms: 1_000,
            event: Event::KeyChange(KeyChange {
                key: Key([3; 32]),
                role: Role::Gateway,
                action: KeyAction::Revoked,
                expects: At::default(),
            }),
        }
    }

    #[test]
    fn a_command_is_read_back_and_its_signature_holds_for_every_bit_of_it() {
        let signer = Signer::from_seed(&[5; 32]);
        let command = command(&signer);
        let bytes = command.sign(&signer);
        let signed = Signed::read(&bytes).unwrap();
        assert_eq!(signed.command, command);
        assert_eq!(signed.id, command.id());
        assert!(signed.is_signed());
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let holds = Signed::read(&other).is_ok_and(|read| read.is_signed());
            assert!(!holds, "bit {bit}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused_without_a_panic() {
        let signer = Signer::from_seed(&[5; 32]);
        let bytes = command(&signer).sign(&signer);
        for len in 0..bytes.len() {
            assert!(Signed::read(&bytes[..len]).is_err(), "{len} bytes");
        }
        let long = vec![0; COMMAND_BYTES_MAX + 1];
        assert_eq!(
            Signed::read(&long),
            Err(DecodeError::Limit("command bytes"))
        );
        let mut later = command(&signer).message();
        later[HEAD_BYTES + 4] = 1;
        assert_eq!(
            read_message(&later),
            Err(DecodeError::Value("dt of a command's event"))
        );
    }

    #[test]
    fn another_nonce_is_another_command_of_the_same_thing() {
        let signer = Signer::from_seed(&[5; 32]);
        let one = command(&signer);
        let mut two = one.clone();
        two.nonce = [8; 16];
        assert_ne!(one.id(), two.id());
        assert_eq!(one.event, two.event);
    }
}
