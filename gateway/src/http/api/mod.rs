//! The API under `/api/` for pages, programs and scripts (`docs/http.md`), with its OpenAPI document.
//!
//! - `caller`: log-in, limits, bodies and parameters.
//! - `rights`: who may do what that the relay does not judge.
//! - `alarms`, `sites`, `controllers`, `commands`, `inner`, `scripts`, `rollouts`, `records`, `accounts`: the resources. What concerns a live
//!   controller goes over the yard, by a peer with the caller's rights ([`crate::inside`]).
//!
//! Every route is declared once, by what also documents it; so nothing is served that the document does
//! not tell of.
#![expect(
    unused_qualifications,
    reason = "what utoipa's macros write names types by their paths"
)]

mod accounts;
mod alarms;
mod caller;
mod commands;
mod controllers;
mod firmwares;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod inner;
mod keys;
mod records;
mod rights;
mod rollouts;
mod scripts;
mod sites;
mod text;

pub(super) use caller::token_of;

use super::{Api, login};
use axum::{Router, routing::get};
use serde::Serialize;
use std::sync::Arc;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::AdditionalProperties,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Switchyard gateway",
        description = "Controllers, commands, sites and accounts of one gateway. Times are milliseconds since \
                       1970-01-01 UTC in gateway time; values are whole numbers: 0 and 1 for digital points, \
                       thousandths for analogue ones.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemView, inner::FaultView)),
    modifiers(&Securities),
    security(("token" = []), ("cookie" = [])),
    tags(
        (name = "session", description = "Whose log-in this is"),
        (name = "sites", description = "Groups of controllers, at which accounts have roles"),
        (name = "controllers", description = "Controllers and what is live of them"),
        (name = "commands", description = "Commands and their receipts"),
        (name = "inside", description = "What is inside a controller that runs a script"),
        (name = "scripts", description = "The library of scripts"),
        (name = "firmwares", description = "The library of firmwares"),
        (name = "rollouts", description = "Scripts, parameters and firmware brought to many controllers, step by step"),
        (name = "alarms", description = "Alarms, who is told of them, and what raises them"),
        (name = "records", description = "What was: the history of points, and who did what"),
        (name = "accounts", description = "Accounts and how they log in"),
    )
)]
struct Document;

struct Securities;

