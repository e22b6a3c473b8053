//! The API's way into a controller that runs a script: here one by hand, which answers as a real one does.

use crate::support::{
    Controller, Gateway,
    api::{NOTHING, code, told},
    title, until,
};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use bytes::Bytes;
use serde_json::json;
use switchyard_gateway::{Digest, fleet::rollout::ReleaseKind};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    limits::TRANSFER_PIECE_BYTES_MAX,
    message::{
        Answer, Body, Cause, CauseKind, Content, GapCause, Health, LogEntry, Name, NamedValue,
        Parameter, Request, ResetReason, ScanHealth, ScriptFault, ScriptHealth, ScriptState, Text,
        ValueType, Verb,
    },
};

/// Values on a page of this controller.
const VALUES_PER_PAGE: usize = 3;

/// A controller that runs a script.
struct Scripted {
    controller: Controller,
    script: Vec<u8>,
    incoming: Vec<u8>,
    forced: Option<i64>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(bytes).into()
}

fn parameter(text: &str) -> Parameter {
    Parameter {
        name: name(text),
        value_type: ValueType::Time,
        value: 30_000,
        min: 1_000,
        max: 600_000,
    }
}

impl Scripted {
    /// Answers until the gateway goes.
    async fn serve(mut self) {
        while let Some(frame) = self.controller.receive().await {
            let header = *frame.header();
            if !matches!(header.kind, Kind::Query | Kind::Configure) {
                continue;
            }
            let asked = Request::decode(header.kind, frame.payload()).unwrap();
            let pages = self.answer(asked);
            let last = pages.len() - 1;
            for (at, answer) in pages.into_iter().enumerate() {
                let flags = if at < last { Flags::MORE } else { Flags::NONE };
                let answer = Frame::with_flags(
                    Kind::Response,
                    flags,
                    header.correlation,
                    self.controller.address,
                    header.source,
                    &answer.encode(),
                );
                self.controller.send(&[answer]).await;
            }
        }
    }

    fn answer(&mut self, asked: Request) -> Vec<Answer> {
        let verb = asked.verb();
        let body = match asked {
            Request::Describe => Body::Describe {
                behaviour: title("pump"),
                commands: vec![Text::new("hold(t: time in 100ms..60s)").unwrap()],
            },
            Request::Parameters => {
                let page = |text| {
                    Answer::Ok(Body::Parameters {
                        parameters: vec![parameter(text)],
                    })
                };
                return vec![page("delay"), page("pause")];
            }
            Request::Values { from } => {
                let from = from.unwrap_or(0) as usize;
                let all = (0..7).map(|at| NamedValue {
                    name: name(&format!("v{at}")),
                    value_type: ValueType::Int,
                    value: at,
                });
                Body::Values {
                    values: all.skip(from).take(VALUES_PER_PAGE).collect(),
                    total: 7,
                }
            }
            Request::Health => Body::Health(Box::new(Health {
                uptime_ms: 9_000,
                boot: self.controller.boot,
                reset: ResetReason::Power,
                free_bytes: Some(12_345),
                scan: ScanHealth {
                    late: 1,
                    longest_gap_ms: 20,
                    gap_cause: GapCause::Erase,
                    cost_us: 300,
                },
                script: ScriptHealth {
                    state: ScriptState::Kept,
                    trial_left_ms: None,
                    title: Some(title("pump")),
                    digest: Some(digest(&self.script)),
                    faults: 0,
                },
                firmware: None,
            })),
            Request::Log { before } => Body::Log {
                entries: match before {
                    Some(_) => Vec::new(),
                    None => vec![LogEntry {
                        number: 9,
                        time: None,
                        uptime_ms: 8_000,
                        about: Text::new("RL1").unwrap(),
                        value: Some(1),
                        cause: Cause::plain(CauseKind::Script),
                    }],
                },
            },
            Request::Force { point, value, .. } if point.as_str() == "RL1" => {
                self.forced = Some(value);
                Body::Done(verb)
            }
            Request::Force { .. } => return refused(Code::UnknownPoint, verb),
            Request::Release { .. } => {
                self.forced = None;
                Body::Done(verb)
            }
            Request::Trial { .. } => return refused(Code::WrongState, verb),
            Request::Restart => Body::Done(verb),
            Request::TransferRead {
                content: Content::Script,
                offset,
            } => {
                let rest = &self.script[offset as usize..];
                let piece = &rest[..rest.len().min(TRANSFER_PIECE_BYTES_MAX)];
                Body::TransferRead {
                    size: self.script.len() as u32,
                    bytes: Bytes::copy_from_slice(piece),
                    digest: digest(&self.script),
                }
            }
            Request::TransferOpen { .. } => {
                self.incoming.clear();
                Body::TransferOpen { offset: 0 }
            }
            // Links differ: this one takes no more than half a piece.
            Request::TransferWrite { bytes, .. } if bytes.len() > TRANSFER_PIECE_BYTES_MAX / 2 => {
                return refused(Code::TooLarge, verb);
            }
            Request::TransferWrite { offset, bytes } => {
                assert_eq!(offset as usize, self.incoming.len());
                self.incoming.extend_from_slice(&bytes);
                Body::TransferWrite {
                    offset: self.incoming.len() as u32,
                }
            }
            Request::TransferCommit { digest: wanted, .. } => {
                assert_eq!(wanted, digest(&self.incoming));
                let is_bad = self.incoming.starts_with(b"bad");
                if !is_bad {
                    self.script = std::mem::take(&mut self.incoming);
                }
                Body::TransferCommit {
                    fault: is_bad.then(|| ScriptFault {
                        line: 3,
                        column: 7,
                        expected: Text::new("a point").unwrap(),
                        fix: None,
                        other_line: None,
                    }),
                }
            }
            _ => return refused(Code::Unsupported, verb),
        };
        vec![Answer::Ok(body)]
    }
}

