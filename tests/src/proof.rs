//! What nodes prove of accounts, verified by both implementations.

use std::fs;
use std::path::Path;

use serde_json::Value;
use stemma_chain_format::bundle::{self, Derived, ProvedBlock, ProvedClaim, Verdict};
use stemma_chain_format::hash::AccountId;
use stemma_node_api::Client;

use crate::command::tool;
use crate::network::Network;
use crate::python;

/// A lineage that a node gave and that holds, and the block from which on it goes, where not from the opening.
///
/// # Panics
/// It does not hold, or is something else.
#[must_use]
pub fn lineage(network: &Network, bytes: &[u8]) -> (Derived, Option<ProvedBlock>) {
    match bundle::verify(bytes, network.genesis()) {
        Verdict::Verified(proved) => match proved.claim {
            ProvedClaim::Lineage(derived, from) => (*derived, from),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A node's proof of an account's lineage, verified here and by the second implementation.
///
/// # Panics
/// There is none, or one of the two refuses it.
pub async fn proved(network: &Network, client: &Client, account: &AccountId) -> (Derived, Option<ProvedBlock>) {
    let bytes = client.account_bundle(&account.to_string()).await.unwrap();
    let found = lineage(network, &bytes);
    if let Some(python) = python::find() {
        let file = network.scratch().join(format!("{account}.bundle"));
        fs::write(&file, bytes).unwrap();
        assert_eq!(python::verify(&python, &file, &network.genesis_file()), 0, "{account}");
    }
    found
}

/// Has the tool verify a bundle, and the second implementation, where this machine can run it; gives what the tool says.
///
/// # Panics
/// One of the two refuses it.
#[must_use]
pub fn both_verify(network: &Network, bundle: &Path) -> Value {
    let genesis = network.genesis_file();
    let [file, known] = [bundle, &genesis].map(|path| path.display().to_string());
    let said = tool(&["audit", "verify", &file, "--genesis", &known, "--json"]);
    assert_eq!(said.code, 0, "{file}: {said:?}");
    if let Some(python) = python::find() {
        assert_eq!(python::verify(&python, bundle, &genesis), 0, "{file}");
    }
    said.json()
}
