//! The procedure of a modem's whole life: found out what it is and can, its SIM and its network looked at, and then
//! one thing done after the other.

use super::{
    Pin, call,
    desk::{Command, Event, Fault, Job, Line, Occurrence, Reply, What},
    report::{CallEnd, CallEvent, Capabilities, Condition, KeyDetection, TextEvent, TextFault},
    text::{self, Inbox},
    words::{Cause, Outcome, Told, named, number},
};
use std::time::Duration;

/// Times that it may fall silent in a row, before it is opened anew.
const SILENCES_MAX: usize = 3;
/// Greetings: a modem that has just been given power takes some seconds.
const GREETINGS_MAX: usize = 10;
const GREETING: Duration = Duration::from_millis(800);
/// After the first answer: what was under way before has come by then.
const QUIET: Duration = Duration::from_millis(200);
/// How often a modem or SIM that is busy is asked again, and how many times.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
const BUSY_TRIES: usize = 30;
/// How often network and strength are looked at while there is nothing else.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often texts are looked for, since a modem may lose what it had to tell.
const TEXTS_EVERY: Duration = Duration::from_secs(120);
/// The SIM checks a PIN, and the modem looks for its network then.
const PIN_TIME: Duration = Duration::from_secs(20);

/// Attends to a modem until it is of no use any more.
pub(super) async fn attend(line: Line, pin: Option<Pin>) -> Fault {
    let mut silences = 0;
    loop {
        line.desk().is_serving = false;
        line.change(|state| state.condition = Condition::Starting);
        let fault = match session(&line, pin.as_ref()).await {
            Err(fault) => fault,
            Ok(never) => match never {},
        };
        if line.desk().is_serving {
            silences = 0;
        }
        line.desk().abandon_current();
        tracing::debug!(%fault, "the modem is asked anew what it is");
        silences += usize::from(fault != Fault::Restarted);
        if silences >= SILENCES_MAX {
            return fault;
        }
    }
}

/// Nothing is ever this.
enum Never {}

async fn session(line: &Line, pin: Option<&Pin>) -> Result<Never, Fault> {
    greet(line).await?;
    // Answers in words, errors by number, no echo; who does not know one of them goes on without.
    for setting in ["ATE0V1", "ATQ0", "AT+CMEE=1"] {
        line.ask_ok(setting).await?;
    }
    let manufacturer = identity(line, "AT+CGMI").await?;
    let model = identity(line, "AT+CGMM").await?;
    while let Some(condition) = unlock(line, pin).await? {
        line.change(|state| state.condition = condition);
        let until = line.now() + LOOK_EVERY;
        while let Occurrence::Job(job) = next(line, until).await? {
            refuse(line, &job);
        }
    }
    let capabilities = probe(line, manufacturer, model).await?;
    line.change(|state| state.capabilities = Some(capabilities.clone()));
    // A gateway that was killed, or a line that failed, leaves its call in the modem: the next one would be taken for
    // answered, and speak to whoever is in that. Where there is no call, many say ERROR.
    if capabilities.calls && !can(line, "AT+CHUP").await? {
        can(line, "ATH").await?;
    }
    serve(line, &capabilities).await
}

/// Waits for jobs, texts and time, and passes over the rest.
async fn next(line: &Line, until: Duration) -> Result<Occurrence, Fault> {
    loop {
        match line.occurrence(until, true).await? {
            Occurrence::Ordered(_) => {}
            Occurrence::Told(told) if told != Told::Ring => {}
            other => return Ok(other),
        }
    }
}

fn refuse(line: &Line, job: &Job) {
    let condition = line.state().condition;
    let call = CallEnd::NotReady(condition.clone());
    line.refuse(job, TextFault::NotReady(condition), call);
}

/// Greets the modem until it answers.
async fn greet(line: &Line) -> Result<(), Fault> {
    line.escape();
    let mut latest = Fault::Restarted;
    for _ in 0..GREETINGS_MAX {
        match line.ask(Command::new("AT").within(GREETING)).await {
            Ok(_) => {
                // Later answers to earlier questions go by.
                match line.pause(QUIET).await {
                    Err(Fault::Restarted) => continue,
                    done => return done,
                }
            }
            Err(fault) => latest = fault,
        }
    }
    Err(latest)
}

/// Asks for something that a modem need not have. One that falls silent over it has not.
async fn can(line: &Line, text: &str) -> Result<bool, Fault> {
    match line.ask_ok(text).await {
        Err(Fault::Silent(_)) => greet(line).await.map(|()| false),
        other => other,
    }
}

