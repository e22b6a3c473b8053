//! Every operation of the HTTP API, as its own document lists them.

use super::{Caller, Cast, Place, SCRIPT, Standing, alarms, in_seconds, rights_of, table};
use ring::hmac;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};
use switchyard_e2e::{
    Maker,
    http::{call, log_in, metric, send},
};
use switchyard_protocol::{Role, firmware::FirmwareVersion, message::Key};
use switchyard_testkit::{PASSWORD, wait_until};

/// A key for SSH that nobody has; each begins anew with another last letter.
const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA";
/// What updates of these tests are for.
const BOARD: &str = "virtual";
const ANOTHER_PASSWORD: &str = "another one on loopback only";

/// Whom an operation is about, where it is about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Nobodys,
    Own,
    Anothers,
}

/// A line of the table.
struct Line {
    operation: String,
    whose: Whose,
    counts: String,
    /// By standing; `None` where there is no such case.
    expected: [Option<u16>; 7],
}

fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for row in table("http.md", "**Rights.**", "operation") {
        let [operations, counts, expected @ ..] = &row[..] else {
            panic!("{row:?}")
        };
        let expected: Vec<_> = expected.iter().map(|it| it.parse().ok()).collect();
        let (operations, whose) = match operations.split_once(" of ") {
            None => (operations.as_str(), Whose::Nobodys),
            Some((operations, whose)) if whose.starts_with("one") => (operations, Whose::Own),
            Some((operations, whose)) => {
                assert!(whose.starts_with("another"), "{row:?}");
                (operations, Whose::Anothers)
            }
        };
        for operation in operations.split(", ") {
            lines.push(Line {
                operation: operation.into(),
                whose,
                counts: counts.clone(),
                expected: expected.clone().try_into().expect("seven columns"),
            });
        }
    }
    lines
}

/// The column of a standing.
fn column(standing: Standing) -> usize {
    match standing {
        Standing::NoLogIn => 0,
        Standing::NoRole => 1,
        Standing::NoneThere => 2,
        Standing::With(role) => 3 + Role::ALL.iter().position(|it| *it == role).unwrap(),
    }
}

/// An operation as the served document tells it: method and path.
type Operations = BTreeMap<String, (String, String)>;

fn operations(cast: &Cast) -> Operations {
    let document = cast.look("/api/openapi.json");
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else {
                assert!(
                    !["get", "put", "post", "patch", "delete"].contains(&&**method),
                    "{method} {path} has no name"
                );
                continue;
            };
            let place = (method.to_uppercase(), path.clone());
            assert!(operations.insert(id.into(), place).is_none(), "{id} twice");
        }
    }
    operations
}

/// An account as itself: its name, its password, and a log-in or token. By itself nobody.
#[derive(Clone, Default)]
struct Person {
    name: String,
    password: &'static str,
    token: String,
}

/// Those whom requests about accounts are about. Each costs the hash of a password, so they stay for as long as they can.
struct People {
    /// What is about oneself is about a double with the same rights, since some of it ends log-ins.
    double: Person,
    another: Person,
    /// Whose rights are changed, and who is removed, by whoever may.
    somebody: Person,
}

/// One request: what it says besides its path's parts.
pub(super) struct Request {
    parts: Vec<(&'static str, String)>,
    query: String,
    body: Option<Value>,
    octets: Vec<u8>,
}

impl Request {
    pub(super) fn of(parts: &[(&'static str, &dyn ToString)]) -> Self {
        let parts = parts.iter().map(|(name, part)| (*name, part.to_string()));
        Request {
            parts: parts.collect(),
            query: String::new(),
            body: None,
            octets: Vec::new(),
        }
    }

    /// With a body of bytes.
    fn with_octets(self, octets: Vec<u8>) -> Self {
        Request { octets, ..self }
    }

    /// With a query.
    pub(super) fn asking(self, query: &str) -> Self {
        let query = query.into();
        Request { query, ..self }
    }

    pub(super) fn with(self, body: Value) -> Self {
        Request {
            body: Some(body),
            ..self
        }
    }
}

/// What all have in common who try every operation.
pub(super) struct Scene<'a> {
    pub(super) cast: &'a Cast,
    operations: Operations,
    lines: Vec<Line>,
    /// Names that have been given.
    names: Cell<u32>,
    seen: BTreeSet<(String, usize)>,
}

impl Scene<'_> {
    pub(super) fn new_name(&self, what: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{what} {}", self.names.get())
    }

