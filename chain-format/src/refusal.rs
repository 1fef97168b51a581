//! The signed, typed no of a bank or an institution: the rule, what it asks, what was found, what to do.

use std::fmt;
use std::str::FromStr;

use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{Link, NetworkId};
use crate::limits::{REFUSAL_BYTES_MAX, TEXT_BYTES_MAX};
use crate::member::MemberId;
use crate::record::Record;

/// A refusal. The same question always gets the same one.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Refusal {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// Who refuses; it signs.
    #[n(1)]
    pub member: MemberId,
    /// The link of the request or instruction (by a bank) or of the endorsement (by an institution) that is refused.
    #[n(2)]
    pub refused: Link,
    /// Why.
    #[n(3)]
    pub reason: RefusalReason,
    /// What the rule asks, at most 256 bytes.
    #[n(4)]
    pub expected: String,
    /// What was found, at most 256 bytes. Never evidence of an identity.
    #[n(5)]
    pub found: String,
    /// When, as the signer claims, in Unix milliseconds.
    #[n(6)]
    pub refused_ms: u64,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $index:literal $name:ident $text:literal $advice:literal,)*) => {
        /// Why a request was refused. Texts are stable: clients may branch on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
        #[cbor(index_only)]
        pub enum RefusalReason {
            $($(#[$doc])* #[n($index)] $name,)*
        }

        impl RefusalReason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What the customer can do.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

reasons! {
    /// The request is for another network, bank or format.
    0 WrongAddressee "wrong-addressee" "Send the request to the bank it names, on the network it names.",
    /// The account is not known to the bank.
    1 UnknownAccount "unknown-account" "Check the account id, or open an account at this bank.",
    /// The signature is not by the account's key.
    2 BadSignature "bad-signature" "Sign the request again with the account's key.",
    /// The counter was used before.
    3 RepeatedCounter "repeated-counter" "Sign a new request with a larger counter.",
    /// The request, or its endorsement, is past its expiry.
    4 Expired "expired" "Sign a new request; give it more time if the network is slow.",
    /// The type of identity is not one the bank verifies for this account.
    5 UnknownIdentityType "unknown-identity-type" "Ask the bank which identity types it accepts for this account.",
    /// The evidence does not match.
    6 IdentityMismatch "identity-mismatch" "Send the evidence that was enrolled at the bank.",
    /// The institution is no institution of this network.
    7 UnknownInstitution "unknown-institution" "Choose an institution from the member list.",
    /// The institution lists no such instrument.
    8 UnknownInstrument "unknown-instrument" "Choose an instrument that the institution lists.",
    /// Too little cash for the purchase and its fee.
    9 InsufficientCash "insufficient-cash" "Buy less, or add cash to the account.",
    /// Fewer units than are to be sold.
    10 InsufficientHoldings "insufficient-holdings" "Sell no more than the account holds.",
    /// The price is beyond the request's limit.
    11 PriceOutsideLimit "price-outside-limit" "Raise the limit to buy, lower it to sell, or wait.",
    /// There is no price for the instrument now.
    12 NoPrice "no-price" "Wait until the institution quotes the instrument.",
    /// The quantity comes to nothing, or the amounts are beyond what the ledger holds.
    13 QuantityOutOfRange "quantity-out-of-range" "Choose another quantity or amount.",
    /// The institution lacks the cash of this bank to pay with.
    14 InstitutionOutOfCash "institution-out-of-cash" "Try later, or a smaller quantity.",
    /// The endorsement is not acceptable to the institution.
    15 BadEndorsement "bad-endorsement" "This is between bank and institution; ask the bank.",
    /// The bank has no path to the institution, or none answered in time.
    16 InstitutionUnreachable "institution-unreachable" "Nothing was executed. Try again later.",
    /// The bank holds as many waiting requests as it may.
    17 Busy "busy" "Try again after the time given.",
    /// The fee is above the highest that the request accepts.
    18 FeeAboveLimit "fee-above-limit" "Accept a higher fee, or trade less.",
    /// The account is frozen.
    19 AccountFrozen "account-frozen" "Ask the bank why the account is frozen; requests are refused until it is unfrozen.",
    /// The account is closed.
    20 AccountClosed "account-closed" "The account is never used again; open another.",
    /// The account's key is revoked.
    21 KeyRevoked "key-revoked" "Ask the bank to bind a new key to the account.",
    /// The bank demands other or more types of identity for this account and amount.
    22 IdentityRequired "identity-required" "Send evidence for each of the types that the bank asks for.",
    /// Too many identities failed.
    23 IdentityLocked "identity-locked" "Wait until the time given; then send the right evidence, or ask the bank.",
    /// The act breaks a rule of the account: its status, its holdings, its key.
    24 ActNotPossible "act-not-possible" "Change what the refusal names, then sign a new instruction.",
    /// The institution's price is too old.
    25 StalePrice "stale-price" "Wait until the institution has a new price.",
    /// The instrument is suspended.
    26 InstrumentSuspended "instrument-suspended" "Wait until the institution opens the instrument again.",
    /// The instrument is closed to buyers.
    27 InstrumentClosed "instrument-closed" "Choose another instrument; what you hold you can still sell.",
    /// The instrument is not traded now.
    28 OutsideHours "outside-trading-hours" "Send the order again in the instrument's trading hours.",
    /// The customer's credit level is below what the instrument asks for.
    29 CreditLevelTooLow "credit-level-too-low" "Choose another instrument, or ask the bank for a higher credit level.",
    /// The product's risk is too high for the customer's credit level.
    30 UnsuitableProduct "unsuitable-product" "Choose a product of a lower class of risk.",
    /// The quantity is no multiple of the lot, or outside the bounds of a trade.
    31 QuantityOutsideTerms "quantity-outside-terms" "Choose a quantity within the instrument's lot and bounds.",
    /// The position would exceed what the institution allows.
    32 PositionCapExceeded "position-cap-exceeded" "Buy less.",
    /// What is to be sold was bought too recently.
    33 LockedUp "locked-up" "Sell no more than the lock-up leaves free, or wait until it ends.",
    /// The same was ordered a moment ago.
    34 DuplicateOrder "duplicate-order" "If you mean it twice, send the order again later.",
    /// The order's amount is above what the institution allows.
    35 OrderTooLarge "order-too-large" "Trade less at once.",
    /// The referral does not hold, and the institution's policy refuses such a trade.
    36 ReferralRejected "referral-rejected" "Trade without the referral, or ask the promoter for another.",
    /// The institution's own system declined the trade.
    37 DeclinedByInstitution "declined-by-institution" "Nothing was executed. What was found says why; ask the institution.",
    /// No such order of the account waits, or no such position is there.
    38 UnknownPosition "unknown-position" "Look at the account's positions; an order may have been executed or cancelled already.",
    /// The order's cut-off is past.
    39 PastCutOff "past-cut-off" "The order is executed at the next price; trade again then.",
    /// The margin does not bear what is asked.
    40 InsufficientMargin "insufficient-margin" "Take out less, or pay more in first.",
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RefusalReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|reason| reason.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is no refusal reason"))
    }
}

impl Record for Refusal {
    const CONTENT: ContentType = ContentType::Refusal;
    const BYTES_MAX: usize = REFUSAL_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        for (field, text) in [("refusal.expected", &self.expected), ("refusal.found", &self.found)] {
            let bytes = text.len();
            ensure(bytes <= TEXT_BYTES_MAX, Rule::Range, field, "at most 256 bytes", bytes)?;
        }
        Ok(())
    }
}
