//! The page in a real browser: Chromium loads it from a running pool, runs its script, and what it shows is compared with the
//! API. A missing Chromium is a failure.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says which"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use orebook_tests::pool::Pool;

/// Milliseconds of the page's own time that pass before it is looked at: two polls.
const PAGE_MS: &str = "--virtual-time-budget=5000";

fn pool(folder: &Path) -> Pool {
    let config = folder.join("page.toml");
    let text = "[http]\nlisten = \"127.0.0.1:0\"\n[[gateway]]\n[[gateway.port]]\n\
                listen = \"127.0.0.1:0\"\ndifficulty = \"0.0001\"\n";
    fs::write(&config, text).expect("written");
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