    /// Somebody new with these rights.
    fn stranger(&self, what: &str, rights: Value) -> Person {
        let name = self.new_name(what).replace(' ', "-");
        let wanted = json!({ "name": name, "password": PASSWORD, "rights": rights });
        self.cast.do_so(("POST", "/api/accounts"), wanted, &[201]);
        Person {
            name,
            password: PASSWORD,
            token: String::new(),
        }
    }

    /// The same, logged in.
    fn person(&self, what: &str, rights: Value) -> Person {
        let person = self.stranger(what, rights);
        let token = log_in(self.cast.yard.http(), &person.name).unwrap();
        Person { token, ..person }
    }

    /// Asks for an operation.
    fn ask(&self, token: Option<&str>, operation: &str, request: &Request) -> (u16, Value) {
        let (method, path) = &self.operations[operation];
        let mut path = path.clone();
        for (name, part) in &request.parts {
            path = path.replace(&format!("{{{name}}}"), part);
        }
        assert!(!path.contains('{'), "{operation}: what is {path}?");
        path += &request.query;
        let http = self.cast.yard.http();
        if !request.octets.is_empty() {
            let body = ("application/octet-stream", &*request.octets);
            return send(http, token, (method, &path), body).unwrap();
        }
        call(http, token, (method, &path), request.body.as_ref()).unwrap()
    }

    /// One caller at one place, or about one account.
    fn check(&mut self, at: usize, caller: &Caller, place: Place, people: &mut People) {
        let line = &self.lines[at];
        let standing = caller.at(place);
        let Some(expected) = line.expected[column(standing)] else {
            return;
        };
        let what = format!(
            "{} ({:?}) by {caller:?} at {place:?}",
            line.operation, line.whose
        );
        let is_allowed = (200..300).contains(&expected);
        let operation = line.operation.clone();
        let whose = line.whose;
        let is_about_somebody = matches!(operation.as_str(), "set_rights" | "remove_account");
        let subject = match whose {
            Whose::Own => people.double.clone(),
            Whose::Anothers => people.another.clone(),
            Whose::Nobodys if is_about_somebody => people.somebody.clone(),
            Whose::Nobodys => Person::default(),
        };
        let mut deed = Deed {
            scene: self,
            caller,
            place,
            subject,
            operation: &operation,
            whose,
            spare: String::new(),
        };
        let request = deed.request(is_allowed);
        let token = match whose {
            Whose::Own => caller.token.as_ref().map(|_| deed.subject.token.clone()),
            _ if operation == "log_out" && caller.token.is_some() => {
                Some(log_in(deed.scene.cast.yard.http(), &caller.account).unwrap())
            }
            _ => caller.token.clone(),
        };
        let before = deed.look();
        let (status, said) = deed.scene.ask(token.as_deref(), &operation, &request);
        assert_eq!(status, expected, "{what}: {said}");
        if is_allowed {
            if !before.is_null() {
                let has_changed = || (deed.look() != before).then_some(());
                wait_until(&format!("what came of {what}"), has_changed).unwrap();
            }
            deed.took_effect(&what, &request, token.as_deref(), &said);
        } else {
            assert_eq!(said["status"], status, "{what}: {said}");
            assert!(said["code"].is_string(), "{what}: {said}");
            assert_eq!(deed.look(), before, "{what} was refused and done");
        }
        let subject = deed.subject;
        match whose {
            Whose::Own => people.double = subject,
            Whose::Anothers => people.another = subject,
            Whose::Nobodys if is_about_somebody && is_allowed => {
                people.somebody = self.stranger("somebody", json!({}));
            }
            Whose::Nobodys => {}
        }
        self.seen.insert((operation, column(standing)));
    }
}

/// One operation of one caller.
pub(super) struct Deed<'a, 'b> {
    pub(super) scene: &'a Scene<'b>,
    caller: &'a Caller,
    place: Place,
    /// The account that it is about, where it is about one.
    subject: Person,
    pub(super) operation: &'a str,
    whose: Whose,
    /// The controller that it is about, where it is not the one at the place.
    spare: String,
}

impl Deed<'_, '_> {
    pub(super) fn address(&self) -> u32 {
        self.scene.cast.post(self.place).address
    }

