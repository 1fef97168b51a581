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

    /// Two quorums share more than a third of the power, so no two blocks of one height are certified by honest validators.
    #[test]
    fn two_quorums_meet(total in 1_u64..1 << 40, first in 0_u64..1 << 40, second in 0_u64..1 << 40) {
        let (first, second) = (first % (total + 1), second % (total + 1));
        prop_assume!(is_quorum(first, total) && is_quorum(second, total));
        prop_assert!(3 * (u128::from(first) + u128::from(second) - u128::from(total)) > u128::from(total));
    }
}
