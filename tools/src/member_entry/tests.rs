//! Entries: signed by every key, and refused when anything changes.

use serde_json::Value;

use super::*;

fn keys(validator: bool) -> MemberKeys {
    let key = |seed, purpose| SecretKey::from_seed(&[seed; 32], purpose);
    MemberKeys {
        member: key(1, Purpose::Member),
        network: key(2, Purpose::Network),
        validator: validator.then(|| key(3, Purpose::Validator)),
    }
}

fn about(role: Role, power: u64) -> About {
    About { id: "bank-a".parse().unwrap(), role, name: "Bank A".to_owned(), power }
}

fn signed() -> Value {
    let entry = MemberEntry::sign("Example", about(Role::Bank, 1), &keys(true)).unwrap();
    serde_json::to_value(entry.json()).unwrap()
}

fn parse(value: &Value) -> Result<MemberEntry, EntryError> {
    MemberEntry::parse(value.to_string().as_bytes())
}

#[test]
fn an_entry_comes_back() {
    for (role, power, validator) in [(Role::Bank, 3, true), (Role::Institution, 0, false), (Role::Auditor, 0, false)] {
        let entry = MemberEntry::sign("Example", about(role, power), &keys(validator)).unwrap();
        let read = MemberEntry::parse(&serde_json::to_vec(&entry.json()).unwrap()).unwrap();
        assert_eq!(read, entry);
        read.check_network(&["other", "Example"]).unwrap();
        let refused = read.check_network(&["other"]).unwrap_err();
        assert!(matches!(refused, EntryError::OtherNetwork { .. }), "{refused}");
    }
}

#[test]
fn every_changed_field_is_noticed() {
    let good = signed();
    parse(&good).unwrap();
    let other = PublicKey(SecretKey::from_seed(&[9; 32], Purpose::Member).public_key()).to_string();
    let changes = [
        ("network", Value::from("Another")),
        ("id", Value::from("bank-b")),
        ("role", Value::from("institution")),
        ("name", Value::from("Bank B")),
        ("power", Value::from(2)),
        ("member_key", Value::from(other.clone())),
        ("network_key", Value::from(other.clone())),
        ("validator_key", Value::from(other)),
    ];
    for (field, value) in changes {
        let mut changed = good.clone();
        changed[field] = value;
        let error = parse(&changed).unwrap_err();
        assert!(matches!(error, EntryError::Signature { .. }), "{field}: {error}");
    }
}

#[test]
fn each_key_proves_its_own_possession() {
    let good = signed();
    for (taken, purpose) in
        [("member", Purpose::Member), ("network", Purpose::Network), ("validator", Purpose::Validator)]
    {
        for from in ["member", "network", "validator"].into_iter().filter(|from| *from != taken) {
            let mut changed = good.clone();
            changed["signatures"][taken] = good["signatures"][from].clone();
            let error = parse(&changed).unwrap_err();
            assert!(matches!(error, EntryError::Signature { purpose: found, .. } if found == purpose), "{error}");
        }
    }
    let mut without = good;
    without["signatures"].as_object_mut().unwrap().remove("validator");
    assert!(matches!(parse(&without), Err(EntryError::ValidatorSignature { .. })));
}

#[test]
fn what_is_malformed_is_named() {
    let changed = |path: &str, value: Value| {
        let mut changed = signed();
        *changed.pointer_mut(path).unwrap() = value;
        parse(&changed).unwrap_err()
    };
    assert!(matches!(changed("/version", Value::from(2)), EntryError::Version { found: 2 }));
    assert!(matches!(changed("/id", Value::from("Bank A")), EntryError::Field { field: "id", .. }));
    assert!(matches!(changed("/role", Value::from("king")), EntryError::Field { field: "role", .. }));
    assert!(matches!(changed("/member_key", Value::from("12")), EntryError::Field { field: "member_key", .. }));
    let short = changed("/signatures/network", Value::from("12"));
    assert!(matches!(short, EntryError::Field { field: "signatures.network", .. }));
    assert!(matches!(changed("/power", Value::from(0)), EntryError::Rule(_)));
    let mut unknown = signed();
    unknown["more"] = Value::from(1);
    assert!(matches!(parse(&unknown), Err(EntryError::Json(_))));
}

#[test]
fn keys_are_not_mixed() {
    let mut mixed = keys(true);
    mixed.network = SecretKey::from_seed(&[2; 32], Purpose::Member);
    let refused = MemberEntry::sign("Example", about(Role::Bank, 1), &mixed).unwrap_err();
    assert!(matches!(refused, EntryError::WrongPurpose { expected: Purpose::Network, found: Purpose::Member }));
    let powerless = MemberEntry::sign("Example", about(Role::Bank, 0), &keys(true)).unwrap_err();
    assert!(matches!(powerless, EntryError::Rule(_)));
}

#[test]
fn network_and_member_cannot_be_shifted_into_each_other() {
    let entry = MemberEntry::sign("Example", about(Role::Bank, 1), &keys(true)).unwrap();
    let one = signed_bytes("Example", Purpose::Member, entry.member());
    let other = signed_bytes("Exampl", Purpose::Member, entry.member());
    assert!(one.starts_with(HEADING) && one.len() == other.len() + 1);
    assert!(!HEADING.starts_with(crate::file_signature::HEADING.as_bytes()));
}