    pub(super) fn site(&self) -> u32 {
        self.scene.cast.post(self.place).site.0
    }

    pub(super) fn do_so(&self, method: &str, path: &str, body: Value, expected: &[u16]) -> Value {
        self.scene.cast.do_so((method, path), body, expected)
    }

    fn of_controller(&self, rest: &str) -> String {
        format!("/api/controllers/{}{rest}", self.address())
    }

    fn of_account(&self, rest: &str) -> String {
        format!("/api/accounts/{}{rest}", self.subject.name)
    }

    /// Somebody's present password, and a code where there is a second factor.
    fn proof(&self, mut body: Value) -> Value {
        if self.whose == Whose::Own {
            body["current"] = self.subject.password.into();
        }
        body
    }

    /// The request, and whatever must be there for it to be right.
    fn request(&mut self, is_allowed: bool) -> Request {
        let post = self.scene.cast.post(self.place);
        let address = post.address;
        let account = self.subject.name.clone();
        let of_controller = || Request::of(&[("address", &address)]);
        let of_account = || Request::of(&[("name", &account)]);
        let enrol_with_key = || {
            let wanted = json!({ "title": "Spare", "site": self.site() });
            let made = self.do_so("POST", "/api/controllers", wanted, &[201]);
            (made["address"].to_string(), made["key"].clone())
        };
        let enrol = || enrol_with_key().0;
        let add_site = || {
            let wanted = json!({ "name": self.scene.new_name("Site") });
            self.do_so("POST", "/api/sites", wanted, &[201])["site"].to_string()
        };
        match self.operation {
            "log_in" => {
                let account = match self.caller.token {
                    Some(_) => &self.caller.account,
                    None => "viewer",
                };
                Request::of(&[]).with(json!({ "account": account, "password": PASSWORD }))
            }
            "set_up" => Request::of(&[]).with(json!({
                "setup_code": "x", "account": "first", "password": PASSWORD,
            })),
            "setup_needed" | "log_out" | "session" | "who" | "list_sites" | "list_controllers"
            | "list_accounts" => Request::of(&[]),
            "show_controller"
            | "describe_controller"
            | "list_parameters"
            | "list_values"
            | "show_health"
            | "read_log"
            | "read_script"
            | "restart_controller" => of_controller(),
            "give_command" => of_controller().with(self.command(Key(rand::random()))),
            "command_receipt" => {
                let key = Key(rand::random());
                let token = match self.whose {
                    Whose::Own => self.subject.token.clone(),
                    _ => self.scene.cast.admin.clone(),
                };
                // Its own, or an admin's.
                if is_allowed || self.whose == Whose::Anothers {
                    let (status, said) = self.scene.ask(
                        Some(&token),
                        "give_command",
                        &of_controller().with(self.command(key)),
                    );
                    assert_eq!(status, 200, "{said}");
                }
                Request::of(&[("key", &key)])
            }
            "force_point" | "release_point" => {
                let path = self.of_controller("/forces/RL1");
                let body = json!({ "value": 1, "duration_ms": 600_000 });
                let is_forced = self.operation == "release_point";
                match is_forced {
                    false => self.do_so("DELETE", &path, Value::Null, &[204]),
                    true => self.do_so("PUT", &path, body.clone(), &[204]),
                };
                // Status follows the answer.
                let is_so = || (self.look() == is_forced).then_some(());
                wait_until("an output that is forced, or none", is_so).unwrap();
                let request = Request::of(&[("address", &address), ("point", &"RL1")]);
                match self.operation {
                    "force_point" => request.with(body),
                    _ => request,
                }
            }
            "write_script" => {
                let end = self.of_controller("/script/trial");
                // Where none is on trial there is nothing to end.
                self.do_so("POST", &end, json!({ "keep": false }), &[204, 409]);
                of_controller().with(json!({ "source": format!("# tried\n{SCRIPT}") }))
            }
            "end_trial" => {
                if is_allowed && self.state() != "on_trial" {
                    let source = format!("# on trial\n{SCRIPT}");
                    let path = self.of_controller("/script");
                    self.do_so("PUT", &path, json!({ "source": source }), &[204]);
                }
                of_controller().with(json!({ "keep": false }))
            }
            "enrol_controller" => {
                Request::of(&[]).with(json!({ "title": "Spare", "site": self.site() }))
            }
            "edit_controller" => {
                let title = self.scene.new_name("Spare");
                self.spare = enrol();
                Request::of(&[("address", &self.spare)]).with(json!({ "title": title }))
            }
            "unenrol_controller" => {
                let (spare, key) = enrol_with_key();
                self.spare = spare;
                Request::of(&[("address", &self.spare)]).with(json!({ "key": key }))
            }
            "remove_controller" => {
                self.spare = enrol();
                Request::of(&[("address", &self.spare)])
            }
            "add_site" => Request::of(&[]).with(json!({ "name": self.scene.new_name("Site") })),
            "rename_site" => {
                let name = self.scene.new_name("Site");
                Request::of(&[("site", &add_site())]).with(json!({ "name": name }))
            }
            "remove_site" => Request::of(&[("site", &add_site())]),
            "add_account" => Request::of(&[]).with(json!({
                "name": self.scene.new_name("made"), "password": PASSWORD, "rights": {},
            })),
            "set_rights" | "remove_account" => {
                let request = Request::of(&[("name", &self.subject.name)]);
                match self.operation {
                    "set_rights" => request.with(json!({ "everywhere": "viewer" })),
                    _ => request,
                }
            }
            "show_account" | "list_tokens" | "list_ssh_keys" | "offer_second_factor" => {
                of_account()
            }
            "remove_second_factor" => {
                if is_allowed {
                    let told = self.scene.cast.yard.give_second_factor(&self.subject.name);
                    told.unwrap();
                }
                of_account()
            }
            "add_token" => {
                let wanted = json!({ "title": "program", "lifetime_days": 1 });
                of_account().with(self.proof(wanted))
            }
            "revoke_token" => {
                let add = ["account", "token", "add", &account, "program"];
                let mut id = "0000000000000000".to_owned();
                if self.caller.token.is_some() {
                    self.scene.cast.yard.manage(&add).unwrap();
                    let tokens = self.scene.cast.look(&self.of_account("/tokens"));
                    let tokens = tokens["items"].as_array().unwrap();
                    let program = tokens.iter().find(|it| it["kind"] == "access").unwrap();
                    id = program["id"].as_str().unwrap().into();
                }
                Request::of(&[("name", &account), ("id", &id)])
            }
            "add_ssh_key" => {
                let wanted = json!({ "public_key": self.ssh_key() });
                of_account().with(self.proof(wanted))
            }
            "remove_ssh_key" => {
                let mut fingerprint = format!("SHA256:{}", "A".repeat(43));
                if self.caller.token.is_some() {
                    let path = self.of_account("/ssh-keys");
                    let wanted = json!({ "public_key": self.ssh_key() });
                    let added = self.do_so("POST", &path, wanted, &[201]);
                    fingerprint = added["fingerprint"].as_str().unwrap().into();
                }
                let fingerprint = fingerprint.replace('+', "%2B");
                Request {
                    query: format!("?fingerprint={fingerprint}"),
                    ..of_account()
                }
            }
            "set_password" => {
                of_account().with(self.proof(json!({ "password": ANOTHER_PASSWORD })))
            }
            "set_second_factor" => {
                let mut secret = "00".repeat(20);
                if self.whose == Whose::Own && self.caller.token.is_some() {
                    let token = Some(&*self.subject.token);
                    let (status, said) =
                        self.scene.ask(token, "offer_second_factor", &of_account());
                    assert_eq!(status, 200, "{said}");
                    secret = said["secret"].as_str().unwrap().into();
                }
                of_account().with(json!({
                    "secret": secret,
                    "code": code_of(&secret),
                    "current": self.subject.password,
                }))
            }
            "rekey_controller" => {
                self.spare = enrol();
                Request::of(&[("address", &self.spare)]).with(json!({ "keep_old_s": 0 }))
            }
            "list_recorded_points" => of_controller(),
            "read_history" | "read_recent_values" => {
                Request::of(&[("address", &address), ("point", &"nothing")])
            }
            "read_audit" | "list_scripts" | "list_firmwares" | "list_rollouts" => Request::of(&[]),
            "list_script_versions" | "diff_script_versions" | "remove_script" => {
                self.spare = self.new_script();
                Request::of(&[("script", &self.spare)])
            }
            "show_script_version" => {
                Request::of(&[("script", &self.new_script()), ("version", &1)])
            }
            "add_script_version" => {
                self.spare = new_label();
                Request::of(&[("script", &self.spare)]).with(json!({ "source": SCRIPT }))
            }
            "add_firmware" => {
                self.spare = self.new_version();
                Request::of(&[]).with_octets(updates(&self.spare))
            }
            "remove_firmware" => {
                self.spare = self.new_version();
                let token = Some(&*self.scene.cast.admin);
                let add = Request::of(&[]).with_octets(updates(&self.spare));
                let (status, said) = self.scene.ask(token, "add_firmware", &add);
                assert_eq!(status, 201, "{said}");
                Request::of(&[("board", &BOARD), ("version", &self.spare)])
            }
            "forecast_rollout" | "begin_rollout" => {
                self.spare = enrol();
                Request::of(&[]).with(self.order())
            }
            "show_rollout" | "list_rollout_controllers" | "wish_of_rollout" => {
                self.spare = enrol();
                let order = self.order();
                let begun = self.do_so("POST", "/api/rollouts", order, &[201]);
                let request = Request::of(&[("rollout", &begun["rollout"])]);
                match self.operation {
                    "wish_of_rollout" => request.with(json!({ "want": "pause" })),
                    _ => request,
                }
            }
            other if alarms::is_one(other) => self.request_of_alarms(),
            other => {
                panic!("{other} is new: say here how it is asked for, and in docs/http.md who may")
            }
        }
    }

