//! The governance record by itself.

use crate::cosign::Cosigned;
use crate::error::{Rule, Violation, same};
use crate::governance::Governance;
use crate::registry::Registry;

/// It belongs to the network. Who must have signed it, and what it may change, the registry tells at the height that commits it.
pub(super) fn check(governance: &Cosigned<Governance>, registry: &Registry) -> Result<(), Violation> {
    same(Rule::Network, "governance.network", &registry.network(), &governance.record().network)
}
