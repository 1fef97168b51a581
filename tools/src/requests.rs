//! Requests on the customer's side: signed here, sent, and followed until nothing can change any more.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::keys;
use stemma_chain_format::member::{Member, MemberId};
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::Refusal;
use stemma_chain_format::request::{IdentityClaim, Order, Request};
use stemma_chain_format::servicing::Act;
use stemma_node_api::types::{Evidence, RefusalView, RequestView, SubmitInstruction, SubmitRequest};
use stemma_node_api::{Client, ClientError};

use crate::error::CliError;
use crate::identity::Identity;
use crate::node::is_passing;

/// How long one call waits for a final state; longer waits are made of several calls.
const WAIT_MS: u64 = 10_000;
/// Pause before a call that failed is made again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Shortest time between two questions, should a node not wait as it is asked to.
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// What a customer asks for, before it is signed.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The network.
    pub network: NetworkId,
    /// The account.
    pub account: AccountId,
    /// The account's bank.
    pub bank: MemberId,
    /// The institution that is to execute.
    pub institution: MemberId,
    /// Larger than in every committed request before.
    pub counter: u64,
    /// What is asked for.
    pub order: Order,
    /// The referral that it came by, as bytes.
    pub referral: Option<Vec<u8>>,
    /// The last height at which it may commit; the bank's choice where there is none.
    pub expires: Option<u64>,
}

/// What a customer tells the bank to do, before it is signed.
#[derive(Clone, Debug)]
pub struct Told {
    /// The network.
    pub network: NetworkId,
    /// The account.
    pub account: AccountId,
    /// The account's bank.
    pub bank: MemberId,
    /// Larger than in every committed request and instruction before.
    pub counter: u64,
    /// What is to be done.
    pub act: Act,
}

/// A signed request, ready to be sent as often as need be.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The request's link, which is its id at the bank.
    pub link: Link,
    /// The body of the call.
    pub body: SubmitRequest,
}

/// A signed instruction, ready to be sent as often as need be.
#[derive(Clone, Debug)]
pub struct PreparedInstruction {
    /// The instruction's link, which is its id at the bank.
    pub link: Link,
    /// The body of the call.
    pub body: SubmitInstruction,
}

/// What is sent to a bank, again with the same bytes until it is answered.
pub trait Handover {
    /// Its id at the bank.
    fn link(&self) -> Link;

    /// Sends it; returns where it stands after at most so many milliseconds.
    fn send(&self, client: &Client, wait_ms: u64) -> impl Future<Output = Result<RequestView, ClientError>>;
}

impl Handover for Prepared {
    fn link(&self) -> Link {
        self.link
    }

    async fn send(&self, client: &Client, wait_ms: u64) -> Result<RequestView, ClientError> {
        client.submit(&self.body, wait_ms).await
    }
}

impl Handover for PreparedInstruction {
    fn link(&self) -> Link {
        self.link
    }

    async fn send(&self, client: &Client, wait_ms: u64) -> Result<RequestView, ClientError> {
        client.instruct(&self.body, wait_ms).await
    }
}

/// Signs a request. `identities` say who the customer is; `salt` hides the evidence.
///
/// # Errors
/// The terms break a rule of the format.
pub fn prepare(
    terms: Terms,
    signer: &SigningKey,
    identities: &[Identity],
    salt: &[u8; 32],
) -> Result<Prepared, Violation> {
    let Terms { network, account, bank, institution, counter, order, referral, expires } = terms;
    let (identities, evidence) = claims(identities, salt);
    let request = Request { network, account, counter, bank, institution, order, identities, expires, referral };
    let signed = Signed::sign(request, signer)?;
    let body = SubmitRequest { request: BASE64_STANDARD.encode(signed.bytes()), evidence };
    Ok(Prepared { link: signed.link(), body })
}

/// Signs an instruction.
///
/// # Errors
/// It breaks a rule of the format.
pub fn prepare_instruction(
    told: Told,
    signer: &SigningKey,
    identities: &[Identity],
    salt: &[u8; 32],
) -> Result<PreparedInstruction, Violation> {
    let Told { network, account, bank, counter, act } = told;
    let (identities, evidence) = claims(identities, salt);
    let instruction = Instruction { network, account, counter, bank, act, identities, expires: None };
    let signed = Signed::sign(instruction, signer)?;
    let body = SubmitInstruction { instruction: BASE64_STANDARD.encode(signed.bytes()), evidence };
    Ok(PreparedInstruction { link: signed.link(), body })
}