    /// A script of the library, with one version.
    fn new_script(&self) -> String {
        let label = new_label();
        let path = format!("/api/scripts/{label}");
        // What a roll-out is of is not removed, whatever it is called: of another one nothing is.
        let source = format!("# {label}\n{SCRIPT}");
        self.do_so("POST", &path, json!({ "source": source }), &[201]);
        label
    }

    /// A firmware's version that there is none of.
    fn new_version(&self) -> String {
        self.scene.names.set(self.scene.names.get() + 1);
        let number = self.scene.names.get();
        format!("1.{}.{}", number / 256, number % 256)
    }

    /// A roll-out to the spare controller, which never comes.
    fn order(&self) -> Value {
        let spare: u32 = self.spare.parse().unwrap();
        json!({ "script": self.new_script(), "controllers": [spare] })
    }

    fn command(&self, key: Key) -> Value {
        let action = json!({ "verb": "set", "point": "RL1", "value": 1 });
        json!({ "key": key.to_string(), "expires": in_seconds(60), "action": action })
    }

    fn state(&self) -> Value {
        self.scene.cast.look(&self.of_controller("/health"))["script"]["state"].clone()
    }

    /// A key that nobody has.
    fn ssh_key(&self) -> String {
        let bytes: [u8; 32] = rand::random();
        let digits: String = bytes.iter().map(|it| char::from(b'A' + it % 26)).collect();
        // 32 bytes of a key behind its type and length: 43 letters, of which the first tells the length.
        format!("{SSH_KEY}I{digits}{}", "A".repeat(11))
    }

