use super::*;

#[test]
fn what_is_added_and_names_are_read() {
    assert_eq!(parse_extra("rewards"), Ok(Extra::Rewards));
    assert_eq!(parse_extra("0.000000000001"), Ok(Extra::Of(1)));
    assert!(parse_extra("reward").is_err());
    assert!(parse_name("a pool").is_ok());
    for name in ["", "\u{1b}[2J", &"x".repeat(257)] {
        assert!(parse_name(name).is_err(), "{name}");
    }
}
