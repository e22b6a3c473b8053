//! The commands about what is inside a controller: forces, parameters, values, log, health, script.

use crate::{
    cli::{FirmwareVerb, ScriptVerb, Verb},
    commands::{Link, Names, send, set_value},
    exit::{Exit, Failure},
    output, words,
};
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use switchyard_client::{Error, Order, signature::ArgumentType};
use switchyard_protocol::{
    Address, Code,
    message::{
        Action, Content, FirmwareState, GapCause, Health, LogEntry, Name, Parameter, ResetReason,
        ScriptFault,
    },
};

/// Runs one of these commands.
pub(crate) async fn run(link: &Link, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Force {
            address,
            name,
            value,
            duration,
            output,
        } => force(link, address, name, value, duration, output.json).await,
        Verb::Release {
            address,
            name,
            output,
        } => release(link, address, name, output.json).await,
        Verb::Adjust {
            address,
            name,
            value,
            timeout,
            output,
        } => {
            let action = adjustment(link, address, name, &value).await?;
            send(link, Order::new(address, action, timeout), output.json).await
        }
        Verb::Params { address, output } => parameters(link, address, output.json).await,
        Verb::Values { address, output } => values(link, address, output.json).await,
        Verb::Log {
            address,
            count,
            output,
        } => log(link, address, count, output.json).await,
        Verb::Health { address, output } => health(link, address, output.json).await,
        Verb::Script { verb } => script(link, verb).await,
        Verb::Firmware {
            verb:
                FirmwareVerb::Put {
                    address,
                    files,
                    no_restart,
                    output,
                },
        } => put_firmware(link, address, &files, no_restart, output.json).await,
        Verb::Recording {
            address,
            file,
            output,
        } => recording(link, address, &file, output.json).await,
        Verb::Restart { address, output } => {
            let restarted = link.client.restart(address).await;
            restarted.map_err(|error| Failure::about(error, address))?;
            done(
                address,
                output.json,
                json!({}),
                format!("No. {address} restarts"),
            )
        }
        _ => Err(Failure::usage(
            "expected a command about a controller's inside",
        )),
    }
}

/// Says that a wish was carried out.
fn done(address: Address, json: bool, fields: Value, text: String) -> Result<(), Failure> {
    if !json {
        return Ok(output::line(text)?);
    }
    let mut told = json!({ "address": address.0 });
    if let (Some(told), Value::Object(fields)) = (told.as_object_mut(), fields) {
        told.extend(fields);
    }
    Ok(output::line(told)?)
}

async fn force(
    link: &Link,
    address: Address,
    name: Name,
    value: String,
    duration: Duration,
    json: bool,
) -> Result<(), Failure> {
    let fleet = link.controller(address).await?;
    let point = fleet
        .controller(address)
        .and_then(|controller| controller.point(&name))
        .filter(|point| point.point_type.is_output());
    let Some(point) = point else {
        return Err(Failure::usage(format!(
            "expected an output of No. {address} and found {name}; \
             `switchyard watch {address}` shows what it has"
        )));
    };
    let value = set_value(point, &[value])?;
    let forced = link.client.force(address, name.clone(), value, duration);
    forced
        .await
        .map_err(|error| Failure::about(error, address))?;
    let shown = words::value(point.point_type, value);
    let duration_ms = duration.as_millis() as u64;
    let fields = json!({ "forced": name.as_str(), "value": value, "duration_ms": duration_ms });
    let span = ArgumentType::Time.show(duration_ms as i64);
    done(
        address,
        json,
        fields,
        format!("{name} is held at {shown} for {span}"),
    )
}

async fn release(link: &Link, address: Address, name: Name, json: bool) -> Result<(), Failure> {
    let released = link.client.release(address, name.clone()).await;
    released.map_err(|error| Failure::about(error, address))?;
    let fields = json!({ "released": name.as_str() });
    done(address, json, fields, format!("{name} is held no more"))
}

