//! Each chain's spec: what wallets read of it, and that it can be written to a file and read back.

use std::io::Write;

use sp_runtime::BuildStorage;

use super::*;

fn all() -> [(ChainSpec, &'static str, ChainType); 3] {
    [
        (
            development().expect("built with its WASM"),
            "labora_dev",
            ChainType::Development,
        ),
        (
            local().expect("built with its WASM"),
            "labora_local",
            ChainType::Local,
        ),
        (
            testnet().expect("built with its WASM"),
            "labora_testnet",
            ChainType::Live,
        ),
    ]
}

/// A file that is gone with the test.
fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_bytes())
        .expect("it can be written");
    file
}

fn load_file(file: &tempfile::NamedTempFile) -> Result<ChainSpec, Error> {
    load(file.path().to_str().expect("a plain path"))
}

#[test]
fn wallets_see_the_token_and_the_address_format() {
    for (spec, id, chain_type) in all() {
        assert_eq!(spec.id(), id);
        assert_eq!(sc_chain_spec::ChainSpec::chain_type(&spec), chain_type);
        let properties = spec.properties();
        assert_eq!(properties["tokenSymbol"], "LAB");
        assert_eq!(properties["tokenDecimals"], 12);
        assert_eq!(properties["ss58Format"], 42);
    }
}

#[test]
fn a_spec_written_to_a_file_is_the_same_chain() {
    // One chain, since each genesis that is built compiles the WASM.
    let spec = development().expect("built with its WASM");
    let genesis = spec.build_storage().expect("a genesis").top;
    for raw in [false, true] {
        let written = file(&spec.as_json(raw).expect("a spec is JSON"));
        let read = load_file(&written).expect("what was written can be read");
        assert_eq!(read.id(), "labora_dev");
        assert_eq!(
            read.build_storage().expect("a genesis").top,
            genesis,
            "raw: {raw}"
        );
    }
}

#[test]
fn the_chains_are_three_different_ones() {
    let tops: Vec<_> = all()
        .iter()
        .map(|(spec, ..)| spec.build_storage().expect("a genesis").top)
        .collect();
    assert!(tops[0] != tops[1] && tops[1] != tops[2] && tops[0] != tops[2]);
}

#[test]
fn chains_have_names_and_nothing_means_dev() {
    for (name, id) in [
        ("", "labora_dev"),
        ("dev", "labora_dev"),
        ("local", "labora_local"),
        ("testnet", "labora_testnet"),
    ] {
        assert_eq!(load(name).expect("a known chain").id(), id);
    }
}

#[test]
fn what_is_no_chain_is_refused_with_a_sentence() {
    let unknown = load("mainnet")
        .err()
        .expect("there is no such chain")
        .to_string();
    assert_eq!(
        unknown,
        "there is no chain 'mainnet': expected dev, local, testnet, or the path of a chain spec's file"
    );
    for content in ["", "{}", "not JSON", "{\"name\": 5}"] {
        let file = file(content);
        let error = load_file(&file).err().expect("not a spec");
        assert!(matches!(error, Error::NotASpec { .. }), "{error}");
        assert!(error.to_string().contains("is not a chain spec"), "{error}");
    }
}

#[test]
fn forced_changes_are_read_and_written_and_are_no_part_of_genesis() {
    let spec = development().expect("built with its WASM");
    let json = spec.as_json(false).expect("a spec is JSON");
    assert!(!json.contains("forcedChanges"), "there are none");
    assert!(forced_changes(&spec).is_empty());

    let mut told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let change = serde_json::json!({
        "number": 23,
        "hash": format!("{:#x}", sp_core::H256::repeat_byte(7)),
        "effective": 34,
        "setId": 3,
        "authorities": [["5FA9nQDVg267DEd8m1ZypXLBnvN7SFxYwV7ndqSYGiN9TTpu", 1]],
    });
    told["forcedChanges"] = serde_json::json!([change]);
    // A spec reads its file again when it is written.
    let written = file(&told.to_string());
    let read = load_file(&written).expect("a spec");
    let [found] = forced_changes(&read) else {
        panic!("one change is told of");
    };
    assert_eq!(serde_json::to_value(found).expect("JSON"), change);
    let again = read.as_json(false).expect("a spec is JSON");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&again).expect("JSON"),
        told
    );

    told["forcedChanges"][0]["number"] = "23".into();
    assert!(matches!(
        load_file(&file(&told.to_string())),
        Err(Error::NotASpec { .. })
    ));
}