    /// What an admin sees of whatever the operation changes; null where it changes nothing.
    fn look(&self) -> Value {
        let cast = self.scene.cast;
        match self.operation {
            "add_site" | "rename_site" | "remove_site" => cast.look("/api/sites"),
            "add_script_version" | "remove_script" => {
                let path = format!("/api/scripts/{}", self.spare);
                let token = Some(&*cast.admin);
                let told = call(cast.yard.http(), token, ("GET", &path), None);
                told.unwrap().0.into()
            }
            "add_firmware" | "remove_firmware" => cast.look("/api/firmwares"),
            // The newest; those that are under way change by themselves.
            "begin_rollout" => cast.look("/api/rollouts")["items"][0]["rollout"].clone(),
            "enrol_controller" => {
                let known = metric(&cast.yard, "switchyard_controllers_known");
                known.unwrap().into()
            }
            "edit_controller" | "remove_controller" | "unenrol_controller" => {
                let path = format!("/api/controllers/{}", self.spare);
                let token = Some(&*cast.admin);
                let told = call(cast.yard.http(), token, ("GET", &path), None);
                let (status, said) = told.unwrap();
                json!([status, said["title"]])
            }
            "give_command" => cast.post(self.place).all_executions().into(),
            "force_point" | "release_point" => cast.point(cast.post(self.place))["forced"].clone(),
            "restart_controller" => cast.health(cast.post(self.place))["boot"].clone(),
            "write_script" | "end_trial" => {
                cast.health(cast.post(self.place))["script"]["state"].clone()
            }
            "add_account"
            | "set_rights"
            | "remove_account"
            | "remove_second_factor"
            | "set_second_factor" => cast.look("/api/accounts"),
            "add_token" | "revoke_token" | "set_password" if !self.subject.name.is_empty() => {
                cast.look(&self.of_account("/tokens"))
            }
            "add_ssh_key" | "remove_ssh_key" if !self.subject.name.is_empty() => {
                cast.look(&self.of_account("/ssh-keys"))
            }
            _ => Value::Null,
        }
    }