/// Claims in the order of their types, each under a salt of its own, with their evidence.
pub(crate) fn claims(identities: &[Identity], salt: &[u8; 32]) -> (Vec<IdentityClaim>, Vec<Evidence>) {
    let mut sorted: Vec<&Identity> = identities.iter().collect();
    sorted.sort_by(|a, b| a.kind.cmp(&b.kind));
    let claim = |identity: &Identity| {
        let salt: [u8; 32] = blake3::keyed_hash(salt, identity.kind.as_bytes()).into();
        let value = BASE64_STANDARD.encode(&identity.evidence);
        let evidence = Evidence { kind: identity.kind.clone(), salt: hex::encode(salt), value };
        (IdentityClaim::commit(&identity.kind, &salt, &identity.evidence), evidence)
    };
    sorted.into_iter().map(claim).unzip()
}

/// Now, in Unix milliseconds.
#[must_use]
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
    u64::try_from(now).unwrap_or(u64::MAX)
}

/// A counter for the next request after one committed with `last`. The time is larger than any counter chosen so
/// before, that of a request that was refused included, which the ledger does not show and the bank remembers.
#[must_use]
pub fn fresh_counter(last: u64) -> u64 {
    now_ms().max(last.saturating_add(1))
}

/// Random bytes from the operating system.
///
/// # Errors
/// It has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], CliError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| CliError::files("the operating system gives no random bytes").caused_by(&error))?;
    Ok(bytes)
}

/// Sends a request and asks for it until it is final. A node that can't be reached for a moment is asked
/// again with the same bytes, which is safe: the bank takes a request once.
///
/// # Errors
/// The node refuses the call itself, answers nonsense, or the limit passes first.
pub async fn until_final(client: &Client, prepared: &impl Handover, limit: Duration) -> Result<RequestView, CliError> {
    let started = Instant::now();
    let id = prepared.link().to_string();
    let mut is_sent = false;
    loop {
        let answer = if is_sent { client.request(&id, WAIT_MS).await } else { prepared.send(client, WAIT_MS).await };
        let last = match answer {
            Ok(view) if view.request != id => {
                let message = format!("the node at {} answered about request {}, not {id}", client.url(), view.request);
                return Err(CliError::network(message));
            }
            Ok(view) if view.state.is_final() => return Ok(view),
            Ok(_) => {
                is_sent = true;
                tokio::time::sleep(POLL_PAUSE).await;
                None
            }
            Err(error) if is_passing(&error) => {
                // It may have come back without this request in a state to be asked for: sent anew.
                is_sent = false;
                tokio::time::sleep(retry_after(&error).unwrap_or(RETRY_PAUSE).min(limit)).await;
                Some(CliError::from(error))
            }
            Err(error) => return Err(error.into()),
        };
        if started.elapsed() > limit {
            let late = format!("request {id} is not final after {} s", limit.as_secs());
            return Err(last.unwrap_or_else(|| {
                CliError::network(late).help("it may still commit: look at the account before you send another")
            }));
        }
    }
}

/// How long a full bank asks to wait.
pub(crate) fn retry_after(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused { source, .. } => source.error.retry_after_ms.map(Duration::from_millis),
        _ => None,
    }
}

/// Checks that a refusal was signed by the member that it names, and says what the node says it says.
///
/// # Errors
/// It does not: somebody between made it up, and the request may still be executed.
pub fn verify_refusal(view: &RefusalView, request: &Link, bank: &str, genesis: &GenesisFile) -> Result<(), CliError> {
    let failed = |reason: String| {
        CliError::network("the refusal is not genuine")
            .caused_by(&Untrue(reason))
            .help("trust no answer of this node; the request may still be executed: look at the account")
    };
    let bytes = BASE64_STANDARD.decode(&view.signed).map_err(|error| failed(error.to_string()))?;
    let signed = Signed::<Refusal>::decode(bytes).map_err(|violation| failed(violation.to_string()))?;
    let refusal = signed.record();
    let member = member(genesis, &view.member).ok_or_else(|| failed(format!("{} is no member", view.member)))?;
    let says = [
        (refusal.network == genesis.network(), "it is of another network"),
        (refusal.member == member.id && signed.signer() == member.member_key, "it is signed by another member"),
        (refusal.reason.as_str() == view.reason, "it gives another reason"),
        (refusal.expected == view.expected && refusal.found == view.found, "it gives other values"),
        // An institution refuses the endorsement, whose link only the bank knows.
        (member.id.as_str() != bank || refusal.refused == *request, "it refuses another request"),
    ];
    if let Some((_, reason)) = says.into_iter().find(|(holds, _)| !holds) {
        return Err(failed(reason.to_owned()));
    }
    let check = signed.signature_check();
    keys::verify(&check.key, &check.message, &check.signature).map_err(|error| failed(error.to_string()))
}

