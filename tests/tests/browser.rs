//! The page in a real browser: Chromium loads it from a running pool, runs its script, and what it shows is compared with the
//! API. A missing Chromium is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use orebook_tests::chromium::Chromium;
use orebook_tests::orebook_binary;
use orebook_tests::pool::{DEADLINE, Pool};
use serde_json::json;

#[path = "browser/front.rs"]
mod front;
#[path = "browser/owner.rs"]
mod owner;

use front::{Front, free_address};
use owner::Owner;

/// Milliseconds of the page's own time that pass before it is looked at: two polls.
const PAGE_MS: &str = "--virtual-time-budget=5000";

fn pool(folder: &Path) -> Pool {
    pool_with(folder, "")
}

fn pool_with(folder: &Path, more: &str) -> Pool {
    let config = folder.join("page.toml");
    let text = "[http]\nlisten = \"127.0.0.1:0\"\n[[gateway]]\n[[gateway.port]]\n\
                listen = \"127.0.0.1:0\"\ndifficulty = \"0.0001\"\n";
    fs::write(&config, [text, more].concat()).expect("written");
    Pool::start(&folder.join("pool"), &config)
}

/// Runs Chromium without a window. Returns what it prints on stdout and stderr.
fn chromium(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = Command::new("chromium")
        .args([
            "--headless",
            // Its sandbox wants rights that containers and root do not have.
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            PAGE_MS,
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(arguments)
        .output()
        .expect("chromium runs; if it is missing: apt-get install chromium");
    assert!(output.status.success(), "{arguments:?}");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_page_shows_what_the_api_says_and_its_script_has_no_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool(folder.path());
    let pools = pool.wait_for("/api/v1/pools", "two blocks", |pools| {
        2 <= pools["pools"][0]["blocks_found"].as_u64().unwrap_or(0)
    });
    let accounts = pool.wait_for("/api/v1/pools/0/accounts", "an account", |page| {
        page["accounts"]
            .as_array()
            .is_some_and(|accounts| !accounts.is_empty())
    });
    let address = accounts["accounts"][0]["address"]
        .as_str()
        .expect("an address");
    let url = format!("http://{}/#account={address}", pool.http);
    let (page, said) = chromium(folder.path(), &["--dump-dom", &url]);
    assert!(
        !said.contains("CONSOLE") || !said.contains("rror"),
        "{said}"
    );
    // What only the script can have put there.
    let first = &pools["pools"][0];
    let name = first["name"].as_str().expect("a name");
    assert!(
        page.contains(name),
        "the pool {name} is not on the page: {page}"
    );
    let height = first["last_block"]["height"].as_u64().expect("a height");
    assert!(
        (1..=height).any(|height| page.contains(&format!(">{height}<"))),
        "no block's height is on the page"
    );
    assert!(
        page.contains(&format!("<code>{address}</code>")),
        "account {address} is not on the page"
    );
    // The account's own part of the page, and the pool's batches, with what the API answered.
    for part in ["Next payout", "Paid so far", "what lines brought in"] {
        assert!(page.contains(part), "{part} is not on the page: {page}");
    }
    // No listener for settings is configured: the page knows, and asks nobody in vain.
    assert!(!page.contains("Change how this account is paid"), "{page}");
    let ledger = pool.json("/api/v1/ledger");
    let id = ledger["ledger"].as_str().expect("an id");
    assert!(page.contains(id), "the ledger's id is not on the page");
}

#[test]
fn the_page_can_be_looked_at_in_light_dark_and_on_a_phone() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool(folder.path());
    pool.wait_for("/api/v1/pools", "a block", |pools| {
        1 <= pools["pools"][0]["blocks_found"].as_u64().unwrap_or(0)
    });
    let url = format!("http://{}/", pool.http);
    let mut sizes = Vec::new();
    for (name, more) in [
        (
            "light",
            [
                "--window-size=1280,1600",
                "--blink-settings=preferredColorScheme=1",
            ],
        ),
        (
            "dark",
            [
                "--window-size=1280,1600",
                "--blink-settings=preferredColorScheme=0",
            ],
        ),
        (
            "phone",
            [
                "--window-size=390,1800",
                "--blink-settings=preferredColorScheme=1",
            ],
        ),
    ] {
        let picture = folder.path().join(format!("{name}.png"));
        let shot = format!("--screenshot={}", picture.display());
        chromium(folder.path(), &[&shot, more[0], more[1], &url]);
        let bytes = fs::read(&picture).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"), "{name} is no picture");
        if let Some(keep) = std::env::var_os("OREBOOK_PICTURES") {
            fs::copy(&picture, Path::new(&keep).join(format!("{name}.png"))).expect("kept");
        }
        sizes.push((name, bytes));
    }
    assert_ne!(sizes[0].1, sizes[1].1, "dark is not light");
}

/// A pool that takes settings, also by a proxy of this machine. A new address waits an hour.
fn pool_with_settings(folder: &Path) -> Pool {
    let more = "[pool]\naddress_hold_ms = 3600000\n[desk]\nlisten = \"127.0.0.1:0\"\nminers = \"127.0.0.1:0\"\n\
                miners_proxy_from = [\"127.0.0.1\"]\n";
    pool_with(folder, more)
}

/// What the form says in the end, of a text that was asked for by `what` and `value` and signed by `signer`.
fn sets(page: &mut Chromium, signer: &Owner, what: &str, value: &str) -> String {
    page.until("document.querySelector('#set-what')");
    page.run("document.querySelector('#settings details').open = true");
    page.fill("#set-what", what);
    if !value.is_empty() {
        page.fill("#set-value", value);
    }
    page.press("#settings button.do");
    page.until("document.querySelector('#set-text')");
    let text = page.text("#set-text");
    assert_eq!(text.lines().count(), 6, "{text}");
    page.fill("#set-proof", &signer.sign(&text));
    page.press("#settings button.do");
    page.until(
        "/Done|[Nn]othing changed|waits for/.test(document.querySelector('#settings [role=status]')?.textContent)",
    );
    let said = page.text("#settings [role=status]");
    page.press("#settings .more button");
    said
}

#[test]
fn a_miner_changes_how_he_is_paid_by_what_his_wallet_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool_with_settings(folder.path());
    pool.wait_for("/api/v1/pools", "the first figures", |_| true);
    let (owner, stranger) = (Owner::new(7), Owner::new(8));
    let (address, new) = (owner.address(), stranger.address());
    let mut page = Chromium::start(&folder.path().join("driven"));
    page.open(&format!("http://{}/#account={address}", pool.http));

    assert!(
        sets(&mut page, &owner, "threshold", "0.05")
            .starts_with("Done: it stands in the ledger at ")
    );
    let path = format!("/api/v1/accounts/{address}");
    let view = pool.wait_for(&path, "a threshold", |view| {
        view["payment"]["own_threshold"] == true
    });
    assert_eq!(view["payment"]["threshold"], "5000000");
    page.until(
        "document.querySelector('#account-view').textContent.includes(\"this account's own\")",
    );

    let said = sets(&mut page, &stranger, "donation", "100");
    assert!(
        said.starts_with("The signature is not of this text by this address's key."),
        "{said}"
    );
    assert!(said.ends_with("Nothing changed."), "{said}");

    let said = sets(&mut page, &owner, "address", &new);
    let hold =
        "The new address holds 1 hour after it is said; until then payouts go to the old one.";
    assert!(said.starts_with("Done") && said.ends_with(hold), "{said}");
    page.until(&format!(
        "document.querySelector('#account-view .notice')?.textContent.includes('{new}')"
    ));
    // Naming the old one drops it.
    assert!(sets(&mut page, &owner, "address", &address).starts_with("Done"));
    let view = pool.wait_for(&path, "nothing waits", |view| {
        view["payment"]["pending"].is_null()
    });
    assert_eq!(
        (
            &view["payment"]["address"],
            &view["payment"]["donation_ppm"]
        ),
        (&json!(address), &json!(0))
    );

    // What cannot be a text is said where it was written.
    page.fill("#set-value", "0.123456789");
    page.press("#settings button.do");
    page.until("document.querySelector('#settings .wrong').textContent === 'Give an amount with at most 8 decimals.'");
    // The wrong signature is the one complaint: a browser notes each 403.
    let complaints = page.complaints();
    assert!(
        complaints.len() == 1 && complaints[0].contains("403"),
        "{complaints:?}"
    );
    let kept = page.run("JSON.stringify({ ...localStorage })");
    assert_eq!(kept, json!({ "orebook.account": address }).to_string());
}

