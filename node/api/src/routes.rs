//! Every path of the API, in one place. `{…}` stands for a parameter.

/// State of the node: height, head, peers.
pub const STATUS: &str = "/v1/status";
/// Whether the node's thread goes on: 200, else 503.
pub const HEALTH: &str = "/healthz";
/// Whether the node has caught up and, with a vote, has a quorum of validators connected: 200, else 503 with the reasons.
pub const READY: &str = "/readyz";
/// A copy of the store at one height, while the node runs (operator).
pub const BACKUP: &str = "/v1/backup";
/// The genesis file's bytes.
pub const GENESIS: &str = "/v1/genesis";
/// The members of the network.
pub const MEMBERS: &str = "/v1/members";
/// The registry: members, parameters, version, what waits to take effect.
pub const REGISTRY: &str = "/v1/registry";
/// Committed governance records; an operator puts one to the network by POST.
pub const GOVERNANCE: &str = "/v1/governance";
/// The instruments listed on the ledger.
pub const INSTRUMENTS: &str = "/v1/instruments";
/// A block by height.
pub const BLOCK: &str = "/v1/blocks/{height}";
/// A committed entry by id.
pub const CHAIN: &str = "/v1/chains/{id}";
/// The bundle of a block with its entries.
pub const BLOCK_BUNDLE: &str = "/v1/blocks/{height}/bundle";
/// The bundle of the whole ledger.
pub const LEDGER_BUNDLE: &str = "/v1/ledger/bundle";
/// The bundle of a committed entry.
pub const CHAIN_BUNDLE: &str = "/v1/chains/{id}/bundle";
/// Accounts, in the order of their ids; on a bank, an operator opens one by POST.
pub const ACCOUNTS: &str = "/v1/accounts";
/// An account by id.
pub const ACCOUNT: &str = "/v1/accounts/{id}";
/// The audit bundle of an account.
pub const ACCOUNT_BUNDLE: &str = "/v1/accounts/{id}/bundle";
/// The requests of an account at its bank, the newest first.
pub const ACCOUNT_REQUESTS: &str = "/v1/accounts/{id}/requests";
/// Requests: a client sends one by POST to its bank.
pub const REQUESTS: &str = "/v1/requests";
/// A request by its link.
pub const REQUEST: &str = "/v1/requests/{id}";
/// Instructions: a client sends one by POST to its bank.
pub const INSTRUCTIONS: &str = "/v1/instructions";
/// Promotions: a client asks its bank for a referral by POST.
pub const PROMOTIONS: &str = "/v1/promotions";
/// A promotion by its link, with the referral that answers it.
pub const PROMOTION: &str = "/v1/promotions/{id}";
/// The QR code of a promotion's referral: `code.png`, `code.svg` or `code.txt`.
pub const PROMOTION_CODE: &str = "/v1/promotions/{id}/{code}";
/// Every change of a request, instruction or act, as server-sent events.
pub const REQUEST_EVENTS: &str = "/v1/requests/{id}/events";
/// Every change of an account's orders, as server-sent events.
pub const ACCOUNT_EVENTS: &str = "/v1/accounts/{id}/events";
/// Acts of servicing: a bank's operator does one by POST.
pub const ACCOUNT_ACTS: &str = "/v1/accounts/{id}/acts";
/// The identities of an account at its bank (operator).
pub const IDENTITIES: &str = "/v1/accounts/{id}/identities";
/// One identity: an operator enrols or replaces it by PUT, removes it by DELETE.
pub const IDENTITY: &str = "/v1/accounts/{id}/identities/{kind}";
/// Failed attempts at an identity: an operator forgets them by DELETE.
pub const IDENTITY_FAILURES: &str = "/v1/accounts/{id}/identities/{kind}/failures";
/// The log of enrolments (operator).
pub const ENROLMENTS: &str = "/v1/enrolments";
/// What waits at a bank (operator).
pub const QUEUE: &str = "/v1/queue";
/// The paths to institutions, with what was measured (operator).
pub const PATHS: &str = "/v1/paths";
/// Metrics in Prometheus' text format.
pub const METRICS: &str = "/metrics";
/// The last refusals of a bank (operator).
pub const REFUSALS: &str = "/v1/refusals";
/// Listings: an operator lists an instrument by POST.
pub const LISTINGS: &str = "/v1/listings";
/// One listing by its code: an operator changes it by PUT.
pub const LISTING: &str = "/v1/listings/{code}";
/// How an institution would judge an order now, by POST.
pub const DRY_RUN: &str = "/v1/dry-run";
/// Issuances: a bank's operator credits accounts by POST.
pub const ISSUANCES: &str = "/v1/issuances";
/// The trading day of an institution, and its prices; an operator moves it by PUT.
pub const MARKET: &str = "/v1/market";
/// What an institution quotes, with the time of each price; an operator pushes prices by PUT.
pub const PRICES: &str = "/v1/prices";
/// An institution's reports (operator): `holdings`, `trades`, `fees`, `rewards` or `reconciliation`.
pub const REPORT: &str = "/v1/reports/{name}";
/// The OpenAPI document.
pub const OPENAPI: &str = "/v1/openapi.json";