    /// What is to be seen of what was allowed besides that something changed.
    fn took_effect(&mut self, what: &str, request: &Request, token: Option<&str>, said: &Value) {
        let cast = self.scene.cast;
        let items = || said["items"].as_array().unwrap();
        match self.operation {
            "log_in" => {
                let account = &request.body.as_ref().unwrap()["account"];
                assert_eq!(&said["account"], account, "{what}");
            }
            "log_out" => {
                let (status, _) = self.scene.ask(token, "session", &Request::of(&[]));
                assert_eq!(status, 401, "{what}");
            }
            "who" | "session" => assert_eq!(said["account"], *self.caller.account, "{what}"),
            "setup_needed" => assert_eq!(said["needed"], false, "{what}"),
            "list_sites" => {
                let names: Vec<_> = items()
                    .iter()
                    .map(|it| it["name"].as_str().unwrap())
                    .collect();
                for (name, place) in [("North", Place::North), ("South", Place::South)] {
                    let sees = matches!(self.caller.at(place), Standing::With(_));
                    assert_eq!(names.contains(&name), sees, "{what}: {names:?}");
                }
            }
            "list_controllers" => {
                let sites: BTreeSet<_> = items().iter().map(|it| it["site"].as_u64()).collect();
                for (site, place) in [(1, Place::North), (2, Place::South)] {
                    let sees = matches!(self.caller.at(place), Standing::With(_));
                    assert_eq!(sites.contains(&Some(site)), sees, "{what}: {sites:?}");
                }
            }
            "give_command" => {
                let key = request.body.as_ref().unwrap()["key"].as_str().unwrap();
                let last = said["receipts"].as_array().unwrap().last().unwrap();
                assert_eq!(last["stage"], "executed", "{what}: {said}");
                let journal = cast.post(self.place).all_executions();
                assert_eq!(journal.matches(key).count(), 1, "{what}");
            }
            "command_receipt" => assert_eq!(said["receipts"][0]["stage"], "executed", "{what}"),
            "show_controller" => assert_eq!(said["live"]["online"], true, "{what}"),
            "list_parameters" => assert_eq!(items()[0]["name"], "delay", "{what}"),
            "read_script" => assert!(said["source"].as_str().unwrap().contains("hold"), "{what}"),
            "show_health" => assert!(said["boot"].is_u64(), "{what}"),
            "list_accounts" => assert!(items().len() > 10, "{what}"),
            "add_token" => {
                let made = said["token"].as_str();
                let (status, _) = self.scene.ask(made, "who", &Request::of(&[]));
                assert_eq!(status, 200, "{what}");
            }
            "set_password" => {
                self.subject.password = ANOTHER_PASSWORD;
                let (status, _) = self.scene.ask(token, "who", &Request::of(&[]));
                assert_eq!(status == 401, self.whose == Whose::Own, "{what}");
                let known = Request::of(&[]).with(json!({
                    "account": self.subject.name, "password": ANOTHER_PASSWORD,
                }));
                let (status, said) = self.scene.ask(None, "log_in", &known);
                assert_eq!(status, 200, "{what}: {said}");
                self.subject.token = said["token"].as_str().unwrap().into();
            }
            "set_second_factor" => {
                let known = Request::of(&[]).with(json!({
                    "account": self.subject.name, "password": self.subject.password,
                }));
                let (status, said) = self.scene.ask(None, "log_in", &known);
                assert_eq!(
                    (status, &said["code"]),
                    (401, &"code_needed".into()),
                    "{what}"
                );
            }
            _ => {}
        }
    }
}

/// A name that no script has.
fn new_label() -> String {
    format!("s-{:08x}", rand::random::<u32>())
}

/// The code that an app shows now (RFC 6238).
fn code_of(secret: &str) -> String {
    let digit = |at: usize| u8::from_str_radix(&secret[2 * at..2 * at + 2], 16).unwrap();
    let secret: [u8; 20] = std::array::from_fn(digit);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &(in_seconds(0) / 30_000).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0x0F);
    let part = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap());
    format!("{:06}", (part & 0x7FFF_FFFF) % 1_000_000)
}