async fn identity(line: &Line, text: &str) -> Result<String, Fault> {
    let reply = line.ask(Command::new(text)).await?;
    let first = reply.lines().first().map_or("", |line| line.as_str());
    let name = first.split_once(':').map_or(first, |(_, name)| name);
    let name = name.trim().trim_matches('"');
    Ok(name
        .chars()
        .filter(|it| !it.is_control())
        .take(64)
        .collect())
}

/// Looks at the SIM, and enters the PIN where that is wanted and harmless. `None`: it is ready.
async fn unlock(line: &Line, pin: Option<&Pin>) -> Result<Option<Condition>, Fault> {
    let mut is_entered = false;
    for _ in 0..BUSY_TRIES {
        let reply = line.ask(Command::new("AT+CPIN?").within(PIN_TIME)).await?;
        let Reply::Answer { lines, outcome } = reply else {
            continue;
        };
        match outcome {
            Outcome::Refused(Cause::Equipment(10)) => return Ok(Some(Condition::NoSim)),
            Outcome::Refused(cause @ Cause::Equipment(13 | 15)) => {
                return Ok(Some(Condition::SimUnusable(cause.to_string())));
            }
            _ => {}
        }
        let state = named(&lines, "+CPIN")
            .next()
            .and_then(|fields| fields.first().cloned());
        match state.as_deref() {
            Some("READY") => {
                line.desk().is_pin_spent = false;
                return Ok(None);
            }
            Some("SIM PIN") if !is_entered => {
                if let Some(condition) = enter_pin(line, pin).await? {
                    return Ok(Some(condition));
                }
                is_entered = true;
            }
            Some("SIM PUK") => return Ok(Some(Condition::PukWanted)),
            Some("SIM PIN" | "NOT READY") | None => {}
            Some("NOT INSERTED") => return Ok(Some(Condition::NoSim)),
            Some(other) => return Ok(Some(Condition::SimUnusable(format!("it wants {other}")))),
        }
        line.pause(BUSY_PAUSE).await?;
    }
    Ok(Some(Condition::SimUnusable(
        "it does not become ready".into(),
    )))
}

/// Enters the PIN, once, and never when a wrong one would lock the SIM or when that is not known.
async fn enter_pin(line: &Line, pin: Option<&Pin>) -> Result<Option<Condition>, Fault> {
    let Some(pin) = pin else {
        return Ok(Some(Condition::PinWanted));
    };
    if line.desk().is_pin_spent {
        return Ok(Some(Condition::PinRefused));
    }
    match pin_tries(line).await? {
        None => return Ok(Some(Condition::PinTriesUntold)),
        Some(left) if left <= 1 => return Ok(Some(Condition::PinTriesLow(left))),
        Some(_) => {}
    }
    // Spent before it is sent: a modem that goes away in the middle has used a try up.
    line.desk().is_pin_spent = true;
    let command = Command::new(format!("AT+CPIN=\"{}\"", pin.digits())).within(PIN_TIME);
    match line.ask(command).await?.is_ok() {
        true => Ok(None),
        false => Ok(Some(Condition::PinRefused)),
    }
}

/// Tries left for the PIN, by whichever of three commands the modem knows: the standard's (3GPP TS 27.007, 8.65),
/// SIMCom's and Quectel's.
async fn pin_tries(line: &Line) -> Result<Option<u8>, Fault> {
    let reply = line.ask(Command::new("AT+CPINR")).await?;
    let mut of_pin = named(reply.lines(), "+CPINR")
        .filter(|fields| fields.first().is_some_and(|it| it == "SIM PIN"));
    if let Some(left) = of_pin.next().and_then(|fields| number(&fields, 1)) {
        return Ok(Some(left));
    }
    let reply = line.ask(Command::new("AT+SPIC")).await?;
    if let Some(left) = named(reply.lines(), "+SPIC")
        .next()
        .and_then(|fields| number(&fields, 0))
    {
        return Ok(Some(left));
    }
    let reply = line.ask(Command::new("AT+QPINC?")).await?;
    let mut of_sim =
        named(reply.lines(), "+QPINC").filter(|fields| fields.first().is_some_and(|it| it == "SC"));
    Ok(of_sim.next().and_then(|fields| number(&fields, 1)))
}