/// What `adjust N NAME VALUE` means, by the parameter's type.
async fn adjustment(
    link: &Link,
    address: Address,
    name: Name,
    value: &str,
) -> Result<Action, Failure> {
    let known = link.client.parameters(address).await;
    let known = known.map_err(|error| Failure::about(error, address))?;
    let Some(parameter) = known.iter().find(|it| it.name == name) else {
        let has: Vec<_> = known.iter().map(|it| it.name.as_str()).collect();
        let has = if has.is_empty() {
            "none".into()
        } else {
            has.join(", ")
        };
        return Err(Failure::usage(format!(
            "expected a parameter of No. {address} and found {name}; it has {has}"
        )));
    };
    let kind = ArgumentType::from(parameter.value_type);
    let value = kind
        .read(value)
        .map_err(|error| Failure::usage(error.to_string()))?;
    if !(parameter.min..=parameter.max).contains(&value) {
        let range = range_of(parameter);
        return Err(Failure::usage(format!("expected {name} within {range}")));
    }
    Ok(Action::Adjust {
        parameter: name,
        value,
    })
}

fn range_of(parameter: &Parameter) -> String {
    let kind = ArgumentType::from(parameter.value_type);
    format!("{}..{}", kind.show(parameter.min), kind.show(parameter.max))
}

async fn parameters(link: &Link, address: Address, json: bool) -> Result<(), Failure> {
    let found = link.client.parameters(address).await;
    let found = found.map_err(|error| Failure::about(error, address))?;
    if !json && found.is_empty() {
        return Ok(output::line("no parameters")?);
    }
    for it in &found {
        if json {
            output::line(json!({
                "name": it.name.as_str(),
                "type": it.value_type.name(),
                "value": it.value,
                "min": it.min,
                "max": it.max,
            }))?;
            continue;
        }
        let kind = ArgumentType::from(it.value_type);
        let (value, range) = (kind.show(it.value), range_of(it));
        output::line(format!(
            "{:<24}  {:<4}  {value:>14}  in {range}",
            it.name,
            kind.name()
        ))?;
    }
    Ok(())
}

async fn values(link: &Link, address: Address, json: bool) -> Result<(), Failure> {
    let found = link.client.values(address).await;
    for it in found.map_err(|error| Failure::about(error, address))? {
        if json {
            output::line(json!({
                "name": it.name.as_str(),
                "type": it.value_type.name(),
                "value": it.value,
            }))?;
            continue;
        }
        let kind = ArgumentType::from(it.value_type);
        let value = kind.show(it.value);
        output::line(format!("{:<24}  {:<4}  {value:>14}", it.name, kind.name()))?;
    }
    Ok(())
}

async fn log(link: &Link, address: Address, count: usize, json: bool) -> Result<(), Failure> {
    let fleet = link.controller(address).await?;
    let points = fleet.controller(address).map_or(&[][..], |it| it.points());
    let mut names = Names::new(link);
    let (mut before, mut left) = (None, count);
    while left > 0 {
        let entries = link.client.log(address, before).await;
        let entries = entries.map_err(|error| Failure::about(error, address))?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        if before.is_some_and(|before| last.number >= before) {
            // It does not go back; more of the same would never end.
            return Err(Error::UnexpectedAnswer { asked: "log" }.into());
        }
        before = Some(last.number);
        for entry in entries.iter().take(left) {
            if json {
                output::line(log_entry(entry))?;
                continue;
            }
            let point = points
                .iter()
                .find(|it| it.name.as_str() == entry.about.as_str());
            let value = entry.value.map(|value| match point {
                Some(point) => words::value(point.point_type, value),
                None => value.to_string(),
            });
            let at = entry
                .time
                .map_or_else(|| format!("{} ms", entry.uptime_ms), words::moment);
            let cause = names.cause(&entry.cause).await;
            let (about, value) = (
                words::plain(entry.about.as_str()),
                value.unwrap_or_default(),
            );
            output::line(format!("{at:>26}  {about:<12} {value:>10}  {cause}"))?;
        }
        left = left.saturating_sub(entries.len());
    }
    Ok(())
}

