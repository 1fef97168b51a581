//! Every maximum of the format, in one place. Units are last in each name.
//!
//! A decoder checks these before it allocates: what is larger is refused whatever it holds.

/// Deepest nesting of arrays, maps and tags in any record.
pub const CBOR_DEPTH_MAX: usize = 12;

/// Largest signed request (first chain), in bytes of its envelope.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Largest signed endorsement (second chain), in bytes of its envelope.
pub const ENDORSEMENT_BYTES_MAX: usize = 96 * 1024;
/// Largest signed execution (third chain), in bytes of its envelope.
pub const EXECUTION_BYTES_MAX: usize = 96 * 1024;
/// Largest signed opening record, in bytes of its envelope.
pub const OPENING_BYTES_MAX: usize = 1024;
/// Largest signed instruction of a customer to the bank, in bytes of its envelope.
pub const INSTRUCTION_BYTES_MAX: usize = 4 * 1024;
/// Largest signed servicing record, in bytes of its envelope.
pub const SERVICING_BYTES_MAX: usize = 96 * 1024;
/// Largest signed announcement of a member's addresses, in bytes of its envelope.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 4 * 1024;
/// Largest signed issuance, in bytes of its envelope.
pub const ISSUANCE_BYTES_MAX: usize = 128 * 1024;
/// Largest signed instrument listing, in bytes of its envelope.
pub const LISTING_BYTES_MAX: usize = 4 * 1024;
/// Largest signed settlement of a position, in bytes of its envelope.
pub const SETTLEMENT_BYTES_MAX: usize = 8 * 1024;
/// Largest signed refusal, in bytes of its envelope.
pub const REFUSAL_BYTES_MAX: usize = 4 * 1024;
/// Largest signed governance record, in bytes of its envelope.
pub const GOVERNANCE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures on a governance record: every member's, and those of the keys that it brings.
pub const GOVERNANCE_SIGNATURES_MAX: usize = 304;
/// Most changes in one governance record.
pub const CHANGES_MAX: usize = 16;
/// Most keys of one member that are retired: so that nobody makes the registry grow without end.
pub const RETIRED_KEYS_MAX: usize = 256;
/// Blocks after which a member's rotation of its own keys may take effect, where others did not approve it.
pub const ROTATION_BLOCKS_MAX: u64 = 10_000;
/// Most governance records that wait to take effect.
pub const SCHEDULED_MAX: usize = 64;
/// Blocks after which a governance record may take effect: at most so far ahead of the block that commits it.
pub const EFFECTIVE_BLOCKS_MAX: u64 = 10_000_000;
/// Largest encoding of a whole member registry, in bytes.
pub const REGISTRY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest manifest of a snapshot, in bytes.
pub const SNAPSHOT_MANIFEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest snapshot, in bytes: what a node that begins with one is ready to hold.
pub const SNAPSHOT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Largest part of a snapshot, in bytes.
pub const SNAPSHOT_PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest entry (one to three stages with their framing), in bytes.
pub const ENTRY_BYTES_MAX: usize = 200 * 1024;
/// Largest genesis file, in bytes.
pub const GENESIS_BYTES_MAX: usize = 1024 * 1024;
/// Largest bundle, in bytes: a reader keeps little of it at a time.
pub const BUNDLE_BYTES_MAX: u64 = 1 << 40;
/// Largest head of a bundle, in bytes.
pub const BUNDLE_HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest element of a bundle, in bytes: an entry with its framing.
pub const BUNDLE_ELEMENT_BYTES_MAX: usize = ENTRY_BYTES_MAX + 64;

/// Most members of one network.
pub const MEMBERS_MAX: usize = 256;
/// Most instruments that one account holds at once.
pub const HOLDINGS_MAX: usize = 512;
/// Most inbound credits that one endorsement or servicing record absorbs; what remains waits for the next.
pub const ABSORBED_MAX: usize = 512;
/// Most postings of one execution.
pub const POSTINGS_MAX: usize = 64;
/// Most accounts credited by one issuance.
pub const ISSUANCE_CREDITS_MAX: usize = 1_024;
/// Most entries in one block; the genesis may ask for fewer.
pub const BLOCK_ENTRIES_MAX: usize = 10_000;
/// Largest sum of the stages' bytes of one block's entries: a block fits one message between nodes.
pub const BLOCK_STAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Blocks that an endorsement may stay open for: its expiry lies at most so far ahead.
pub const EXPIRY_BLOCKS_MAX: u64 = 1_000_000;

/// Longest member identifier, in characters.
pub const MEMBER_ID_CHARS_MAX: usize = 32;
/// Longest instrument code (without its issuer), in characters.
pub const INSTRUMENT_CODE_CHARS_MAX: usize = 24;
/// Longest free text (names, explanations), in bytes.
pub const TEXT_BYTES_MAX: usize = 256;
/// Most identities claimed by one request or instruction.
pub const IDENTITIES_MAX: usize = 4;
/// Most addresses that a member announces at once.
pub const ANNOUNCED_PATHS_MAX: usize = 8;
/// Longest name of an announced path, in characters.
pub const PATH_NAME_CHARS_MAX: usize = 32;
/// Longest address in an announcement, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Longest name of an identity type, in characters.
pub const IDENTITY_TYPE_CHARS_MAX: usize = 32;
/// Largest signed promotion, in bytes of its envelope.
pub const PROMOTION_BYTES_MAX: usize = 4 * 1024;
/// Largest signed referral, in bytes of its envelope: its text fits a QR code of version 15 at error correction M.
pub const SIGNED_REFERRAL_BYTES_MAX: usize = 370;
/// Most trades that may carry one referral.
pub const REFERRAL_USES_MAX: u32 = 1_000_000;
/// Largest referral carried by a request, in bytes.
pub const REFERRAL_BYTES_MAX: usize = 1_024;
/// Highest fee, in basis points: all of it.
pub const FEE_BASIS_POINTS_MAX: u16 = 10_000;
/// Highest class of a product's risk.
pub const RISK_CLASS_MAX: u8 = 7;
/// Longest time for which what was bought is not sold, in days.
pub const LOCK_UP_DAYS_MAX: u16 = 3_660;
/// Highest margin, in basis points of a position's value: all of it.
pub const MARGIN_BASIS_POINTS_MAX: u16 = 10_000;
/// Longest time that a margin call stands before the position may be closed out, in seconds: 30 days.
pub const CALL_S_MAX: u32 = 30 * 86_400;
/// Longest time that an order waits for its price before its bank may take back what it reserves, in milliseconds: 31 days.
pub const WAIT_MS_MAX: u64 = 31 * 86_400_000;
/// A settlement commits within so many milliseconds of the time that it states, or never: 10 minutes.
pub const SETTLEMENT_AGE_MS_MAX: u64 = 600_000;
/// Longest name of a time zone, in characters.
pub const ZONE_CHARS_MAX: usize = 40;
/// Most trading sessions of a week.
pub const SESSIONS_MAX: usize = 28;
/// Most days without trading in one listing.
pub const HOLIDAYS_MAX: usize = 128;
/// Most decimals of an instrument.
pub const DECIMALS_MAX: u8 = 18;
/// Largest scale of a price (digits after its decimal point).
pub const PRICE_SCALE_MAX: u8 = 12;
/// Largest magnitude of an amount in a record, so that sums of a whole block cannot overflow 127 bits.
pub const AMOUNT_MAGNITUDE_MAX: i128 = 1 << 96;