/// What a refusal says, as rows for people.
#[must_use]
pub fn refusal_rows(refusal: &RefusalView) -> [(&'static str, String); 4] {
    let RefusalView { reason, expected, found, advice, .. } = refusal.clone();
    [("Reason", reason), ("Asked", expected), ("Found", found), ("Advice", advice)]
}

/// A founding member by its id.
#[must_use]
pub fn member<'g>(genesis: &'g GenesisFile, id: &str) -> Option<&'g Member> {
    genesis.genesis().members.iter().find(|member| member.id.as_str() == id)
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Untrue(String);

#[cfg(test)]
mod tests {
    use stemma_chain_format::amount::Amount;
    use stemma_chain_format::genesis::{Genesis, Parameters, sign_genesis};
    use stemma_chain_format::keys::PublicKey;
    use stemma_chain_format::member::Role;
    use stemma_chain_format::refusal::RefusalReason;
    use stemma_chain_format::request::{Side, Size, Trade};

    use super::*;

    fn genesis(key: &SigningKey) -> GenesisFile {
        let bank = Member {
            id: "bank-a".parse().unwrap(),
            role: Role::Bank,
            name: "Bank A".to_owned(),
            member_key: PublicKey::of(key),
            network_key: PublicKey::of(&SigningKey::from_bytes(&[2; 32])),
            validator_key: Some(PublicKey::of(&SigningKey::from_bytes(&[3; 32]))),
            power: 1,
        };
        let parameters = Parameters::default();
        let genesis = Genesis { format: 1, name: "test".to_owned(), created_ms: 1, members: vec![bank], parameters };
        GenesisFile::assemble(&genesis, &[sign_genesis(&genesis.payload(), key)]).unwrap()
    }

    fn terms(genesis: &GenesisFile) -> Terms {
        Terms {
            network: genesis.network(),
            account: AccountId([9; 32]),
            bank: "bank-a".parse().unwrap(),
            institution: "broker-a".parse().unwrap(),
            counter: 1,
            order: Order::Trade(Trade {
                side: Side::Buy,
                instrument: "broker-a/AAPL".parse().unwrap(),
                size: Size::Quantity(Amount::new(1).unwrap()),
                cash: "bank-a/USD".parse().unwrap(),
                limit: None,
                fee_max: None,
            }),
            referral: None,
            expires: None,
        }
    }

    #[test]
    fn the_same_terms_and_salt_give_the_same_bytes() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let genesis = genesis(&SigningKey::from_bytes(&[1; 32]));
        let own = [Identity::account_key(&PublicKey::of(&key))];
        let signed = |salt| prepare(terms(&genesis), &key, &own, &[salt; 32]).unwrap();
        assert_eq!(signed(4).body, signed(4).body);
        assert_ne!(signed(4).link, signed(5).link);
        let bytes = BASE64_STANDARD.decode(signed(4).body.request).unwrap();
        assert_eq!(Signed::<Request>::decode(bytes).unwrap().signer(), PublicKey::of(&key));
    }

    #[test]
    fn only_a_genuine_refusal_is_believed() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let genesis = genesis(&key);
        let request = Link([5; 32]);
        let refusal = Refusal {
            network: genesis.network(),
            member: "bank-a".parse().unwrap(),
            refused: request,
            reason: RefusalReason::InsufficientCash,
            expected: "at least 10".to_owned(),
            found: "5".to_owned(),
            refused_ms: 1,
        };
        let view = |signer: &SigningKey| RefusalView {
            member: "bank-a".to_owned(),
            reason: "insufficient-cash".to_owned(),
            expected: "at least 10".to_owned(),
            found: "5".to_owned(),
            advice: String::new(),
            signed: BASE64_STANDARD.encode(Signed::sign(refusal.clone(), signer).unwrap().bytes()),
        };
        verify_refusal(&view(&key), &request, "bank-a", &genesis).unwrap();
        let stranger = view(&SigningKey::from_bytes(&[8; 32]));
        assert!(verify_refusal(&stranger, &request, "bank-a", &genesis).is_err());
        let other = RefusalView { reason: "busy".to_owned(), ..view(&key) };
        assert!(verify_refusal(&other, &request, "bank-a", &genesis).is_err());
        assert!(verify_refusal(&view(&key), &Link([6; 32]), "bank-a", &genesis).is_err());
    }
}