fn refused(code: Code, verb: Verb) -> Vec<Answer> {
    vec![Answer::refused(code, verb.number())]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_inside_a_controller_is_read_and_written() {
    let gateway = Gateway::start().await;
    let pump = gateway.enrol("pump").await;
    let mut controller = Controller::online(&gateway, pump).await;
    controller.is_live().await;
    let scripted = Scripted {
        controller,
        script: b"RL1 := DI1".to_vec(),
        incoming: Vec::new(),
        forced: None,
    };
    let serving = tokio::spawn(scripted.serve());
    let viewer = gateway.log_in("viewer").await;
    let technician = gateway.log_in("technician").await;
    let at = |what: &str| format!("/api/controllers/{}/{what}", pump.address);
    let read = async |what: &str| told(&gateway, &viewer, ("GET", &at(what)), &NOTHING, 200).await;
    let described = read("description").await;
    assert_eq!(described["behaviour"], "pump");
    assert_eq!(described["commands"][0], "hold(t: time in 100ms..60s)");
    let parameters = read("parameters").await;
    assert_eq!(parameters["items"][0]["type"], "time");
    assert_eq!(parameters["items"][1]["name"], "pause");
    let values = read("values").await;
    assert_eq!(values["items"].as_array().unwrap().len(), 7);
    assert_eq!(values["items"][6]["value"], 6);
    let health = read("health").await;
    assert_eq!(health["script"]["state"], "kept");
    assert_eq!(health["scan"]["gap_cause"], "erase");
    // What it runs is kept, for plans of the fleet.
    let before = Address(pump.address.0 - 1);
    let seen = gateway.stores.config.seen(ReleaseKind::Script, before, 1);
    let running = seen.await.unwrap()[0].running;
    assert_eq!(running, Some(Digest::of(b"RL1 := DI1")));
    let log = read("log").await;
    assert_eq!(log["items"][0]["cause"]["kind"], "script");
    assert_eq!(log["next"], 9);
    let older = read("log?before=9").await;
    assert_eq!(older, json!({"items": []}));
    // What changes something wants a technician, and a point that there is.
    let force = json!({"value": 1, "duration_ms": 1_000});
    let one = at("forces/RL1");
    assert_eq!(
        code(&gateway, &viewer, ("PUT", &one), &force, 403).await,
        "forbidden"
    );
    told(&gateway, &technician, ("PUT", &one), &force, 204).await;
    told(&gateway, &technician, ("DELETE", &one), &NOTHING, 204).await;
    let none = at("forces/RL9");
    assert_eq!(
        code(&gateway, &technician, ("PUT", &none), &force, 404).await,
        "unknown_point"
    );
    let never = json!({"value": 1, "duration_ms": 0});
    assert_eq!(
        code(&gateway, &technician, ("PUT", &one), &never, 400).await,
        "bad_request"
    );
    told(
        &gateway,
        &technician,
        ("POST", &at("restart")),
        &NOTHING,
        204,
    )
    .await;
    let keep = json!({"keep": true});
    assert_eq!(
        code(
            &gateway,
            &technician,
            ("POST", &at("script/trial")),
            &keep,
            409
        )
        .await,
        "wrong_state"
    );
    // A script of several pieces goes over, and comes back as it was.
    let script = read("script").await;
    assert_eq!(script["source"], "RL1 := DI1");
    let source = "# a comment\n".repeat(300);
    let wanted = json!({"source": source, "keep": true});
    told(&gateway, &technician, ("PUT", &at("script")), &wanted, 204).await;
    let script = read("script").await;
    assert_eq!(script["source"], source);
    assert_eq!(script["digest"].as_str().unwrap().len(), 64);
    let bad = json!({"source": "bad"});
    let refused =
        crate::support::api::call(&gateway, &technician, "PUT", &at("script"), &bad).await;
    assert_eq!(refused.status, 422);
    let problem = refused.json();
    assert_eq!(problem["code"], "not_compiled");
    assert_eq!(
        problem["fault"],
        json!({"line": 3, "column": 7, "expected": "a point"})
    );
    // Nobody's peer is left when the requests are over.
    until("the peers inside to go", async || {
        (gateway.metric("peers_inside").await == 0).then_some(())
    })
    .await;
    gateway.stop().await;
    serving.await.unwrap();
}
