//! The genesis: the network's first members and parameters, signed by every founder.
//!
//! The file is a COSE_Sign (RFC 9052 §4.1) over one payload, with one signature for each founding member in the order of
//! their ids. The network's id is the BLAKE3 of the file.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;

use crate::cbor::{self, DecodeError, DecodeReason};
use crate::cose::{ContentType, protected_header};
use crate::cosign::{self, RawSignature, read_cose_sign, write_cose_sign};
use crate::error::{Rule, Violation, ensure};
use crate::hash::NetworkId;
use crate::keys::{self, PublicKey, Signature};
use crate::limits::{BLOCK_ENTRIES_MAX, EXPIRY_BLOCKS_MAX, GENESIS_BYTES_MAX, MEMBERS_MAX, TEXT_BYTES_MAX};
use crate::member::Member;

/// The version of the format that this code reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What every member agrees to before the first block.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Genesis {
    /// Version of the format; 1.
    #[n(0)]
    pub format: u32,
    /// The network's name as people know it, at most 256 bytes.
    #[n(1)]
    pub name: String,
    /// When it was made, in Unix milliseconds; the first block's time is later.
    #[n(2)]
    pub created_ms: u64,
    /// The founding members, in ascending order of their ids.
    #[n(3)]
    pub members: Vec<Member>,
    /// Parameters of the network.
    #[n(4)]
    pub parameters: Parameters,
}

/// Parameters of the network.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Parameters {
    /// Most entries in one block, 1 to 10,000.
    #[n(0)]
    pub block_entries_max: u32,
    /// How far ahead of a validator's clock a block's time may lie, in milliseconds.
    #[n(1)]
    pub clock_drift_ms_max: u64,
    /// How many blocks ahead an endorsement's expiry may lie, 1 to 1,000,000.
    #[n(2)]
    pub expiry_blocks_max: u64,
    /// How much of the voting power must sign a governance record, in percent, 51 to 100.
    #[n(3)]
    pub approval_percent: u8,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { block_entries_max: 4_000, clock_drift_ms_max: 10_000, expiry_blocks_max: 10_000, approval_percent: 67 }
    }
}

impl Parameters {
    /// The ranges of all parameters.
    ///
    /// # Errors
    /// A violation of the given rule, naming the parameter.
    pub fn check(&self, rule: Rule) -> Result<(), Violation> {
        let entries = usize::try_from(self.block_entries_max).unwrap_or(usize::MAX);
        let entries_hold = (1..=BLOCK_ENTRIES_MAX).contains(&entries);
        ensure(entries_hold, rule, "parameters.block_entries_max", "1 to 10000", entries)?;
        let blocks = self.expiry_blocks_max;
        let blocks_hold = (1..=EXPIRY_BLOCKS_MAX).contains(&blocks);
        ensure(blocks_hold, rule, "parameters.expiry_blocks_max", "1 to 1000000", blocks)?;
        let percent = self.approval_percent;
        ensure((51..=100).contains(&percent), rule, "parameters.approval_percent", "51 to 100", percent)
    }
}

/// A genesis file: the payload, its signatures checked, and the id that its bytes give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisFile {
    genesis: Genesis,
    network: NetworkId,
    bytes: Vec<u8>,
}

impl Genesis {
    /// The rules of a genesis.
    ///
    /// # Errors
    /// A [`Violation`] naming the field or the member.
    pub fn check(&self) -> Result<(), Violation> {
        let rule = Rule::Genesis;
        ensure(self.format == FORMAT_VERSION, rule, "genesis.format", FORMAT_VERSION, self.format)?;
        let name_bytes = self.name.len();
        let name_holds = (1..=TEXT_BYTES_MAX).contains(&name_bytes);
        ensure(name_holds, rule, "genesis.name", "1 to 256 bytes", name_bytes)?;
        let count = self.members.len();
        let count_holds = (1..=MEMBERS_MAX).contains(&count);
        ensure(count_holds, rule, "genesis.members", "1 to 256 members", count)?;
        self.check_members()?;
        self.parameters.check(rule)
    }

