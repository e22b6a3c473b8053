//! Holds `docs/protocol.cddl` to the vectors: every accepted message conforms to the rule of its
//! type, and a refusal that a schema can see does not.
//!
//! The evaluator below knows the part of RFC 8610 that the schema uses. The published crate was
//! left out: it brings a hundred packages, knows no negative ranges, and takes a byte string where
//! an integer's range stands. What is not known here is refused while parsing, so nothing passes
//! unread.

mod support;

use minicbor::{Decoder, data::Type as Item};
use std::collections::{BTreeMap, BTreeSet};
use support::{message_vectors, read};
use switchyard_protocol::message::Name;

/// A type of the schema.
#[derive(Debug)]
enum Type {
    Rule(String),
    Range(i64, i64),
    Text,
    Bytes,
    Bool,
    /// Bytes of a text or byte string.
    Sized(Box<Type>, i64, i64),
    /// A text of the one pattern in use, that of names.
    NameText,
    Array {
        least: i64,
        most: i64,
        of: Box<Type>,
    },
    Map(Vec<Member>),
    Choice(Vec<Type>),
}

#[derive(Debug)]
struct Member {
    is_optional: bool,
    key: u64,
    of: Type,
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn new(source: &str) -> Self {
        let mut tokens = Vec::new();
        for line in source.lines() {
            let mut rest = line.trim_start();
            while !rest.is_empty() && !rest.starts_with(';') {
                let end = if let Some(text) = rest.strip_prefix('"') {
                    text.find('"').expect("a closing quote") + 2
                } else if rest.starts_with("..") || rest.starts_with("=>") {
                    2
                } else {
                    let is_word =
                        |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | '_');
                    let word = rest.find(|it| !is_word(it)).unwrap_or(rest.len());
                    // A range's dots end its first number.
                    rest[..word].find("..").unwrap_or(word).max(1)
                };
                tokens.push(rest[..end].to_owned());
                rest = rest[end..].trim_start();
            }
        }
        Parser { tokens, at: 0 }
    }

    fn peek(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn expect(&mut self, token: &str) {
        assert_eq!(self.next(), token, "token {}", self.at);
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek(0) == token;
        self.at += usize::from(found);
        found
    }

    fn integer(&mut self) -> i64 {
        let token = self.next();
        token
            .parse()
            .unwrap_or_else(|_| panic!("{token} is not an integer"))
    }

    fn rules(mut self) -> BTreeMap<String, Type> {
        let mut rules = BTreeMap::new();
        while self.at < self.tokens.len() {
            let name = self.next();
            self.expect("=");
            let of = self.choice();
            assert!(rules.insert(name.clone(), of).is_none(), "{name} twice");
        }
        rules
    }

    fn choice(&mut self) -> Type {
        let mut options = vec![self.one()];
        while self.take("/") {
            options.push(self.one());
        }
        match options.len() {
            1 => options.remove(0),
            _ => Type::Choice(options),
        }
    }

    fn one(&mut self) -> Type {
        let of = match self.peek(0) {
            "{" => return self.map(),
            "[" => return self.array(),
            "(" => {
                self.expect("(");
                let of = self.choice();
                self.expect(")");
                return of;
            }
            token if token.parse::<i64>().is_ok() => {
                let least = self.integer();
                let most = if self.take("..") {
                    self.integer()
                } else {
                    least
                };
                return Type::Range(least, most);
            }
            _ => match self.next().as_str() {
                "tstr" => Type::Text,
                "bstr" => Type::Bytes,
                "bool" => Type::Bool,
                rule => Type::Rule(rule.to_owned()),
            },
        };
        if self.take(".size") {
            let (least, most) = if self.take("(") {
                let least = self.integer();
                self.expect("..");
                let most = self.integer();
                self.expect(")");
                (least, most)
            } else {
                let exactly = self.integer();
                (exactly, exactly)
            };
            return Type::Sized(Box::new(of), least, most);
        }
        if self.take(".regexp") {
            self.expect("\"[A-Za-z_][A-Za-z0-9_]{0,23}\"");
            return Type::NameText;
        }
        assert!(
            !self.peek(0).starts_with('.'),
            "{} is unknown",
            self.peek(0)
        );
        of
    }

    fn array(&mut self) -> Type {
        self.expect("[");
        let least = self.integer();
        self.expect("*");
        let most = self.integer();
        let of = Box::new(self.choice());
        self.expect("]");
        Type::Array { least, most, of }
    }

    fn map(&mut self) -> Type {
        self.expect("{");
        let mut members = Vec::new();
        // Every map ends in the open member, so that older receivers take newer senders.
        while !self.take("*") {
            let is_optional = self.take("?");
            let key = self.integer().try_into().expect("keys are unsigned");
            self.expect(":");
            members.push(Member {
                is_optional,
                key,
                of: self.choice(),
            });
            self.expect(",");
        }
        for token in ["uint", "=>", "any", "}"] {
            self.expect(token);
        }
        Type::Map(members)
    }
}

struct Schema(BTreeMap<String, Type>);

impl Schema {
    fn read() -> Self {
        Schema(Parser::new(&read("docs/protocol.cddl")).rules())
    }

    /// Whether a whole payload conforms to a rule.
    fn conforms(&self, rule: &str, payload: &[u8]) -> bool {
        self.item(&self.0[rule], payload)
    }

