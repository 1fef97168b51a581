//! What a customer hands in: a request to trade, an instruction, or a promotion. All are signed with the account's key, count
//! once by the account's counter, and claim identities.

use stemma_chain_format::amount::{Amount, Rounding};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::keys::SignatureCheck;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::record::Signed;
use stemma_chain_format::request::{IdentityClaim, MarginPayment, Order, Request, Side, Size, Trade};
use stemma_chain_format::servicing::Act;

use crate::store::OrderKind;

/// A signed request, instruction or promotion.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Trade(Signed<Request>),
    Instruction(Signed<Instruction>),
    Promotion(Signed<Promotion>),
}

/// What all say.
pub(super) struct Common<'a> {
    pub(super) network: NetworkId,
    pub(super) account: AccountId,
    pub(super) counter: u64,
    pub(super) bank: &'a MemberId,
    pub(super) identities: &'a [IdentityClaim],
    pub(super) expires: Option<u64>,
}

impl Asked {
    pub(super) fn decode(kind: OrderKind, bytes: Vec<u8>) -> Result<Self, Violation> {
        match kind {
            OrderKind::Trade => Signed::decode(bytes).map(Self::Trade),
            OrderKind::Instruction | OrderKind::Act => Signed::decode(bytes).map(Self::Instruction),
            OrderKind::Promotion => Signed::decode(bytes).map(Self::Promotion),
        }
    }

    pub(super) fn kind(&self) -> OrderKind {
        match self {
            Self::Trade(_) => OrderKind::Trade,
            Self::Instruction(_) => OrderKind::Instruction,
            Self::Promotion(_) => OrderKind::Promotion,
        }
    }

    pub(super) fn common(&self) -> Common<'_> {
        match self {
            Self::Trade(signed) => {
                let Request { network, account, counter, bank, identities, expires, .. } = signed.record();
                let (network, account, counter, expires) = (*network, *account, *counter, *expires);
                Common { network, account, counter, bank, identities, expires }
            }
            Self::Instruction(signed) => {
                let Instruction { network, account, counter, bank, identities, expires, .. } = signed.record();
                let (network, account, counter, expires) = (*network, *account, *counter, *expires);
                Common { network, account, counter, bank, identities, expires }
            }
            Self::Promotion(signed) => {
                let Promotion { network, account, counter, bank, identities, expires, .. } = signed.record();
                let (network, account, counter, expires) = (*network, *account, *counter, Some(*expires));
                Common { network, account, counter, bank, identities, expires }
            }
        }
    }

    pub(super) fn link(&self) -> Link {
        match self {
            Self::Trade(signed) => signed.link(),
            Self::Instruction(signed) => signed.link(),
            Self::Promotion(signed) => signed.link(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Trade(signed) => signed.bytes(),
            Self::Instruction(signed) => signed.bytes(),
            Self::Promotion(signed) => signed.bytes(),
        }
    }

    pub(super) fn signature_check(&self) -> SignatureCheck {
        match self {
            Self::Trade(signed) => signed.signature_check(),
            Self::Instruction(signed) => signed.signature_check(),
            Self::Promotion(signed) => signed.signature_check(),
        }
    }

    /// The request to trade, where it is one.
    pub(super) fn trade(&self) -> Option<&Request> {
        match self {
            Self::Trade(signed) => Some(signed.record()),
            Self::Instruction(_) | Self::Promotion(_) => None,
        }
    }

    /// The promotion, where it is one.
    pub(super) fn promotion(&self) -> Option<&Promotion> {
        match self {
            Self::Promotion(signed) => Some(signed.record()),
            Self::Trade(_) | Self::Instruction(_) => None,
        }
    }

    /// The amount of cash at stake, where it is bounded beforehand: the cash asked for, the most that a limited purchase
    /// costs, what is paid into or out of a margin, or what is paid out.
    pub(super) fn amount(&self, ledger: &Ledger) -> Option<Amount> {
        match self {
            Self::Trade(signed) => match &signed.record().order {
                Order::Trade(trade) => trade_amount(trade, ledger),
                Order::Cancel(_) => None,
                Order::Margin(MarginPayment { amount, .. }) => Some((*amount).max(amount.negated())),
            },
            Self::Instruction(signed) => match &signed.record().act {
                Act::Withdraw(_, amount) => Some(*amount),
                _ => None,
            },
            Self::Promotion(_) => None,
        }
    }
}

fn trade_amount(trade: &Trade, ledger: &Ledger) -> Option<Amount> {
    match (trade.size, trade.side, trade.limit) {
        (Size::Cash(cash), ..) => Some(cash),
        (Size::Quantity(quantity), Side::Buy, Some(limit)) => {
            let decimals = ledger.listing(&trade.instrument)?.listing.decimals;
            limit.cost(quantity, decimals, Rounding::Up).ok()
        }
        (Size::Quantity(_), ..) => None,
    }
}