    fn check_members(&self) -> Result<(), Violation> {
        let rule = Rule::Genesis;
        let mut keys = BTreeSet::new();
        let mut power = 0_u64;
        let mut previous = None;
        for member in &self.members {
            member.check()?;
            let ascending = previous.is_none_or(|p| p < &member.id);
            ensure(ascending, rule, "genesis.members", "ids in ascending order, each once", &member.id)?;
            previous = Some(&member.id);
            for key in member.keys() {
                let fresh = keys.insert(*key);
                ensure(fresh, rule, "genesis.members", "each key once", format_args!("{}: {key} again", member.id))?;
            }
            power = power.saturating_add(member.power);
        }
        let holds = (1..=u64::from(u32::MAX)).contains(&power);
        ensure(holds, rule, "genesis.members", "a total voting power of 1 to 2^32 - 1", power)
    }

    /// The exact bytes that every founder signs.
    pub fn payload(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// One founder's signature on a genesis payload.
pub fn sign_genesis(payload: &[u8], key: &SigningKey) -> (PublicKey, Signature) {
    cosign::cosign(ContentType::Genesis, payload, key)
}

impl GenesisFile {
    /// Puts a payload and all founders' signatures into a file.
    ///
    /// # Errors
    /// The genesis' rules; a missing, foreign or wrong signature.
    pub fn assemble(genesis: &Genesis, signatures: &[(PublicKey, Signature)]) -> Result<Self, Violation> {
        let payload = genesis.payload();
        let in_order =
            genesis.members.iter().filter_map(|member| signatures.iter().find(|(key, _)| *key == member.member_key));
        let signed: Vec<_> = in_order
            .into_iter()
            .map(|(key, signature)| (protected_header(ContentType::Genesis, key), *signature))
            .collect();
        Self::decode(write_cose_sign(&payload, &signed))
    }

    /// Reads a genesis file and checks every founder's signature.
    ///
    /// # Errors
    /// Names the field, the member or the signature that is wrong.
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Violation> {
        const RECORD: &str = "genesis";
        let fail = |offset, reason| DecodeError { record: RECORD, offset, reason };
        if bytes.len() > GENESIS_BYTES_MAX {
            let reason = DecodeReason::TooLarge { found: bytes.len(), max: GENESIS_BYTES_MAX };
            return Err(fail(0, reason).into());
        }
        cbor::scan(&bytes).map_err(|(offset, reason)| fail(offset, reason))?;
        let (payload, signatures) = read_cose_sign(&bytes, MEMBERS_MAX)
            .map_err(|e| fail(e.position().unwrap_or(0), DecodeReason::Value(e.to_string())))?;
        let genesis: Genesis = cbor::decode(payload, RECORD, GENESIS_BYTES_MAX)?;
        genesis.check()?;
        check_signatures(&genesis, payload, &signatures)?;
        let network = NetworkId(blake3::hash(&bytes).into());
        Ok(Self { genesis, network, bytes })
    }

    /// The payload.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The network's id.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The exact bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn check_signatures(genesis: &Genesis, payload: &[u8], signatures: &[RawSignature<'_>]) -> Result<(), Violation> {
    let (expected, found) = (genesis.members.len(), signatures.len());
    let field = "genesis.signatures";
    ensure(
        expected == found,
        Rule::Genesis,
        field,
        format_args!("{expected} signatures, one for each founder"),
        found,
    )?;
    for (member, (protected, signature)) in genesis.members.iter().zip(signatures) {
        let key = member.member_key;
        let named = *protected == protected_header(ContentType::Genesis, &key);
        let place = format!("{field}.{}", member.id);
        ensure(named, Rule::Genesis, &place, format_args!("the member's key {key}"), "another header")?;
        let signed = cosign::signed_bytes(ContentType::Genesis, &key, payload);
        keys::verify(&key, &signed, signature)
            .map_err(|e| Violation::new(Rule::Genesis, place, "a signature that verifies", e))?;
    }
    Ok(())
}
