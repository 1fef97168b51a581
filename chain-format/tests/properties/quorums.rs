//! A quorum is more than two thirds of the voting power, counted exactly.

use proptest::prelude::*;
use stemma_chain_format::certificate::is_quorum;

#[test]
fn two_thirds_are_not_enough() {
    for (power, total, expected) in
        [(0, 0, false), (2, 3, false), (3, 3, true), (2, 4, false), (3, 4, true), (4, 6, false), (5, 6, true)]
    {
        assert_eq!(is_quorum(power, total), expected, "{power} of {total}");
    }
    let third = u64::MAX / 3;
    assert!(!is_quorum(2 * third, u64::MAX));
    assert!(is_quorum(2 * third + 1, u64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The smallest quorum is the first number above two thirds, and two quorums share more than a third of the power:
    /// so no two blocks of one height are certified where less than a third lies.
    #[test]
    fn two_quorums_meet(total in 1_u64..=u64::MAX) {
        let smallest = u64::try_from(u128::from(total) * 2 / 3 + 1).unwrap();
        prop_assert!(is_quorum(smallest, total) && !is_quorum(smallest - 1, total));
        let shared = 2 * u128::from(smallest) - u128::from(total);
        prop_assert!(3 * shared > u128::from(total));
    }
}
