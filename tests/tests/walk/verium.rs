//! The walk of Verium's proof of work: `orebook up --coin verium-test` without any node, at most of a second a hash.

use std::fs;

use orebook_tests::pool::Pool;

use crate::ethash::verify_work;

/// What is not said is as it suits scrypt².
const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:0"
[settler]
poll_ms = 200
[[gateway]]
[[gateway.port]]
listen = "127.0.0.1:0"
difficulty = "0.00003"
"#;

#[test]
fn a_pool_of_scrypt2_mines_its_own_development_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("verium.toml");
    fs::write(&path, CONFIG).expect("written");
    let data = folder.path().join("pool");
    let pool = Pool::start_role(&["up", "--coin", "verium-test"], &data, &path);
    let pools = pool.wait_for("/api/v1/pools", "a block of ours on the chain", |pools| {
        let count = |state: &str| pools["pools"][0]["blocks"][state].as_u64().unwrap_or(0);
        0 < count("immature") + count("confirmed")
    });
    println!("{pools}");
    pool.stop();
    // A ledger of the real hash: each share costs it again.
    let verified = verify_work(&data);
    let figure = |key: &str| verified[key].as_u64().expect("a count");
    assert!(0 < figure("blocks") && figure("blocks") <= figure("hashed"));
}
