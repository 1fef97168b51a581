//! What is said over HTTP: the bodies of calls, and what answers come to. The protocol is on the page `node/BACK_OFFICE.md`.

use serde::{Deserialize, Serialize};
use stemma_chain_format::amount::{Amount, Price, decimal, parse_decimal};
use stemma_chain_format::hash::{Link, NetworkId};
use stemma_chain_format::limits::TEXT_BYTES_MAX;
use stemma_chain_format::member::MemberId;

use super::client::{ClientError, HttpAnswer};
use super::{Conclusion, Decline, Fill, Instruction, Release, Ticket, Verdict};
use crate::role::{BackOfficeCall, CallStep};

/// Who calls: told in every body.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) network: NetworkId,
    pub(super) member: MemberId,
}

/// Why a call has to be made again. Each is the back office's fault, or the way's to it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it was not called to the end")]
    Call(#[source] ClientError),
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    #[error("it turned the call away with HTTP status {0}")]
    TurnedAway(u16),
    #[error("it asks to be called again later (HTTP status {0})")]
    Later(u16),
    #[error("its answer is not JSON of this form")]
    Json(#[source] serde_json::Error),
    #[error("its answer is about {0:?}, which it was not asked")]
    OtherKey(String),
    #[error("it says {found} where it was asked for {asked}")]
    OtherStatus { asked: CallStep, found: Status },
    #[error("it names no quantity or price that can be read")]
    Fill,
}

impl Trouble {
    /// Whether the back office works nonetheless.
    pub(super) fn is_sign_of_life(&self) -> bool {
        matches!(self, Self::Later(_) | Self::TurnedAway(_))
    }
}

#[derive(Debug, Serialize)]
struct ExecutionBody<'b> {
    #[serde(flatten)]
    ticket: TicketBody<'b>,
    request: String,
    expires: u64,
}

#[derive(Debug, Serialize)]
struct TicketBody<'b> {
    network: String,
    member: &'b str,
    key: String,
    account: String,
    bank: &'b str,
    side: String,
    instrument: String,
    quantity: String,
    price: String,
    cash: String,
    cost: String,
    fee: String,
}

#[derive(Debug, Serialize)]
struct ConclusionBody<'b> {
    network: String,
    member: &'b str,
    key: String,
    outcome: &'b str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'b str>,
}

/// What a back office answers; it may say more beside.
#[derive(Debug, Deserialize)]
struct AnswerBody {
    key: String,
    status: Status,
    quantity: Option<String>,
    price: Option<String>,
    reason: Option<String>,
}

/// What an answer says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    Filled,
    Declined,
    Concluded,
    Settled,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Filled => "filled",
            Self::Declined => "declined",
            Self::Concluded => "concluded",
            Self::Settled => "settled",
        })
    }
}

impl Caller {
    /// The call that asks to carry out an instruction; the same at every time.
    pub(super) fn execution(&self, instruction: &Instruction) -> BackOfficeCall {
        let Instruction { ticket, request, expires } = instruction;
        let body =
            encode(&ExecutionBody { ticket: self.ticket(ticket), request: request.to_string(), expires: *expires });
        let (path, step) = ("/executions".to_owned(), CallStep::Execution);
        BackOfficeCall { key: ticket.key, step, path, idempotency_key: ticket.key.to_string(), body }
    }

    /// The call that tells of a trade that the ledger settled; the same at every time.
    pub(super) fn settlement(&self, ticket: &Ticket) -> BackOfficeCall {
        let (path, step) = ("/settlements".to_owned(), CallStep::Settlement);
        let body = encode(&self.ticket(ticket));
        BackOfficeCall { key: ticket.key, step, path, idempotency_key: ticket.key.to_string(), body }
    }

    fn ticket<'b>(&'b self, ticket: &'b Ticket) -> TicketBody<'b> {
        let Ticket { instrument: (instrument, decimals), cash: (cash, cash_decimals), .. } = ticket;
        let money = |amount: Amount| decimal(amount.units(), *cash_decimals);
        TicketBody {
            network: self.network.to_string(),
            member: self.member.as_str(),
            key: ticket.key.to_string(),
            account: ticket.account.to_string(),
            bank: ticket.bank.as_str(),
            side: ticket.side.to_string(),
            instrument: instrument.to_string(),
            quantity: decimal(ticket.quantity.units(), *decimals),
            price: ticket.price.display(*cash_decimals),
            cash: cash.to_string(),
            cost: money(ticket.cost),
            fee: money(ticket.fee),
        }
    }

    /// The call that says what became of an instruction; the same at every time.
    pub(super) fn conclusion(&self, key: Link, conclusion: Conclusion) -> BackOfficeCall {
        let (outcome, chain, reason) = match conclusion {
            Conclusion::Committed(chain) => ("committed", Some(chain.to_string()), None),
            Conclusion::Released(Release::Expired) => ("released", None, Some("expired")),
            Conclusion::Released(Release::Refused) => ("released", None, Some("refused")),
        };
        let (network, member) = (self.network.to_string(), self.member.as_str());
        let body = encode(&ConclusionBody { network, member, key: key.to_string(), outcome, chain, reason });
        let path = format!("/executions/{key}/conclusion");
        BackOfficeCall { key, step: CallStep::Conclusion, path, idempotency_key: format!("{key}-conclusion"), body }
    }
}

fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_else(|e| {
        // A body is texts and a number, which JSON always holds; an empty one is turned away by whoever reads it.
        tracing::error!(error = %e, "a body cannot be written as JSON");
        Vec::new()
    })
}

/// What an answer to an execution comes to. A call that is turned away for good is a decline.
pub(super) fn read_execution(
    answer: Result<HttpAnswer, ClientError>,
    instruction: &Instruction,
) -> Result<Verdict, Trouble> {
    let answer = answer.map_err(Trouble::Call)?;
    let body = match read_body(&answer, &instruction.ticket.key) {
        Err(Trouble::TurnedAway(status)) => {
            let reason = format!("HTTP status {status}");
            return Ok(Verdict::Declined(Decline { reason, is_settled: false }));
        }
        body => body?,
    };
    match body.status {
        Status::Filled => read_fill(&body, instruction).map(Verdict::Filled),
        Status::Declined => {
            let reason = readable(&body.reason.unwrap_or_else(|| "no reason given".to_owned()));
            Ok(Verdict::Declined(Decline { reason, is_settled: true }))
        }
        found => Err(Trouble::OtherStatus { asked: CallStep::Execution, found }),
    }
}

/// Whether an answer acknowledges what was told. No status turns it away: it is repeated until it is acknowledged.
pub(super) fn read_acknowledgement(
    answer: Result<HttpAnswer, ClientError>,
    key: &Link,
    asked: CallStep,
) -> Result<(), Trouble> {
    match (read_body(&answer.map_err(Trouble::Call)?, key)?.status, asked) {
        (Status::Concluded, CallStep::Conclusion) | (Status::Settled, CallStep::Settlement) => Ok(()),
        (found, asked) => Err(Trouble::OtherStatus { asked, found }),
    }
}

/// Whether whoever answered works, where the answer itself does not matter any more.
pub(super) fn read_liveness(answer: Result<HttpAnswer, ClientError>) -> Result<(), Trouble> {
    match answer.map_err(Trouble::Call)?.status {
        status @ 500.. => Err(Trouble::Status(status)),
        _ => Ok(()),
    }
}

/// Whether a status refuses a call for good: the caller's fault, and no matter of time.
fn is_turned_away(status: u16) -> bool {
    (400..500).contains(&status) && ![408, 409, 425, 429].contains(&status)
}

fn read_body(answer: &HttpAnswer, key: &Link) -> Result<AnswerBody, Trouble> {
    match answer.status {
        200 | 201 => {}
        // Taken and not done yet, or under way since an earlier call.
        202 | 409 | 425 => return Err(Trouble::Later(answer.status)),
        status if is_turned_away(status) => return Err(Trouble::TurnedAway(status)),
        status => return Err(Trouble::Status(status)),
    }
    let body: AnswerBody = serde_json::from_slice(&answer.body).map_err(Trouble::Json)?;
    // An answer that comes twice on one connection may be taken for the next call's.
    if body.key == key.to_string() { Ok(body) } else { Err(Trouble::OtherKey(readable(&body.key))) }
}

fn read_fill(body: &AnswerBody, instruction: &Instruction) -> Result<Fill, Trouble> {
    let quantity = body.quantity.as_deref().and_then(|text| parse_decimal(text, instruction.ticket.instrument.1).ok());
    let price = body.price.as_deref().and_then(|text| Price::parse(text, instruction.ticket.cash.1).ok());
    let (quantity, price) = quantity.zip(price).ok_or(Trouble::Fill)?;
    Ok(Fill { quantity, price })
}