impl Modify for Securities {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(login::COOKIE));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// Says of actions and conditions what the macros do not see: that their fields are all there may be.
fn close_actions(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.as_mut();
    let mut schemas = components.map(|it| &mut it.schemas);
    for name in ["Action", "Condition"] {
        let sorts = schemas.as_mut().and_then(|it| it.get_mut(name));
        let Some(RefOr::T(Schema::OneOf(sorts))) = sorts else {
            unreachable!("expected a schema of {name}, each of its own sort");
        };
        for sort in &mut sorts.items {
            if let RefOr::T(Schema::Object(sort)) = sort {
                sort.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
}

/// A refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemView {
    /// `about:blank`: the code tells.
    r#type: String,
    /// The code in words.
    title: String,
    /// The HTTP status once more.
    status: u16,
    /// Stable: programs switch on it. Those of controllers and the relay stand in docs/protocol.md §9.
    code: String,
    /// What was expected, for people.
    detail: String,
    /// Where a script does not compile.
    #[schema(nullable = false)]
    fault: Option<inner::FaultView>,
}

/// What any request may be refused with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "they stand for what `Problem` answers")]
pub(super) enum Refused {
    /// The request is not understood; the detail says what was expected
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] ProblemView),
    /// No valid log-in
    #[response(status = 401, content_type = "application/problem+json")]
    NotLoggedIn(#[to_schema] ProblemView),
    /// The account's role does not allow it
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemView),
    /// There is no such thing, as far as the account may know
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ProblemView),
    /// Not possible as things stand: the controller is not there, a name is taken
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ProblemView),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ProblemView),
    /// The body is of another type than JSON
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(#[to_schema] ProblemView),
    /// A field's content cannot be taken, by the gateway, the controller or its compiler
    #[response(status = 422, content_type = "application/problem+json")]
    NotTaken(#[to_schema] ProblemView),
    /// Too many requests; `Retry-After` says how long to wait
    #[response(
        status = 429,
        content_type = "application/problem+json",
        headers(("retry-after" = u32, description = "Seconds to wait"))
    )]
    RateLimited(#[to_schema] ProblemView),
    /// The controller is at fault
    #[response(status = 502, content_type = "application/problem+json")]
    BadGateway(#[to_schema] ProblemView),
    /// Not now: a store does not answer, or a bounded queue is full
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("retry-after" = u32, description = "Seconds to wait"))
    )]
    Unavailable(#[to_schema] ProblemView),
    /// The controller did not answer in time
    #[response(status = 504, content_type = "application/problem+json")]
    TimedOut(#[to_schema] ProblemView),
}

/// Every route, and the document.
pub(super) fn router(api: &Arc<Api>) -> Router<Arc<Api>> {
    let limited = axum::middleware::from_fn_with_state(Arc::clone(api), caller::admit);
    let for_callers = OpenApiRouter::new()
        .routes(routes!(accounts::who))
        .routes(routes!(sites::list, sites::add))
        .routes(routes!(sites::rename, sites::remove))
        .routes(routes!(controllers::list, controllers::enrol))
        .routes(routes!(
            controllers::show,
            controllers::edit,
            controllers::remove
        ))
        .routes(routes!(controllers::unenrol))
        .routes(routes!(controllers::rekey))
        .routes(routes!(commands::give))
        .routes(routes!(commands::receipt))
        .routes(routes!(inner::describe))
        .routes(routes!(inner::parameters))
        .routes(routes!(inner::values))
        .routes(routes!(inner::health))
        .routes(routes!(inner::log))
        .routes(routes!(inner::force, inner::release))
        .routes(routes!(inner::restart))
        .routes(routes!(inner::read_script, inner::write_script))
        .routes(routes!(inner::end_trial))
        .routes(routes!(records::points))
        .routes(routes!(records::chart))
        .routes(routes!(records::recent))
        .routes(routes!(records::audit))
        .routes(routes!(scripts::list))
        .routes(routes!(scripts::versions, scripts::add, scripts::remove))
        .routes(routes!(scripts::show))
        .routes(routes!(scripts::diff))
        .routes(routes!(firmwares::list, firmwares::add))
        .routes(routes!(firmwares::remove))
        .routes(routes!(rollouts::list, rollouts::begin))
        .routes(routes!(rollouts::forecast))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::controllers))
        .routes(routes!(rollouts::wish))
        .routes(routes!(alarms::list))
        .routes(routes!(alarms::show))
        .routes(routes!(alarms::acknowledge))
        .routes(routes!(alarms::shelve))
        .routes(routes!(alarms::unshelve))
        .routes(routes!(alarms::comment))
        .routes(routes!(alarms::attempts))
        .routes(routes!(alarms::overview))
        .routes(routes!(
            alarms::people::contacts,
            alarms::people::add_contact
        ))
        .routes(routes!(
            alarms::people::show_contact,
            alarms::people::put_contact,
            alarms::people::remove_contact
        ))
        .routes(routes!(alarms::people::test_contact))
        .routes(routes!(alarms::people::rules, alarms::people::add_rule))
        .routes(routes!(
            alarms::people::put_rule,
            alarms::people::remove_rule
        ))
        .routes(routes!(alarms::people::plans))
        .routes(routes!(
            alarms::people::put_plan,
            alarms::people::remove_plan
        ))
        .routes(routes!(alarms::people::add_override))
        .routes(routes!(alarms::people::calendar))
        .routes(routes!(accounts::list, accounts::add))
        .routes(routes!(accounts::show, accounts::remove))
        .routes(routes!(accounts::set_rights))
        .routes(routes!(accounts::set_password))
        .routes(routes!(
            accounts::offer_factor,
            accounts::set_factor,
            accounts::remove_factor
        ))
        .routes(routes!(keys::tokens, keys::add_token))
        .routes(routes!(keys::revoke_token))
        .routes(routes!(
            keys::ssh_keys,
            keys::add_ssh_key,
            keys::remove_ssh_key
        ))
        .route_layer(limited);
    // Log-in has further limits of its own, which count guesses.
    let limited = axum::middleware::from_fn_with_state(Arc::clone(api), caller::limit_network);
    let for_strangers = OpenApiRouter::new()
        .routes(routes!(login::log_in))
        .routes(routes!(login::setup, login::set_up))
        .routes(routes!(login::session))
        .routes(routes!(login::log_out))
        .route_layer(limited);
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(for_strangers)
        .merge(for_callers)
        .split_for_parts();
    close_actions(&mut document);
    // It tells of what is served and nothing of what is kept, so it wants no log-in.
    let document = Arc::new(document);
    routes.route(
        "/api/openapi.json",
        get(move || async move { axum::Json(document.as_ref().clone()) }),
    )
}