#[test]
fn a_bare_name_is_looked_up_without_a_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool_with_settings(folder.path());
    pool.wait_for("/api/v1/pools", "the first figures", |_| true);
    let desk = pool.desk.expect("a desk").to_string();
    let payout = Owner::new(7).address();
    let registered = Command::new(orebook_binary())
        .args(["account", "register", "farm", "--payout", &payout])
        .args(["--desk", &desk, "--yes", "--key"])
        .arg(folder.path().join("pool/keys/approver-1.key"))
        .output()
        .expect("the binary runs");
    let words = String::from_utf8_lossy(&registered.stderr);
    assert!(registered.status.success(), "{words}");
    pool.wait_for(
        "/api/v1/accounts/name:farm",
        "a payout address",
        |account| account["payment"]["address"] == json!(payout),
    );
    let mut page = Chromium::start(&folder.path().join("driven"));
    page.open(&format!("http://{}/#account=Farm", pool.http));
    page.until(
        "document.querySelector('#account-view .account-name')?.textContent.includes('farm')",
    );
    assert_eq!(page.complaints(), [""; 0]);
}

#[test]
fn a_page_of_another_origin_neither_sets_nor_reads_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool_with_settings(folder.path());
    pool.wait_for("/api/v1/pools", "the first figures", |_| true);
    let owner = Owner::new(7);
    let at = format!("http://{}", pool.http);
    let question = format!(
        "/settings/text?account={}&what=threshold&value=5",
        owner.address()
    );
    let text_of = |pool: &Pool| {
        pool.json(&question)["text"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let text = text_of(&pool);
    let posted = json!({ "text": text, "signature": owner.sign(&text) }).to_string();
    let mut page = Chromium::start(&folder.path().join("driven"));
    let fetched = |page: &mut Chromium, path: &str, options: &serde_json::Value| {
        page.run(&format!(
            "fetch('{at}{path}', {options}).then(async (answer) => `${{answer.type}} ${{answer.status}} ${{await answer.text()}}`, () => 'no answer')"
        ))
    };
    // An empty page is of no origin. What figures are public it reaches; what a form could send, a browser sends without asking first.
    assert_eq!(
        fetched(&mut page, "/api/v1/pools", &json!({ "mode": "no-cors" })),
        "opaque 0 "
    );
    let blindly = json!({ "method": "POST", "mode": "no-cors", "headers": { "content-type": "text/plain" }, "body": posted });
    let openly = json!({ "method": "POST", "headers": { "content-type": "application/json" }, "body": posted });
    for (path, options) in [
        ("/settings", &blindly),
        ("/settings", &openly),
        (question.as_str(), &json!({})),
        ("/settings", &json!({})),
    ] {
        assert_eq!(fetched(&mut page, path, options), "no answer", "{path}");
    }
    // Had one been taken, the next text would name its place.
    assert!(text_of(&pool).contains("\nafter 0.0\n"));
    // The very same is taken from the pool's own page.
    page.open(&format!("{at}/"));
    let taken = fetched(&mut page, "/settings", &openly);
    assert!(
        taken.as_str().expect("text").starts_with("basic 200"),
        "{taken}"
    );
    assert!(!text_of(&pool).contains("\nafter 0.0\n"));
}

/// Status of a GET through a proxy that adds its peer behind the address that we say.
fn status_for(address: SocketAddr, path: &str, whose: &str) -> u16 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: pool\r\nX-Forwarded-For: {whose}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    status.expect("a status")
}