/// A text from outside, without what confuses a log, and no longer than a refusal holds.
fn readable(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(TEXT_BYTES_MAX).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use stemma_chain_format::hash::AccountId;
    use stemma_chain_format::request::Side;

    use super::*;

    pub(crate) fn caller() -> Caller {
        Caller { network: NetworkId([7; 32]), member: "broker-a".parse().unwrap() }
    }

    pub(crate) fn instruction(key: u8) -> Instruction {
        Instruction { ticket: ticket(key), request: Link([2; 32]), expires: 200 }
    }

    pub(crate) fn ticket(key: u8) -> Ticket {
        let amount = |units| Amount::new(units).unwrap();
        Ticket {
            key: Link([key; 32]),
            account: AccountId([3; 32]),
            bank: "bank-a".parse().unwrap(),
            side: Side::Buy,
            instrument: ("broker-a/AAPL".parse().unwrap(), 0),
            cash: ("bank-a/USD".parse().unwrap(), 2),
            quantity: amount(10),
            price: Price::parse("25.94", 2).unwrap(),
            cost: amount(25_940),
            fee: amount(26),
        }
    }

    pub(crate) fn answer(status: u16, body: &str) -> Result<HttpAnswer, ClientError> {
        Ok(HttpAnswer { status, body: body.as_bytes().to_vec() })
    }

    pub(crate) fn filled(key: u8, quantity: &str, price: &str) -> Result<HttpAnswer, ClientError> {
        let key = Link([key; 32]);
        let body = format!(r#"{{"key":"{key}","status":"filled","quantity":"{quantity}","price":"{price}","more":1}}"#);
        answer(200, &body)
    }

    #[test]
    fn an_instruction_is_told_in_whole_units() {
        let call = caller().execution(&instruction(1));
        let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
        let told = |name: &str| body[name].as_str().unwrap().to_owned();
        assert_eq!(["quantity", "price", "cost", "fee"].map(told), ["10", "25.94", "259.40", "0.26"]);
        assert_eq!(["member", "bank", "side", "instrument"].map(told), ["broker-a", "bank-a", "buy", "broker-a/AAPL"]);
        assert_eq!((call.path.as_str(), &call.idempotency_key), ("/executions", &told("key")));
        assert_eq!(body["expires"], 200);
        assert_eq!(call, caller().execution(&instruction(1)), "the same at every time");
        let told = caller().settlement(&ticket(1));
        let settled: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
        assert!(settled.as_object().unwrap().iter().all(|(name, value)| body[name] == *value), "{settled}");
        assert_eq!((told.path.as_str(), settled.get("request"), settled.get("expires")), ("/settlements", None, None));
    }

    #[test]
    fn a_conclusion_has_a_key_of_its_own() {
        let key = Link([1; 32]);
        let committed = caller().conclusion(key, Conclusion::Committed(Link([9; 32])));
        let released = caller().conclusion(key, Conclusion::Released(Release::Expired));
        assert_eq!(committed.path, format!("/executions/{key}/conclusion"));
        assert_eq!(committed.idempotency_key, format!("{key}-conclusion"));
        let text = |call: BackOfficeCall| String::from_utf8(call.body).unwrap();
        assert!(text(committed).ends_with(&format!(r#""outcome":"committed","chain":"{}"}}"#, Link([9; 32]))));
        assert!(text(released).ends_with(r#""outcome":"released","reason":"expired"}"#));
    }

    #[test]
    fn a_verdict_is_read_as_it_is_meant() {
        let asked = instruction(1);
        let read = |answer| read_execution(answer, &asked);
        assert_eq!(read(filled(1, "10", "25.940")).unwrap(), Verdict::Filled(Fill::of(&asked)));
        let Verdict::Filled(other) = read(filled(1, "9", "25.94")).unwrap() else { panic!("a fill") };
        assert_ne!(other, Fill::of(&asked));
        let key = asked.ticket.key;
        let declined = answer(200, &format!(r#"{{"key":"{key}","status":"declined","reason":"no\u000ashares"}}"#));
        let settled = Decline { reason: "noshares".to_owned(), is_settled: true };
        assert_eq!(read(declined).unwrap(), Verdict::Declined(settled));
        for status in [400, 401, 403, 404, 422] {
            let Verdict::Declined(decline) = read(answer(status, "")).unwrap() else { panic!("a decline") };
            assert!(!decline.is_settled && decline.reason.contains(&status.to_string()));
        }
    }

    #[test]
    fn whatever_else_comes_is_asked_again() {
        let asked = instruction(1);
        for status in [202, 409, 425] {
            assert!(read_execution(answer(status, ""), &asked).unwrap_err().is_sign_of_life(), "{status}");
        }
        let key = asked.ticket.key;
        let troubles = [
            answer(500, ""),
            answer(503, ""),
            answer(302, ""),
            answer(408, ""),
            answer(429, ""),
            answer(200, "<html>"),
            answer(200, "{}"),
            answer(200, &format!(r#"{{"key":"{key}","status":"concluded"}}"#)),
            answer(200, &format!(r#"{{"key":"{key}","status":"filled","quantity":"10"}}"#)),
            answer(200, &format!(r#"{{"key":"{key}","status":"filled","quantity":10,"price":"25.94"}}"#)),
            answer(200, &format!(r#"{{"key":"{key}","status":"filled","quantity":"1e1","price":"25.94"}}"#)),
            filled(2, "10", "25.94"),
        ];
        for trouble in troubles {
            let shown = format!("{trouble:?}");
            assert!(!read_execution(trouble, &asked).unwrap_err().is_sign_of_life(), "{shown}");
        }
        let concluded = |status| answer(status, &format!(r#"{{"key":"{key}","status":"concluded"}}"#));
        let read = |answer| read_acknowledgement(answer, &key, CallStep::Conclusion);
        read(concluded(200)).unwrap();
        read_acknowledgement(concluded(200), &key, CallStep::Settlement).unwrap_err();
        for (status, is_alive) in [(404, true), (410, true), (409, true), (429, false), (500, false)] {
            assert_eq!(read(concluded(status)).unwrap_err().is_sign_of_life(), is_alive, "{status}");
        }
        read(filled(1, "10", "25.94")).unwrap_err();
    }
}
