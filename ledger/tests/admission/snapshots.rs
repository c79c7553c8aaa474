//! Admission's state as bytes: what was written comes back, anything else is refused. That every state of thousands of
//! ledgers comes back is in `interleavings.rs`, whose reader of segments starts again after every record.

use orebook_ledger::admit::State;
use orebook_schema::desk::BanTarget;
use orebook_schema::{Account, Hash};

use crate::desk::{adjust, ban};
use crate::dust::dust;
use crate::payouts::write_off;
use crate::world::{
    ANNA, BEN, GATEWAY, LEDGER, NONE, OTHER_GATEWAY, Pen, World, approve, hello, moved, nonce,
    policy_change, stream, winner,
};

/// A state with something in every list: a closed stream, moved events, things that wait, provisional positions.
fn state() -> State {
    let mut world = World::ready();
    let mut gateway = Pen::new(GATEWAY, 1);
    world.say(&mut gateway, &hello());
    world.say(&mut gateway, &[nonce(1), nonce(2)]);
    let mut other = Pen::new(OTHER_GATEWAY, 2);
    world.say(&mut other, &hello());
    let waiting = policy_change(NONE, |policy| policy.confirmed_depth = 7);
    world.desk_says(&[waiting.clone(), approve(ANNA, &waiting)]);
    let anna = Account::parse("name:anna").unwrap();
    world.desk_says(&[ban(BanTarget::Account(anna), NONE)]);
    world.desk_says(&[
        adjust("anna", 1, NONE),
        approve(ANNA, &adjust("anna", 1, NONE)),
        approve(BEN, &adjust("anna", 1, NONE)),
        adjust("ben", 2, NONE),
        write_off("anna", NONE),
        approve(ANNA, &write_off("anna", NONE)),
        approve(BEN, &write_off("anna", NONE)),
        write_off("ben", NONE),
        dust(1, &["anna", "ben"], NONE),
        approve(ANNA, &dust(1, &["anna", "ben"], NONE)),
        approve(BEN, &dust(1, &["anna", "ben"], NONE)),
    ]);
    world.finalise();
    let mut heir = Pen::new(GATEWAY, 3);
    world.say(&mut heir, &hello());
    world.say(
        &mut heir,
        &[moved(1, 4, &nonce(3)), moved(1, 5, &winner(4))],
    );
    assert!(world.is_closed(1));
    assert!(world.state.stream(stream(3)).is_some());
    world.state
}

/// The bytes with a right hash at their end.
fn sealed(fields: &[u8]) -> Vec<u8> {
    [fields, &Hash::of(&[fields]).0].concat()
}

#[test]
fn a_state_comes_back_from_its_bytes_and_goes_on_like_itself() {
    for state in [State::new(LEDGER), World::new().state, state()] {
        let bytes = state.to_snapshot_bytes();
        let back = State::from_snapshot_bytes(&bytes).unwrap();
        assert!(back == state);
        assert_eq!(back.to_snapshot_bytes(), bytes);
        assert_eq!(back.root(), state.root());
        assert_eq!(
            back.root_at(state.final_size()),
            state.root_at(state.final_size())
        );
    }
    let mut world = World::ready();
    let mut gateway = Pen::new(GATEWAY, 1);
    world.say(&mut gateway, &hello());
    world.state = State::from_snapshot_bytes(&world.state.to_snapshot_bytes()).unwrap();
    world.say(&mut gateway, &[nonce(1)]);
    world.finalise();
}

#[test]
fn any_flipped_bit_and_any_other_length_is_refused() {
    let bytes = state().to_snapshot_bytes();
    for index in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[index] ^= 1 << (index % 8);
        assert!(State::from_snapshot_bytes(&spoilt).is_err(), "byte {index}");
        assert!(
            State::from_snapshot_bytes(&bytes[..index]).is_err(),
            "cut at {index}"
        );
    }
    assert!(State::from_snapshot_bytes(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn bytes_that_are_hashed_rightly_are_a_canonical_state_or_refused() {
    // A hash does not make bytes true: each byte set to several values, each length, hashed again.
    let state = state();
    let bytes = state.to_snapshot_bytes();
    let fields = &bytes[..bytes.len() - 32];
    let mut accepted = 0;
    for index in 0..fields.len() {
        for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
            let mut spoilt = fields.to_vec();
            spoilt[index] = value;
            let spoilt = sealed(&spoilt);
            if let Ok(back) = State::from_snapshot_bytes(&spoilt) {
                assert_eq!(back.to_snapshot_bytes(), spoilt, "byte {index} = {value}");
                accepted += 1;
            }
        }
        assert!(
            State::from_snapshot_bytes(&sealed(&fields[..index])).is_err(),
            "cut at {index}"
        );
    }
    // Times, keys and hashes of streams may be anything; trees, counts and order may not.
    assert!(0 < accepted && accepted < 6 * fields.len());
    assert!(State::from_snapshot_bytes(&sealed(&[fields, &[0]].concat())).is_err());
}

#[test]
fn a_count_that_the_bytes_do_not_back_is_refused_without_room_for_it() {
    let state = State::new(LEDGER);
    let bytes = state.to_snapshot_bytes();
    let fields = &bytes[..bytes.len() - 32];
    // The count of unfinal leaves follows magic, version, ledger, two times and two empty trees.
    let place = 8 + 4 + 16 + 16 + 16;
    let mut spoilt = fields.to_vec();
    spoilt[place..place + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(State::from_snapshot_bytes(&sealed(&spoilt)).is_err());
}