#[test]
fn behind_the_proxy_of_deploy_page_and_settings_are_one_origin_and_each_miner_has_his_own_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let pool = pool_with_settings(folder.path());
    pool.wait_for("/api/v1/pools", "the first figures", |_| true);
    let miners = pool.miners.expect("a listener for miners");
    // Without a desk behind it, what is the desk's is not answered, and all else is.
    let alone = Front::start(folder.path(), pool.http, free_address());
    for (path, status) in [
        ("/", 200),
        ("/settings.js", 200),
        ("/api/v1/pools", 200),
        ("/settingsx", 404),
        ("/settings", 503),
        ("/settings/text?account=a&what=b", 503),
        ("/settings?x=1", 503),
        ("/commands", 404),
    ] {
        assert_eq!(
            status_for(alone.address, path, "192.0.2.1"),
            status,
            "{path}"
        );
    }
    drop(alone);
    let front = Front::start(folder.path(), pool.http, miners);
    let owner = Owner::new(9);
    let mut page = Chromium::start(&folder.path().join("driven"));
    page.open(&format!(
        "http://{}/#account={}",
        front.address,
        owner.address()
    ));
    assert!(sets(&mut page, &owner, "donation", "1.5").starts_with("Done"));
    let path = format!("/api/v1/accounts/{}", owner.address());
    pool.wait_for(&path, "a donation", |view| {
        view["payment"]["donation_ppm"] == 15_000
    });
    let status = |whose| status_for(front.address, "/settings/text?account=a&what=b", whose);
    // A minute may end meanwhile, and then he begins anew.
    let is_over = (0..200).any(|_| status("192.0.2.2") == 429);
    assert!(is_over && status("192.0.2.3") != 429);
}