    /// Whether the item at the front of `bytes` conforms.
    fn item(&self, of: &Type, bytes: &[u8]) -> bool {
        let mut decoder = Decoder::new(bytes);
        match of {
            Type::Rule(name) => {
                let of = self.0.get(name).unwrap_or_else(|| panic!("no rule {name}"));
                self.item(of, bytes)
            }
            Type::Range(least, most) => {
                decoder.i64().is_ok_and(|it| (*least..=*most).contains(&it))
            }
            Type::Text => decoder.str().is_ok(),
            Type::Bytes => decoder.bytes().is_ok(),
            Type::Bool => decoder.bool().is_ok(),
            Type::NameText => decoder.str().is_ok_and(|text| Name::new(text).is_ok()),
            Type::Sized(of, least, most) => {
                let length = match decoder.datatype() {
                    Ok(Item::String) => decoder.str().map(str::len),
                    _ => decoder.bytes().map(<[u8]>::len),
                };
                self.item(of, bytes)
                    && length.is_ok_and(|it| (*least..=*most).contains(&(it as i64)))
            }
            Type::Array { least, most, of } => {
                let Ok(Some(count)) = decoder.array() else {
                    return false;
                };
                (*least..=*most).contains(&(count as i64))
                    && (0..count).all(|_| {
                        let is_good = self.item(of, &bytes[decoder.position()..]);
                        decoder.skip().is_ok() && is_good
                    })
            }
            Type::Map(members) => {
                let Ok(Some(count)) = decoder.map() else {
                    return false;
                };
                let mut found = BTreeSet::new();
                for _ in 0..count {
                    let Ok(key) = decoder.u64() else { return false };
                    let value = &bytes[decoder.position()..];
                    let member = members.iter().find(|member| member.key == key);
                    if member.is_some_and(|member| !self.item(&member.of, value)) {
                        return false;
                    }
                    found.insert(key);
                    if decoder.skip().is_err() {
                        return false;
                    }
                }
                members
                    .iter()
                    .all(|member| member.is_optional || found.contains(&member.key))
            }
            Type::Choice(options) => options.iter().any(|of| self.item(of, bytes)),
        }
    }
}

fn rule_of(message_type: &str) -> String {
    message_type.replace(['_', '.'], "-")
}

#[test]
fn accepted_messages_conform() {
    let schema = Schema::read();
    for vector in message_vectors() {
        if vector.error.is_none() {
            let rule = rule_of(&vector.message_type);
            assert!(schema.conforms(&rule, &vector.hex.0), "{}", vector.name);
            assert!(schema.conforms("payload", &vector.hex.0), "{}", vector.name);
        }
    }
}

#[test]
fn refused_fields_do_not_conform() {
    let schema = Schema::read();
    let mut count = 0;
    for vector in message_vectors() {
        let rule = rule_of(&vector.message_type);
        if vector.error.as_deref() != Some("bad_field") || !schema.0.contains_key(&rule) {
            continue;
        }
        // Three rules are prose: control characters in a title, a page below the pages, and as many
        // types as values.
        let is_prose = [
            "_line_end",
            "_nul",
            "_unit_separator",
            "_delete",
            "_first_c1",
            "_last_c1",
            "status_full_page_1_of_1",
            "event_happened_types_bad_too_few",
            "event_happened_types_bad_more_than_values",
            "event_happened_values_without_types",
            "event_happened_types_without_values",
        ]
        .iter()
        .any(|end| vector.name.ends_with(end));
        let conforms = schema.conforms(&rule, &vector.hex.0);
        assert!(!conforms || is_prose, "{} conforms", vector.name);
        count += usize::from(!conforms);
    }
    assert!(count > 500, "only {count} refusals were seen");
}

/// What RFC 8610 has named already (its appendix D), which a schema must not name again.
const PRELUDE: &[&str] = &[
    "any",
    "uint",
    "nint",
    "int",
    "bstr",
    "bytes",
    "tstr",
    "text",
    "tdate",
    "time",
    "number",
    "biguint",
    "bignint",
    "bigint",
    "integer",
    "unsigned",
    "decfrac",
    "bigfloat",
    "eb64url",
    "eb64legacy",
    "eb16",
    "encoded-cbor",
    "uri",
    "b64url",
    "b64legacy",
    "regexp",
    "mime-message",
    "cbor-any",
    "float16",
    "float32",
    "float64",
    "float16-32",
    "float32-64",
    "float",
    "false",
    "true",
    "bool",
    "nil",
    "null",
    "undefined",
];

#[test]
fn no_rule_takes_a_name_of_the_prelude() {
    for name in Schema::read().0.keys() {
        assert!(!PRELUDE.contains(&name.as_str()), "{name} is taken");
    }
}

#[test]
fn every_rule_belongs_to_a_message_or_is_used_by_one() {
    let schema = Schema::read();
    let mut used: BTreeSet<String> = message_vectors()
        .iter()
        .map(|vector| rule_of(&vector.message_type))
        .collect();
    used.insert("payload".to_owned());
    fn walk(of: &Type, used: &mut BTreeSet<String>) {
        match of {
            Type::Rule(name) => drop(used.insert(name.clone())),
            Type::Sized(of, ..) | Type::Array { of, .. } => walk(of, used),
            Type::Choice(options) => options.iter().for_each(|of| walk(of, used)),
            Type::Map(members) => members.iter().for_each(|member| walk(&member.of, used)),
            Type::Range(..) | Type::Text | Type::Bytes | Type::Bool | Type::NameText => {}
        }
    }
    schema.0.values().for_each(|of| walk(of, &mut used));
    for name in schema.0.keys() {
        assert!(used.contains(name), "nothing is a {name}");
    }
}
