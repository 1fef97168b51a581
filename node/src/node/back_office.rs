//! Calls of the institution's own system are made beside this thread; what comes of them is an event.

use std::sync::Arc;
use std::time::Duration;

use stemma_node_api::config::BackOfficeKind;

use super::{Event, Node, NodeError};
use crate::clock::now_ms;
use crate::institution::back_office::{Heard, HttpClient};
use crate::membership::Settings;
use crate::role::BackOfficeCall;
use crate::store::Store;

/// The way to the institution's own system, where the configuration names one. Without one, none may have been left with
/// open errands: nobody would tell it what became of them.
pub(super) fn client(settings: &Settings, store: &Store) -> Result<Option<Arc<HttpClient>>, NodeError> {
    let office = &settings.config.institution.back_office;
    match (office.kind, &office.url) {
        (BackOfficeKind::Http, Some(url)) => {
            let timeout = Duration::from_millis(office.timeout_ms);
            let client = HttpClient::new(url, timeout, settings.member_key.clone(), now_ms);
            Ok(Some(Arc::new(client.map_err(NodeError::BackOffice)?)))
        }
        _ => match store.errands()?.len().saturating_add(store.untold(None)?.len()) {
            0 => Ok(None),
            open => Err(NodeError::Errands(open)),
        },
    }
}

impl Node {
    pub(super) fn call_back_office(&self, call: BackOfficeCall) {
        let Some(client) = self.back_office.clone() else { return };
        let events = self.events.clone();
        self.runtime.spawn(async move {
            let heard = client.call(call).await;
            let _stopping = events.send(Event::BackOffice(heard)).await;
        });
    }

    pub(super) fn on_back_office(&mut self, heard: Heard) -> Result<(), NodeError> {
        match &mut self.institution {
            Some(institution) => Ok(institution.heard(heard, self.state.ledger(), now_ms(), &mut self.effects)?),
            None => Ok(()),
        }
    }
}
