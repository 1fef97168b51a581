//! The institution: judges second chains, executes, answers. The same second chain always gets the same answer.
//!
//! The road of a question: [`admit`] → [`case`] → [`conditions`] ([`forward`], [`futures`]) → [`decide`] → [`back_office`] → [`execute`] →
//! [`answer`]; [`errands`] are kept where the back office answers later. [`try_out`] judges and executes nothing. What waits for a price
//! is settled by [`settle`].

mod admit;
mod answer;
pub mod back_office;
mod case;
mod conditions;
mod decide;
mod errands;
mod execute;
mod forward;
mod futures;
pub mod prices;
pub mod reports;
mod rewards;
mod settle;
mod telling;
mod try_out;

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::validate::VerifiedEndorsement;
use stemma_node_api::config::InstitutionConfig;

pub use prices::Prices;

use back_office::BackOffice;
use errands::Errands;
use telling::Telling;

use crate::role::QuestionSlot;
use crate::store::{AnswerRow, Store, StoreError};

/// An institution's state: its prices, and the answers that still reserve something.
pub struct Institution {
    id: MemberId,
    network: NetworkId,
    key: SigningKey,
    config: InstitutionConfig,
    store: Store,
    prices: Prices,
    /// Who carries out what was judged.
    back_office: Box<dyn BackOffice>,
    errands: Errands,
    telling: Telling,
    /// Executed chains that wait for a block: chain id → answer.
    open: BTreeMap<Link, AnswerRow>,
    /// Answers given in this turn, not yet in the store.
    fresh: BTreeMap<Link, AnswerRow>,
    /// Own cash set aside for executed chains.
    reserved: BTreeMap<InstrumentId, Amount>,
    /// Positions with a settlement on its way: when it was signed, in Unix milliseconds.
    settling: BTreeMap<AccountId, u64>,
    /// Questions about accounts whose chain before is not here yet, or whose position is being settled.
    parked: Vec<(QuestionSlot, VerifiedEndorsement)>,
    next_number: u64,
}

impl std::fmt::Debug for Institution {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Institution").field("id", &self.id).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Institution {
    /// An institution as its store left it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        id: MemberId,
        network: NetworkId,
        key: SigningKey,
        config: InstitutionConfig,
        prices: Prices,
        store: Store,
    ) -> Result<Self, StoreError> {
        let next_number = store.next_answer_number()?;
        let back_office = back_office::open(&config.back_office, network, &id);
        let mut institution = Self {
            id,
            network,
            key,
            config,
            store,
            prices,
            back_office,
            errands: Errands::default(),
            telling: Telling::default(),
            open: BTreeMap::new(),
            fresh: BTreeMap::new(),
            reserved: BTreeMap::new(),
            settling: BTreeMap::new(),
            parked: Vec::new(),
            next_number,
        };
        for row in institution.store.open_answers()? {
            institution.reserve(row.reserved.as_ref());
            if let Some(chain) = row.chain {
                institution.open.insert(chain, row);
            }
        }
        Ok(institution)
    }

    /// The prices.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// The prices, to change them.
    pub fn prices_mut(&mut self) -> &mut Prices {
        &mut self.prices
    }
}
