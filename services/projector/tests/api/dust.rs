//! Dust of who is not active: announced, waiting, withdrawn, moved.

use orebook_schema::desk::{AdjustedBook, Adjustment, Direction, Reason};
use orebook_schema::dust::{DUST_NOTICE_MS, DustBook, InactiveDust};
use orebook_schema::{At, Event};
use serde_json::{Value, json};

use crate::Api;
use crate::world::{World, named};

fn reason(text: &str) -> Reason {
    Reason::parse(text).expect("a reason")
}

fn place(position: u64) -> At {
    At { position, index: 0 }
}

fn given(world: &mut World, name: &str, amount: u128) -> u64 {
    world.approved(Event::Adjustment(Box::new(Adjustment {
        account: named(name),
        expects: At::default(),
        book: AdjustedBook::Reserve,
        direction: Direction::ToAccount,
        amount,
        block: None,
        reason: reason("a gift"),
    })))
}

fn announced(world: &mut World, names: &[&str], cutoff: u64, expects: At, why: &str) -> At {
    place(world.approved(Event::InactiveDust(Box::new(InactiveDust {
        cutoff,
        to: DustBook::Donation,
        accounts: names.iter().map(|name| named(name)).collect(),
        expects,
        reason: reason(why),
    }))))
}

fn dust(api: &Api, name: &str) -> Value {
    api.get(&format!("/api/v1/accounts/name:{name}"))["dust"].clone()
}

#[test]
fn announced_dust_is_shown_to_all_and_to_who_has_it_until_it_moves_and_after() {
    let mut world = World::new();
    given(&mut world, "anna", 7);
    let last = given(&mut world, "ben", 9);
    let first = announced(&mut world, &["anna", "ben"], last, At::default(), "first");
    let second = announced(&mut world, &["anna"], last, first, "second");
    let announced_ms = world.clock;
    world.finalise();
    let api = Api::over(&world);
    let list = api.get("/api/v1/dust");
    let said: Vec<_> = list["announcements"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            (
                row["at"].clone(),
                row["state"].clone(),
                row["amount"].clone(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            (json!(second.to_string()), json!("waiting"), json!("0")),
            (json!(first.to_string()), json!("withdrawn"), json!("0")),
        ]
    );
    let newest = &list["announcements"][0];
    assert_eq!(
        (&newest["to"], &newest["cutoff"]),
        (&json!("donation"), &json!(last))
    );
    assert_eq!(newest["accounts"], json!(["name:anna"]));
    assert_eq!(newest["moved_position"], Value::Null);
    let page = api.get("/api/v1/dust?limit=1");
    assert_eq!(page["next"], second.to_string());
    // Ben was named by the one that was withdrawn.
    assert_eq!(dust(&api, "ben"), json!({ "notice": null, "moved": [] }));
    let notice = &dust(&api, "anna")["notice"];
    assert_eq!(
        (&notice["at"], &notice["reason"], &notice["moves_at"]),
        (&newest["at"], &json!("second"), &newest["moves_at"])
    );

    world.clock = announced_ms + DUST_NOTICE_MS;
    let moved = world.desk(Event::Heartbeat);
    world.clock += 1_000;
    world.finalise();
    let api = Api::over(&world);
    let newest = &api.get("/api/v1/dust")["announcements"][0];
    assert_eq!(
        (
            &newest["state"],
            &newest["amount"],
            &newest["moved_position"]
        ),
        (&json!("moved"), &json!("7"), &json!(moved))
    );
    assert_eq!(
        dust(&api, "anna"),
        json!({ "notice": null, "moved": [{
            "at": second.to_string(), "place": format!("{moved}.65534"), "amount": "7"
        }] })
    );
}
