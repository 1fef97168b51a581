//! Rules as data: what applies, what is kept, what is told.

use stemma_chain_format::amount::Amount;

use super::super::policy::{Policy, PolicyError};
use super::*;

const TEXT: &str = r#"
[[rule]]
amount_from = "1000000"
all_of = ["password", "totp"]

[[rule]]
amount_from = "79228162514264337593543950336"
any_of = ["x509"]

[[rule]]
account = "0202020202020202020202020202020202020202020202020202020202020202"
all_of = ["x509"]
any_of = ["national-id", "image"]
"#;
const ALICE: AccountId = AccountId([2; 32]);
const BOB: AccountId = AccountId([3; 32]);

fn policy() -> Policy {
    toml::from_str(TEXT).unwrap()
}

fn amount(units: i128) -> Option<Amount> {
    Some(Amount::new(units).unwrap())
}

#[test]
fn text_and_back() {
    let policy = policy();
    assert_eq!(toml::from_str::<Policy>(&toml::to_string(&policy).unwrap()).unwrap(), policy);
    let kinds: Vec<_> = Verifiers::standard().kinds().collect();
    assert_eq!(policy.check(&kinds), Ok(()));
    assert_eq!(toml::from_str::<Policy>("").unwrap(), Policy::default());
}

#[test]
fn without_a_rule_any_one_enrolled_type_will_do() {
    let none = Policy::default();
    assert!(none.demanded(&BOB, None, &["account-key"], &[]).is_ok(), "account-key always counts as enrolled");
    assert!(none.demanded(&BOB, amount(5), &["totp"], &["password", "totp"]).is_ok());
    for offered in [&[][..], &["totp"]] {
        let demand = none.demanded(&BOB, amount(5), offered, &["password"]).unwrap_err();
        assert_eq!(demand.to_string(), "one enrolled identity");
    }
    assert!(policy().demanded(&BOB, amount(999_999), &["account-key"], &[]).is_ok(), "no rule applies");
}

#[test]
fn a_rule_begins_at_its_amount() {
    let policy = policy();
    let enrolled = ["password", "totp"];
    for (units, offered, holds) in [
        (999_999, &["password"][..], true),
        (1_000_000, &["password"], false),
        (1_000_000, &["account-key", "totp"], false),
        (1_000_000, &["totp", "password"], true),
    ] {
        assert_eq!(policy.demanded(&BOB, amount(units), offered, &enrolled).is_ok(), holds, "{units} {offered:?}");
    }
    let demand = policy.demanded(&BOB, amount(1_000_000), &["password"], &enrolled).unwrap_err();
    assert_eq!(demand.to_string(), "password and totp for amounts from 1000000");
    let not_enrolled = policy.demanded(&BOB, amount(1_000_000), &["totp", "password"], &["password"]);
    assert!(not_enrolled.is_err(), "what is not enrolled does not count");
}

#[test]
fn an_unknown_amount_meets_every_rule() {
    let demand = policy().demanded(&BOB, None, &["account-key"], &[]).unwrap_err();
    let told = "password and totp for amounts from 1000000; x509 for amounts from 79228162514264337593543950336";
    assert_eq!(demand.to_string(), told);
}

#[test]
fn all_rules_that_apply_are_kept_in_any_order() {
    let mut policy = policy();
    let enrolled = ["password", "totp", "x509", "image"];
    for _ in 0..policy.rules.len() {
        policy.rules.rotate_left(1);
        let demand = policy.demanded(&ALICE, amount(2_000_000), &["password", "totp"], &enrolled).unwrap_err();
        assert_eq!(demand.to_string(), "x509 and one of national-id, image for this account");
        assert!(policy.demanded(&ALICE, amount(2_000_000), &["x509", "image"], &enrolled).is_err());
        assert!(policy.demanded(&ALICE, amount(2_000_000), &enrolled, &enrolled).is_ok());
        assert!(policy.demanded(&ALICE, amount(1), &["x509", "image"], &enrolled).is_ok());
    }
}

#[test]
fn slips_of_the_pen_are_refused() {
    for wrong in [
        "[[rule]]\namount_form = \"1\"\nall_of = [\"totp\"]",
        "[[rules]]\nall_of = [\"totp\"]",
        "[[rule]]\namount_from = 1\nall_of = [\"totp\"]",
        "[[rule]]\namount_from = \"1.5\"\nall_of = [\"totp\"]",
        "[[rule]]\namount_from = \"792281625142643375935439503361\"\nall_of = [\"totp\"]",
        "[[rule]]\naccount = \"02\"\nall_of = [\"totp\"]",
    ] {
        assert!(toml::from_str::<Policy>(wrong).is_err(), "{wrong}");
    }
    let check = |text: &str| toml::from_str::<Policy>(text).unwrap().check(&["totp"]).unwrap_err();
    let unknown = check("[[rule]]\nany_of = [\"totp\", \"topt\"]");
    assert_eq!(unknown.to_string(), "rule 1 demands topt, which is no identity type; known: totp");
    assert_eq!(check("[[rule]]\namount_from = \"1\""), PolicyError::Empty { index: 1 });
    let negative = check("[[rule]]\namount_from = \"-1\"\nall_of = [\"totp\"]");
    assert!(matches!(negative, PolicyError::Negative { index: 1, .. }));
}
