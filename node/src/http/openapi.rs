//! The OpenAPI document, made from the handlers and types themselves.

use stemma_chain_format::refusal::RefusalReason;
use stemma_node_api::{reports, types};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::Json;

#[derive(OpenApi)]
#[openapi(
    info(title = "Stemma node", description = "The HTTP API of a Stemma consortium node. Amounts are decimal strings of \
        smallest units, ids lowercase hexadecimal, signed records base64 of their exact bytes. Every error is an ApiError."),
    paths(
        super::status::status,
        super::status::health,
        super::status::ready,
        super::backup::backup,
        super::status::genesis,
        super::status::members,
        super::governance::registry,
        super::governance::list,
        super::governance::govern,
        super::catalogue::instruments,
        super::blocks::block,
        super::blocks::chain,
        super::accounts::list,
        super::accounts::account,
        super::bundles::of_account,
        super::bundles::of_entry,
        super::bundles::of_block,
        super::bundles::of_ledger,
        super::accounts::requests,
        super::requests::submit,
        super::requests::instruct,
        super::requests::request,
        super::promotions::promote,
        super::promotions::promotion,
        super::promotions::code,
        super::events::order,
        super::events::account,
        super::identities::list,
        super::identities::enrol,
        super::identities::remove,
        super::identities::unlock,
        super::identities::log,
        super::desk::act,
        super::desk::queue,
        super::desk::refusals,
        super::paths::paths,
        super::metrics::metrics,
        super::operator::open_account,
        super::operator::issue,
        super::catalogue::list,
        super::catalogue::change,
        super::catalogue::dry_run,
        super::market::market,
        super::market::move_day,
        super::prices::prices,
        super::prices::push,
        super::reports::report,
    ),
    components(schemas(types::Status, stemma_node_api::ApiError, reports::TradesReport, reports::FeesReport,
        reports::RewardsReport, reports::ReconciliationReport)),
    modifiers(&OperatorToken)
)]
struct Document;

struct OperatorToken;

impl Modify for OperatorToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("operator", SecurityScheme::Http(scheme));
        let reasons = RefusalReason::ALL.iter().map(|reason| format!("- `{reason}`: {}\n", reason.advice()));
        document.info.description =
            document.info.description.take().map(|text| {
                format!("{text}\n\nA refusal gives one of these reasons:\n\n{}", reasons.collect::<String>())
            });
    }
}

/// The document.
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