#[test]
fn every_operation_of_people_is_answered_as_the_table_says() {
    check_all(false);
}

#[test]
fn every_operation_of_programs_is_answered_as_the_table_says() {
    check_all(true);
}

/// The whole table, by log-ins or by programs' tokens; and by nobody.
fn check_all(by_programs: bool) {
    let cast = Cast::assemble();
    let (operations, lines) = (operations(&cast), lines());
    let told: BTreeSet<_> = lines.iter().map(|line| line.operation.as_str()).collect();
    let served: BTreeSet<_> = operations.keys().map(String::as_str).collect();
    assert_eq!(told, served, "docs/http.md and the document differ");
    let mut scene = Scene {
        cast: &cast,
        operations,
        lines,
        names: Cell::new(0),
        seen: BTreeSet::new(),
    };
    let mut people = People {
        double: Person::default(),
        another: scene.person("another", rights_of(None, Some(Role::Viewer))),
        somebody: scene.stranger("somebody", json!({})),
    };
    let is_meant = |caller: &&Caller| caller.token.is_none() || caller.is_program == by_programs;
    for caller in cast.callers.iter().filter(is_meant) {
        let mut double = match caller.token {
            Some(_) => scene.person("double", rights_of(caller.everywhere, caller.north)),
            None => Person {
                name: "viewer".into(),
                ..Person::default()
            },
        };
        if caller.is_program {
            let add = ["account", "token", "add", &double.name, "its own"];
            double.token = cast.yard.manage(&add).unwrap().trim().to_owned();
        }
        people.double = double;
        for at in 0..scene.lines.len() {
            let places: &[Place] = match scene.lines[at].counts.as_str() {
                "at its site" | "at the site that it names" => &[Place::North, Place::South],
                "everywhere" => &[Place::Everywhere],
                "best anywhere" | "–" => &[Place::Anywhere],
                other => panic!("{other:?}"),
            };
            for &place in places {
                scene.check(at, caller, place, &mut people);
            }
        }
    }
    // Every cell of the table that says something came up.
    for line in &scene.lines {
        for (column, expected) in line.expected.iter().enumerate() {
            let has_case = expected.is_some() && (line.counts != "–" || column != 2);
            let is_seen = scene.seen.contains(&(line.operation.clone(), column));
            assert!(is_seen || !has_case, "{}, column {column}", line.operation);
        }
    }
}

/// Both updates of a version.
fn updates(version: &str) -> Vec<u8> {
    let FirmwareVersion(number) = version.parse().unwrap();
    let maker = Maker::default();
    [1, 2]
        .map(|slot| maker.update(slot, number, b"VSWV image.."))
        .concat()
}