fn log_entry(entry: &LogEntry) -> Value {
    json!({
        "number": entry.number,
        "time": entry.time.map(|time| time.0),
        "uptime_ms": entry.uptime_ms,
        "about": entry.about.as_str(),
        "value": entry.value,
        "cause": output::cause(&entry.cause),
    })
}

async fn health(link: &Link, address: Address, json: bool) -> Result<(), Failure> {
    let health = link.client.health(address).await;
    let health = health.map_err(|error| Failure::about(error, address))?;
    if json {
        return Ok(output::line(health_fields(&health))?);
    }
    let (scan, script) = (&health.scan, &health.script);
    let uptime = words::span(Duration::from_millis(health.uptime_ms));
    let reset = match health.reset {
        ResetReason::Later(number) => format!("reason {number}"),
        known => known.name().to_owned(),
    };
    output::line(format!("up      {uptime}, after a restart by {reset}"))?;
    if let Some(free) = health.free_bytes {
        output::line(format!("memory  {free} bytes free"))?;
    }
    let gap_cause = match scan.gap_cause {
        GapCause::Later(number) => format!("cause {number}"),
        known => known.name().to_owned(),
    };
    output::line(format!(
        "scans   {} late, longest gap {} ms ({gap_cause}), {} us at most",
        scan.late, scan.longest_gap_ms, scan.cost_us
    ))?;
    let title = script
        .title
        .as_ref()
        .map(|title| format!("{title}, "))
        .unwrap_or_default();
    let state = script.state.name().replace('_', " ");
    let left = script.trial_left_ms.map(|left| {
        let span = words::span(Duration::from_millis(left.into()));
        format!(" for {span} more")
    });
    let left = left.unwrap_or_default();
    output::line(format!(
        "script  {title}{state}{left}, {} faults",
        script.faults
    ))?;
    if let Some(firmware) = &health.firmware {
        let state = match firmware.state {
            FirmwareState::Settled => String::new(),
            FirmwareState::Waiting => ", another one waits for a restart".to_owned(),
            FirmwareState::OnTrial => ", on trial".to_owned(),
            FirmwareState::FellBack => ", fell back from the one tried last".to_owned(),
            FirmwareState::Later(number) => format!(", state {number}"),
            _ => format!(", {}", firmware.state.name()),
        };
        output::line(format!(
            "image   {} {} in slot {}{state}",
            firmware.profile, firmware.version, firmware.slot
        ))?;
    }
    Ok(())
}

fn health_fields(health: &Health) -> Value {
    let (scan, script) = (&health.scan, &health.script);
    json!({
        "uptime_ms": health.uptime_ms,
        "boot": health.boot,
        "reset": health.reset.name(),
        "free_bytes": health.free_bytes,
        "late_scans": scan.late,
        "longest_gap_ms": scan.longest_gap_ms,
        "gap_cause": scan.gap_cause.name(),
        "scan_cost_us": scan.cost_us,
        "script": {
            "state": script.state.name(),
            "trial_left_ms": script.trial_left_ms,
            "title": script.title.as_ref().map(|title| title.as_str()),
            "digest": script.digest.map(|it| it.iter().map(|it| format!("{it:02x}")).collect::<String>()),
            "faults": script.faults,
        },
        "firmware": health.firmware.as_ref().map(|firmware| json!({
            "state": firmware.state.name(),
            "slot": firmware.slot,
            "version": firmware.version.to_string(),
            "profile": firmware.profile.as_str(),
        })),
    })
}

async fn script(link: &Link, verb: ScriptVerb) -> Result<(), Failure> {
    match verb {
        ScriptVerb::Get {
            address,
            file,
            output,
        } => get(link, address, file.as_deref(), output.json).await,
        ScriptVerb::Put {
            address,
            file,
            keep,
            output,
        } => put(link, address, &file, keep, output.json).await,
        ScriptVerb::Keep { address, output } => end_trial(link, address, true, output.json).await,
        ScriptVerb::Revert { address, output } => {
            end_trial(link, address, false, output.json).await
        }
    }
}

