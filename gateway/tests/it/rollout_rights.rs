//! Who may see roll-outs, and want something of them, whatever has become of their controllers since.

use crate::{
    contract::new_controller,
    fleet_contract::{about, new_rollout},
    support::{
        Gateway, PASSWORD,
        api::{NOTHING, code, told},
        now, title,
    },
};
use serde_json::{Value, json};
use std::ops::Range;
use switchyard_gateway::{
    hash_password,
    store::{Account, Content, NewController, NewRollout, RolloutId},
};
use switchyard_protocol::{Address, Role, SiteId};
use switchyard_relay::Rights;

/// Of sites and accounts: more than are made here.
const MANY: u32 = 100;
const SOURCE: &str = "# for some\n";
/// No controllers beside those that are enrolled.
const NOBODY: Range<u32> = 0..0;

/// A gateway with two sites, and accounts that are something at one of them.
struct Sites {
    gateway: Gateway,
    river: SiteId,
    hill: SiteId,
}

impl Sites {
    async fn start() -> Self {
        let gateway = Gateway::start().await;
        let config = &gateway.stores.config;
        let river = config.add_site(title("River"), MANY, now()).await.unwrap();
        let hill = config.add_site(title("Hill"), MANY, now()).await.unwrap();
        let content = Content::script(SOURCE).unwrap();
        config.put_content(content, now()).await.unwrap();
        let hash = hash_password(PASSWORD).unwrap();
        for (name, site, role) in [
            ("li", river, Role::Technician),
            ("bo", river, Role::Viewer),
            ("yu", hill, Role::Technician),
        ] {
            let account = Account {
                name: title(name),
                rights: Rights::new(None, [(site, role)]),
                password_hash: hash.clone(),
                totp: None,
                created: now(),
            };
            config.add_account(account).await.unwrap();
        }
        Sites {
            gateway,
            river,
            hill,
        }
    }

    async fn enrol(&self, site: SiteId) -> Address {
        let wanted = vec![NewController {
            site: Some(site),
            ..new_controller("some", 1)
        }];
        let enrolled = self.gateway.stores.config.enrol(wanted, 1_000, now()).await;
        enrolled.unwrap()[0]
    }

    /// A roll-out of `li`'s to these, and as many more as are not enrolled.
    async fn begin(&self, at: &[Address], others: Range<u32>) -> RolloutId {
        let all: Vec<u32> = at.iter().map(|it| it.0).chain(others).collect();
        let (_, first) = new_rollout(SOURCE, &all, now().0);
        let about = NewRollout {
            began: now(),
            ..about("for some")
        };
        let begun = self.gateway.stores.config.create_rollout(about, first);
        begun.await.unwrap()
    }

    async fn token(&self, account: &str) -> String {
        self.gateway.log_in(account).await
    }

    /// The numbers of all roll-outs that an account is told of, page by page, and how many pages these were.
    async fn listed(&self, token: &str) -> (Vec<u64>, usize) {
        let (mut all, mut pages, mut query) = (Vec::new(), 0, String::new());
        loop {
            let path = format!("/api/rollouts{query}");
            let page = told(&self.gateway, token, ("GET", &path), &NOTHING, 200).await;
            let items = page["items"].as_array().unwrap().iter();
            all.extend(items.map(|it| it["rollout"].as_u64().unwrap()));
            pages += 1;
            let Some(next) = page["next"].as_u64() else {
                return (all, pages);
            };
            let after = format!("?before={next}");
            assert_ne!(after, query, "no page further");
            assert!(pages < 10, "no end");
            query = after;
        }
    }
}

fn wish() -> Value {
    json!({"want": "pause"})
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_judged_to_their_end() {
    let sites = Sites::start().await;
    let (here, there) = (
        sites.enrol(sites.river).await,
        sites.enrol(sites.hill).await,
    );
    // More than are looked up for one page.
    let one = sites.begin(&[here], 1_000_001..1_060_001).await;
    let other = sites.begin(&[], 2_000_001..2_060_001).await;
    // Whose only one of another site is at the very end.
    let mut ends_elsewhere: Vec<Address> = (3_000_001..=3_000_500).map(Address).collect();
    ends_elsewhere.push(there);
    let mixed = sites.begin(&ends_elsewhere, NOBODY).await;
    let (li, yu) = (sites.token("li").await, sites.token("yu").await);
    // `other` has nobody left, and is li's own.
    let (found, pages) = sites.listed(&li).await;
    assert_eq!(found, [other.0, one.0].map(u64::from));
    assert_eq!(pages, 2, "no more than that is looked up at once");
    assert_eq!(sites.listed(&yu).await.0, [u64::from(mixed.0)]);
    let path = format!("/api/rollouts/{one}/wishes");
    told(&sites.gateway, &li, ("POST", &path), &wish(), 202).await;
    sites.gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_any_more_is_for_who_sees_all() {
    let sites = Sites::start().await;
    let (here, there) = (
        sites.enrol(sites.river).await,
        sites.enrol(sites.hill).await,
    );
    let id = sites.begin(&[here, there], NOBODY).await;
    let config = &sites.gateway.stores.config;
    let path = format!("/api/rollouts/{id}");
    let wishes = format!("{path}/wishes");
    let is_told = async |account: &str, status| {
        let token = sites.token(account).await;
        let gateway = &sites.gateway;
        match status {
            200 => drop(told(gateway, &token, ("GET", &path), &NOTHING, 200).await),
            _ => {
                let code = code(gateway, &token, ("GET", &path), &NOTHING, status).await;
                assert_eq!(code, "not_found", "{account}");
            }
        }
        assert_eq!(
            sites.listed(&token).await.0.is_empty(),
            status == 404,
            "{account}"
        );
    };
    for (account, status) in [("li", 404), ("bo", 404), ("yu", 404), ("viewer", 200)] {
        is_told(account, status).await;
    }
    // What is left decides.
    assert!(config.revoke_controller(there, now()).await.unwrap());
    for (account, status) in [("li", 200), ("bo", 200), ("yu", 404), ("viewer", 200)] {
        is_told(account, status).await;
    }
    // Nothing is left: there are who sees all, and who began it. That one may want nothing of it.
    assert!(config.revoke_controller(here, now()).await.unwrap());
    for (account, status) in [("li", 200), ("bo", 404), ("yu", 404), ("viewer", 200)] {
        is_told(account, status).await;
    }
    let li = sites.token("li").await;
    let refused = code(&sites.gateway, &li, ("POST", &wishes), &wish(), 403).await;
    assert_eq!(refused, "forbidden");
    let technician = sites.token("technician").await;
    told(&sites.gateway, &technician, ("POST", &wishes), &wish(), 202).await;
    sites.gateway.stop().await;
}
