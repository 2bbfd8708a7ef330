//! Every vector, byte for byte; and every wrong field of one, by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::PathBuf;

use labora_pouw::Shape;
use labora_pouw::vector::{Limits, MAX_JSON_LEN, VectorError, check, check_within, make};
use serde_json::{Value, json};

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from("vectors");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("vectors/ is part of the crate")
        .map(|f| f.expect("readable").path())
        .collect();
    files.sort();
    files
}

fn tiny() -> Value {
    serde_json::from_str(include_str!("../vectors/tiny.json")).expect("JSON")
}

fn fields_that_differ(vector: &Value) -> Vec<String> {
    check(&vector.to_string())
        .expect("well formed")
        .into_iter()
        .map(|difference| difference.field)
        .collect()
}

#[test]
fn every_vector_is_derived_byte_for_byte() {
    let files = files();
    assert!(
        files.len() >= 16,
        "the 8 of the protocol and those of other shapes, but only {files:?}"
    );
    for file in files {
        let json = fs::read_to_string(&file).expect("readable");
        let differences =
            check(&json).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            differences.is_empty(),
            "{}: {differences:?}",
            file.display()
        );
    }
}

#[test]
fn a_vector_made_here_is_the_file() {
    let made = make("tiny", Shape::new(32, 32, 256).unwrap(), "60000").unwrap();
    assert_eq!(serde_json::to_value(made).unwrap(), tiny());
}

#[test]
fn each_wrong_hash_is_named() {
    let names = [
        "pre_hash",
        "root_a",
        "root_b",
        "seed_a",
        "seed_b",
        "noised_a_blake3",
        "noised_b_blake3",
        "transcripts_blake3",
        "product_blake3",
    ];
    for name in names {
        let mut vector = tiny();
        let hash = vector[name].as_str().unwrap();
        let flipped = if hash.ends_with('0') { "1" } else { "0" };
        vector[name] = json!(format!("{}{flipped}", &hash[..63]));
        assert_eq!(fields_that_differ(&vector), [name]);
    }
}

#[test]
fn each_wrong_list_entry_is_named() {
    let wrong = "00".repeat(32);
    type Place = fn(&mut Value) -> &mut Value;
    let cases: [(&str, Place, Value); 5] = [
        ("winners[1].row", |v| &mut v["winners"][1][0], json!(7)),
        ("winners[2].column", |v| &mut v["winners"][2][1], json!(7)),
        (
            "winners[3].ticket",
            |v| &mut v["winners"][3][2],
            json!(wrong),
        ),
        (
            "first_proof.a_path[0]",
            |v| &mut v["first_proof"]["a_path"][0],
            json!(wrong),
        ),
        (
            "first_proof.b_path[0]",
            |v| &mut v["first_proof"]["b_path"][0],
            json!(wrong),
        ),
    ];
    for (name, place, value) in cases {
        let mut vector = tiny();
        *place(&mut vector) = value;
        assert_eq!(fields_that_differ(&vector), [name]);
    }
}

#[test]
fn lists_of_a_wrong_length_are_named() {
    let mut vector = tiny();
    vector["winners"].as_array_mut().unwrap().pop();
    assert_eq!(fields_that_differ(&vector), ["winners.len"]);
    let mut vector = tiny();
    vector["first_proof"]["a_path"]
        .as_array_mut()
        .unwrap()
        .push(json!("00".repeat(32)));
    assert_eq!(fields_that_differ(&vector), ["first_proof.a_path.len"]);
    let mut vector = tiny();
    vector.as_object_mut().unwrap().remove("first_proof");
    assert_eq!(fields_that_differ(&vector), ["first_proof"]);
    let mut vector: Value = serde_json::from_str(include_str!("../vectors/none.json")).unwrap();
    vector["first_proof"] = json!({"a_path": [], "b_path": []});
    assert_eq!(fields_that_differ(&vector), ["first_proof"]);
}

#[test]
fn another_seed_shape_or_difficulty_differs_in_what_follows_from_it() {
    let mut vector = tiny();
    vector["seed"] = json!("Tiny");
    assert!(fields_that_differ(&vector).contains(&"root_a".into()));
    let mut vector = tiny();
    vector["m"] = json!(48);
    assert!(fields_that_differ(&vector).contains(&"seed_a".into()));
    let mut vector = tiny();
    vector["difficulty"] = json!("1000000000000000000");
    assert_eq!(fields_that_differ(&vector), ["winners.len", "first_proof"]);
}

#[test]
fn missing_unknown_and_repeated_fields_are_errors() {
    for name in tiny()
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| *name != "first_proof")
    {
        let mut vector = tiny();
        vector.as_object_mut().unwrap().remove(name);
        let error = check(&vector.to_string()).unwrap_err().to_string();
        assert!(error.contains(name.as_str()), "{name}: {error}");
    }
    let mut vector = tiny();
    vector["colour"] = json!("red");
    assert!(
        check(&vector.to_string())
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
    let repeated = tiny().to_string().replacen('{', r#"{"seed":"tiny","#, 1);
    assert!(check(&repeated).unwrap_err().to_string().contains("seed"));
}

#[test]
fn what_cannot_be_checked_is_refused_with_a_reason() {
    let with = |name: &str, value: Value| {
        let mut vector = tiny();
        vector[name] = value;
        check(&vector.to_string()).unwrap_err()
    };
    for bad in [
        "",
        "0",
        "-1",
        "+1",
        "01",
        "1e6",
        "0x10",
        "1_000",
        " 1",
        "one",
        &"9".repeat(78),
        &"9".repeat(5000),
    ] {
        assert!(
            matches!(with("difficulty", json!(bad)), VectorError::Difficulty(_)),
            "{bad}"
        );
    }
    assert!(matches!(with("m", json!(33)), VectorError::Shape(_)));
    assert!(matches!(with("k", json!(0)), VectorError::Shape(_)));
    assert!(matches!(with("m", json!(-32)), VectorError::Json(_)));
    assert!(matches!(with("m", json!(32.0)), VectorError::Json(_)));
    // 2^20 × 2^20 × 256: a valid shape, and far too much.
    let mut vector = tiny();
    for (field, value) in [("m", 1 << 20), ("n", 1 << 20), ("k", 256)] {
        vector[field] = json!(value);
    }
    assert!(matches!(
        check(&vector.to_string()),
        Err(VectorError::TooLarge { .. })
    ));
    assert!(matches!(
        with("seed", json!("x".repeat(1025))),
        VectorError::Seed { got: 1025 }
    ));
    assert!(matches!(
        check(&" ".repeat(MAX_JSON_LEN + 1)),
        Err(VectorError::TooLong { .. })
    ));
    for text in ["", "{", "[]", "null", "\u{0}", &"[".repeat(100_000)] {
        assert!(
            matches!(check(text), Err(VectorError::Json(_))),
            "{text:.20}"
        );
    }
    let few = Limits {
        macs: 1000,
        ..Limits::DEFAULT
    };
    assert!(matches!(
        check_within(&tiny().to_string(), few),
        Err(VectorError::TooLarge { .. })
    ));
}

#[test]
fn the_largest_difficulty_parses() {
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert!(
        make("none", Shape::new(32, 32, 256).unwrap(), most)
            .unwrap()
            .winners
            .is_empty()
    );
    assert_eq!(
        make("all", Shape::new(32, 32, 256).unwrap(), "1")
            .unwrap()
            .winners
            .len(),
        4
    );
}