async fn get(
    link: &Link,
    address: Address,
    file: Option<&Path>,
    json: bool,
) -> Result<(), Failure> {
    let source = link.client.read(address, Content::Script).await;
    let source = source.map_err(|error| Failure::about(error, address))?;
    if source.is_empty() {
        return Err(Failure::new(
            Exit::Refused,
            format!("No. {address} keeps no script"),
        ));
    }
    if let Some(file) = file {
        let shown = file.display();
        std::fs::write(file, &source).with_context(|| format!("writing {shown}"))?;
        let fields = json!({ "file": shown.to_string(), "bytes": source.len() });
        return done(
            address,
            json,
            fields,
            format!("{} bytes in {shown}", source.len()),
        );
    }
    if json {
        let fields = json!({ "script": String::from_utf8_lossy(&source) });
        return done(address, json, fields, String::new());
    }
    if io::stdout().is_terminal() {
        for line in String::from_utf8_lossy(&source).lines() {
            output::line(words::plain(&line.replace('\t', "    ")))?;
        }
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(&source)?;
    Ok(out.flush()?)
}

async fn recording(link: &Link, address: Address, file: &Path, json: bool) -> Result<(), Failure> {
    let recording = link.client.read(address, Content::Recording).await;
    let recording = recording.map_err(|error| Failure::about(error, address))?;
    if recording.is_empty() {
        return Err(Failure::new(
            Exit::Refused,
            format!("No. {address} has no recording: nothing has gone wrong yet"),
        ));
    }
    let shown = file.display();
    std::fs::write(file, &recording).with_context(|| format!("writing {shown}"))?;
    let fields = json!({ "file": shown.to_string(), "bytes": recording.len() });
    let text = format!("{} bytes in {shown}", recording.len());
    done(address, json, fields, text)
}

/// Sends the first of the files that the controller wants: each is for one slot.
async fn put_firmware(
    link: &Link,
    address: Address,
    files: &[PathBuf],
    no_restart: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut refusal = Failure::usage("expected a file".to_owned());
    for file in files {
        let shown = file.display();
        let release = std::fs::read(file).with_context(|| format!("reading {shown}"))?;
        match link.client.offer_firmware(address, &release).await {
            Ok(()) => {}
            Err(
                error @ Error::Refused {
                    code: Code::OutOfRange,
                    ..
                },
            ) => {
                refusal = Failure::about(error, address);
                continue;
            }
            Err(error) => return Err(Failure::about(error, address)),
        }
        let mut progress = Progress::new(release.len());
        let sent = link
            .client
            .send_firmware(address, &release, &mut |bytes| progress.show(bytes))
            .await;
        progress.end();
        sent.map_err(|error| Failure::about(error, address))?;
        if !no_restart {
            let restarted = link.client.restart(address).await;
            restarted.map_err(|error| Failure::about(error, address))?;
        }
        let fields = json!({
            "file": shown.to_string(),
            "bytes": release.len(),
            "restarted": !no_restart,
        });
        let text = match no_restart {
            true => format!("No. {address} has {shown}, and tries it once it restarts"),
            false => format!("No. {address} has {shown}, and restarts to try it"),
        };
        return done(address, json, fields, text);
    }
    Err(refusal)
}

/// How far something long is, on a terminal alone.
struct Progress {
    whole: usize,
    percent: usize,
    is_shown: bool,
}

impl Progress {
    fn new(whole: usize) -> Self {
        let is_shown = io::stderr().is_terminal();
        Self {
            whole: whole.max(1),
            percent: 0,
            is_shown,
        }
    }

    fn show(&mut self, bytes: usize) {
        let percent = bytes.min(self.whole) * 100 / self.whole;
        if self.is_shown && percent != self.percent {
            self.percent = percent;
            // A terminal that is gone is no reason to stop.
            let _ = write!(io::stderr(), "\r{percent:3} % of {} bytes", self.whole);
        }
    }

    fn end(&mut self) {
        if self.percent > 0 {
            let _ = writeln!(io::stderr());
        }
    }
}

async fn put(
    link: &Link,
    address: Address,
    file: &Path,
    keep: bool,
    json: bool,
) -> Result<(), Failure> {
    let shown = file.display();
    let source = std::fs::read(file).with_context(|| format!("reading {shown}"))?;
    match link
        .client
        .write(address, Content::Script, &source, keep)
        .await
    {
        Ok(()) => {}
        Err(Error::NotCompiled { fault }) => {
            if json {
                let fault = json!({
                    "line": fault.line,
                    "column": fault.column,
                    "expected": fault.expected.as_str(),
                    "fix": fault.fix.as_ref().map(|text| text.as_str()),
                    "other_line": fault.other_line,
                });
                output::line(json!({ "address": address.0, "fault": fault }))?;
            }
            let told = tell_fault(&shown.to_string(), &source, &fault);
            return Err(Failure::new(Exit::Refused, told));
        }
        Err(error) => return Err(Failure::about(error, address)),
    }
    let fields = json!({ "bytes": source.len(), "kept": keep });
    let text = match keep {
        true => format!("No. {address} runs {shown}"),
        false => format!(
            "No. {address} runs {shown} on trial; `switchyard script keep {address}` keeps it"
        ),
    };
    done(address, json, fields, text)
}

/// A fault with its line and a caret below the place.
fn tell_fault(file: &str, source: &[u8], fault: &ScriptFault) -> String {
    let (number, column) = (fault.line, fault.column);
    let expected = words::plain(fault.expected.as_str());
    let mut told = format!("{file}:{number}:{column}: expected {expected}");
    let line = source
        .split(|&byte| byte == b'\n')
        .nth(number.saturating_sub(1) as usize);
    if let Some(line) = line {
        let before = &line[..line.len().min(column.saturating_sub(1) as usize)];
        // As wide as what stands before it; a tab is one column of ours, too.
        let text = |bytes| words::plain(&String::from_utf8_lossy(bytes).replace('\t', " "));
        let indent = " ".repeat(text(before).chars().count());
        let margin = " ".repeat(number.to_string().len());
        let line = text(line.strip_suffix(b"\r").unwrap_or(line));
        told.push_str(&format!("\n {number} | {line}\n {margin} | {indent}^"));
    }
    if let Some(other) = fault.other_line {
        told.push_str(&format!("\n see line {other}"));
    }
    if let Some(fix) = &fault.fix {
        told.push_str(&format!("\n {}", words::plain(fix.as_str())));
    }
    told
}

async fn end_trial(link: &Link, address: Address, keep: bool, json: bool) -> Result<(), Failure> {
    let ended = link.client.end_trial(address, keep).await;
    ended.map_err(|error| Failure::about(error, address))?;
    let text = match keep {
        true => format!("No. {address} keeps the script"),
        false => format!("No. {address} runs the script before"),
    };
    done(address, json, json!({ "kept": keep }), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::message::Text;

    #[test]
    fn a_fault_is_shown_at_its_place() {
        let source = "in a = DI1\nevent \"ü\"\ta, 1 when a\r\n".as_bytes();
        let mut fault = ScriptFault {
            line: 2,
            column: 15,
            expected: Text::cut("a name, or `when`"),
            fix: Some(Text::cut("give the value a name")),
            other_line: Some(1),
        };
        assert_eq!(
            tell_fault("x.script", source, &fault),
            "x.script:2:15: expected a name, or `when`\n \
             2 | event \"ü\" a, 1 when a\n   |              ^\n \
             see line 1\n give the value a name"
        );
        // Wherever the controller says it is, nothing breaks.
        for (line, column) in [(0, 0), (2, 0), (2, 9_999), (9_999, 1), (u32::MAX, u32::MAX)] {
            (fault.line, fault.column) = (line, column);
            tell_fault("x.script", source, &fault);
        }
    }
}