/// Asks the modem for each thing that it may be able to do, and sets it up to do it.
async fn probe(line: &Line, manufacturer: String, model: String) -> Result<Capabilities, Fault> {
    let mut can_text = false;
    for _ in 0..BUSY_TRIES {
        match line.ask(Command::new("AT+CMGF=0")).await? {
            Reply::Answer {
                outcome: Outcome::Refused(cause),
                ..
            } if cause.is_busy() => {
                line.pause(BUSY_PAUSE).await?;
            }
            reply => {
                can_text = reply.is_ok();
                break;
            }
        }
    }
    let service = line.ask(Command::new("AT+CSMS?")).await?;
    // Type of service, then whether texts come, go and are broadcast.
    let goes = named(service.lines(), "+CSMS")
        .next()
        .and_then(|fields| number::<u8>(&fields, 2));
    let texts = can_text && goes != Some(0);
    if texts {
        // Where the SIM is not to be chosen, the modem has its own storage.
        can(line, "AT+CPMS=\"SM\",\"SM\",\"SM\"").await?;
    }
    let tells_texts =
        texts && (can(line, "AT+CNMI=2,1,0,0,0").await? || can(line, "AT+CNMI=1,1,0,0,0").await?);
    let calls = can(line, "AT+CLCC").await?;
    if calls {
        // Dialling is answered at once, and hanging up hangs up, where these can be set at all.
        can(line, "AT+COLP=0").await?;
        can(line, "AT+CVHU=0").await?;
    }
    let keys = match () {
        () if !calls => None,
        () if can(line, "AT+DDET=1").await? => Some(KeyDetection::Ddet),
        () if can(line, "AT+QTONEDET=1").await? => Some(KeyDetection::Qtonedet),
        () => None,
    };
    Ok(Capabilities {
        manufacturer,
        model,
        texts,
        tells_texts,
        calls,
        keys,
        speech: calls && can(line, "AT+QWTTS=?").await?,
        tones: calls && can(line, "AT+VTS=?").await?,
    })
}

/// Does one thing after the other.
async fn serve(line: &Line, capabilities: &Capabilities) -> Result<Never, Fault> {
    let mut inbox = Inbox::default();
    let mut texts_due = line.now();
    loop {
        look(line).await?;
        line.desk().serve();
        if capabilities.texts && line.now() >= texts_due {
            line.remember_texts();
            texts_due = line.now() + TEXTS_EVERY;
        }
        let until = line.now() + LOOK_EVERY;
        loop {
            match next(line, until).await? {
                Occurrence::Job(job) => work(line, capabilities, &job).await?,
                Occurrence::TextsStored if capabilities.texts => inbox.empty(line).await?,
                // Nobody is here to talk, and the line is needed.
                Occurrence::Told(Told::Ring) => call::hang_up(line).await?,
                Occurrence::Due => break,
                _ => {}
            }
        }
    }
}

async fn work(line: &Line, capabilities: &Capabilities, job: &Job) -> Result<(), Fault> {
    line.begin(job);
    // The network may have come or gone since it was looked at.
    look(line).await?;
    let condition = line.state().condition;
    let event = match &job.what {
        What::Text(_) if !capabilities.texts => {
            Event::Text(job.id, TextEvent::Failed(TextFault::Incapable))
        }
        What::Text(_) if !condition.can_text() => {
            Event::Text(job.id, TextEvent::Failed(TextFault::NotReady(condition)))
        }
        What::Text(text) => Event::Text(job.id, text::send(line, job.id, &job.to, text).await?),
        What::Call(_) if !capabilities.calls => {
            Event::Call(job.id, CallEvent::Ended(CallEnd::Incapable))
        }
        What::Call(_) if !condition.can_call() => {
            Event::Call(job.id, CallEvent::Ended(CallEnd::NotReady(condition)))
        }
        What::Call(limits) => {
            let end = call::call(line, capabilities, job.id, &job.to, *limits).await?;
            Event::Call(job.id, CallEvent::Ended(end))
        }
    };
    line.end(event);
    Ok(())
}

/// Looks at the network: whether it is there, and how strong.
pub(super) async fn look(line: &Line) -> Result<(), Fault> {
    let reply = line.ask(Command::new("AT+CREG?")).await?;
    // Mode, then state; a few leave the mode out.
    let state = named(reply.lines(), "+CREG").next();
    let state = state.and_then(|fields| number::<u8>(&fields, 1).or_else(|| number(&fields, 0)));
    let condition = match state {
        // At home or roaming, without or with a switch to an older network for calls (3GPP TS 27.007, 7.2).
        Some(1 | 5 | 9 | 10) => Condition::Ready,
        Some(6 | 7) => Condition::TextsOnly,
        Some(3) => Condition::NetworkRefuses,
        _ => Condition::NoNetwork,
    };
    let reply = line.ask(Command::new("AT+CSQ")).await?;
    let strength = named(reply.lines(), "+CSQ")
        .next()
        .and_then(|fields| number::<i16>(&fields, 0));
    line.change(|state| {
        state.condition = condition;
        // Steps of two decibels from −113 dBm on; 99 is unknown (27.007, 8.5).
        state.signal_dbm = strength
            .filter(|it| (0..=31).contains(it))
            .map(|it| 2 * it - 113);
    });
    Ok(())
}