#[test]
fn a_payout_is_followed_from_its_batch_to_the_blocks_that_it_pays() {
    let folder = tempfile::tempdir().expect("a folder");
    let quick = "[development]\nblock_seconds = 1\nmaturity = 3\norphan_one_in = 0\n";
    let pool = pool_with(folder.path(), quick);
    let payouts = pool.wait_for("/api/v1/payouts", "a batch that is paid", |page| {
        page["payouts"].as_array().is_some_and(|all| {
            all.iter()
                .any(|one| one["state"] == "final" || one["state"] == "confirmed")
        })
    });
    let batches = payouts["payouts"].as_array().expect("a list");
    let number = &batches.last().expect("one")["batch"];
    let batch = pool.json(&format!("/api/v1/payouts/0/{number}"));
    let line = &batch["lines"][0];
    let (account, address) = (
        line["account"].as_str().expect("text"),
        line["address"].as_str().expect("text"),
    );
    let mut page = Chromium::start(&folder.path().join("driven"));
    page.open(&format!("http://{}/#payouts", pool.http));
    page.until(&format!(
        "document.querySelector('#payouts-view a[href=\"#payout=0/{number}\"]')"
    ));
    page.press(&format!("#payouts-view a[href=\"#payout=0/{number}\"]"));
    page.until("document.querySelector('#payout-view .trail')");
    let shown = page.text("#payout-view");
    for step in batch["transactions"][0]["steps"]
        .as_array()
        .expect("a list")
    {
        let at = format!("at {}", step["at"].as_str().expect("a place"));
        assert!(shown.contains(&at), "{at} is not in: {shown}");
    }
    page.press("#payout-view td a");
    page.until("document.querySelector('#payout-view h3')?.textContent.startsWith('Payout to ')");
    let shown = page.text("#payout-view");
    let paid = pool.json(&format!("/api/v1/payouts/0/{number}/{account}"));
    let pays = paid["pays"].as_array().expect("a list");
    assert!(!pays.is_empty(), "{paid}");
    for credit in pays {
        let block = format!("Block {} ", credit["height"]);
        assert!(shown.contains(&block), "{block} is not in: {shown}");
    }
    assert!(shown.contains(address), "{shown}");
    assert_eq!(page.complaints(), [""; 0]);
}
