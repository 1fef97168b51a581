//! Evidence: what no honest member signs. It is proved like any claim, against the genesis alone.

use super::ProvedBlock;
use crate::certificate::CertifiedHeader;
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure, same};
use crate::execution::Execution;
use crate::hash::{Link, NetworkId};
use crate::member::{MemberId, Role};
use crate::record::{Record, Signed};
use crate::trust::Trust;
use crate::validate;

/// Two blocks that are final, and can't both be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other block.
    pub other: ProvedBlock,
    /// Who signed both, with the voting power at the checkpoint.
    pub both: Vec<(MemberId, u64)>,
}

/// Two different records in which a member answers one thing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoAnswers {
    /// The member that signed both.
    pub member: MemberId,
    /// What both stand on: the account's head of two endorsements, the endorsement of two executions.
    pub parent: Link,
    /// The two, in the order of their links.
    pub records: [Link; 2],
}

/// Requires that another block is final as well, and can't be where the checkpoint is.
pub(super) fn conflict(trust: &Trust, ours: &ProvedBlock, other: &CertifiedHeader) -> Result<Conflict, Violation> {
    let theirs = ProvedBlock::of(other, trust.is_final(other)?);
    let is_fork = theirs.height == ours.height && theirs.block != ours.block;
    let is_on_fork = Some(theirs.height) == ours.height.checked_add(1) && other.header.parent != ours.block;
    let expected = format_args!("another block of height {}, or one above it with another parent", ours.height);
    let found = format_args!("block {} of height {}", theirs.block, theirs.height);
    ensure(is_fork || is_on_fork, Rule::Agreement, "header", expected, found)?;
    let mut both = trust.at(ours.height).validators();
    both.retain(|validator| [ours, &theirs].iter().all(|block| block.signers.contains(&validator.id)));
    let both = both.into_iter().map(|validator| (validator.id, validator.power)).collect();
    Ok(Conflict { other: theirs, both })
}

/// Requires that one bank signed two endorsements for one head of one account.
pub(super) fn endorsements(trust: &Trust, height: u64, two: [&[u8]; 2]) -> Result<TwoAnswers, Violation> {
    let [first, second] = read::<Endorsement>(trust.at(0).network(), two)?;
    let (a, b) = (first.record(), second.record());
    same(Rule::Agreement, "second.bank", &a.bank, &b.bank)?;
    same(Rule::Agreement, "second.account", &a.account, &b.account)?;
    same(Rule::Agreement, "second.parent", &a.parent, &b.parent)?;
    signed_by(trust, height, (&a.bank, Role::Bank), &[&first, &second])?;
    Ok(TwoAnswers { member: a.bank.clone(), parent: a.parent, records: [first.link(), second.link()] })
}

/// Requires that one institution signed two executions of one endorsement.
pub(super) fn executions(trust: &Trust, height: u64, two: [&[u8]; 2]) -> Result<TwoAnswers, Violation> {
    let [first, second] = read::<Execution>(trust.at(0).network(), two)?;
    let (a, b) = (first.record(), second.record());
    same(Rule::Agreement, "second.institution", &a.institution, &b.institution)?;
    same(Rule::Agreement, "second.endorsement", &a.endorsement, &b.endorsement)?;
    signed_by(trust, height, (&a.institution, Role::Institution), &[&first, &second])?;
    Ok(TwoAnswers { member: a.institution.clone(), parent: a.endorsement, records: [first.link(), second.link()] })
}

/// Two different records of the network, in the order of their links.
fn read<T: Record + PartialEq>(network: NetworkId, [first, second]: [&[u8]; 2]) -> Result<[Signed<T>; 2], Violation> {
    let decode = |bytes: &[u8], place: &str| -> Result<Signed<T>, Violation> {
        let signed = Signed::<T>::decode(bytes.to_vec()).map_err(|v| v.within(place))?;
        same(Rule::Network, format_args!("{place}.network"), &network, &signed.record().network())?;
        Ok(signed)
    };
    let two = [decode(first, "first")?, decode(second, "second")?];
    let [first, second] = &two;
    let expected = format_args!("another record, whose link is above {}", first.link());
    ensure(first.link() < second.link(), Rule::Agreement, "second", expected, second.link())?;
    // One record may well be signed again, with another key for one.
    ensure(first.record() != second.record(), Rule::Agreement, "second", "another record", "the same one again")?;
    Ok(two)
}

/// Requires that a member of a role signed records, each with a key that was its at some height up to this one.
fn signed_by<T: Record>(
    trust: &Trust,
    height: u64,
    (id, role): (&MemberId, Role),
    records: &[&Signed<T>],
) -> Result<(), Violation> {
    for (place, signed) in ["first", "second"].iter().zip(records) {
        let signer = signed.signer();
        let holds = trust.up_to(height).iter().any(|(_, registry)| {
            registry.member(id).is_some_and(|member| member.role == role && member.member_key == signer)
        });
        let expected = format_args!("a key of the {role} {id}");
        ensure(holds, Rule::Signer, format_args!("{place}.signer"), expected, signer)?;
        validate::stage_signature_holds(signed, format_args!("{place}.signature"))?;
    }
    Ok(())
}
