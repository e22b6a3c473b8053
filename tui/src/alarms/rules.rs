//! Rules: what raises an alarm without a script, in the words in which people write them.

use super::{
    Desk,
    directory::{self, Directory, Named},
    file::Refusal,
    when, words,
};
use crate::{
    cli::{RuleOrder, RuleVerb},
    exit::Failure,
    output,
    words::plain,
};
use switchyard_client::{
    alarms::{Condition, KeptRule, Rule, Scope, Severity},
    signature::{switch, thousandths},
};

/// Lists, makes, changes and removes rules.
pub(super) async fn run(desk: &Desk, verb: RuleVerb) -> Result<(), Failure> {
    match verb {
        RuleVerb::List { output } => list(desk, output.json).await,
        RuleVerb::Add {
            name,
            text,
            when,
            order,
        } => {
            let mut rule = Rule {
                name,
                text,
                severity: Severity::Medium,
                scope: Scope::Everywhere,
                condition: read_condition(&when).at("--when".into())?,
                for_s: 0,
                over_for_s: 0,
                is_enabled: true,
            };
            let json = order.output.json;
            change(desk, &mut rule, order).await?;
            let kept = desk.alarms.add_rule(&rule).await?;
            told(&kept, json)
        }
        RuleVerb::Set {
            rule,
            rename,
            text,
            when,
            order,
        } => {
            let KeptRule { id, mut rule } = meant(desk, &rule).await?;
            rule.name = rename.unwrap_or(rule.name);
            rule.text = text.unwrap_or(rule.text);
            if let Some(when) = when {
                rule.condition = read_condition(&when).at("--when".into())?;
            }
            let json = order.output.json;
            change(desk, &mut rule, order).await?;
            let kept = desk.alarms.set_rule(id, &rule).await?;
            told(&kept, json)
        }
        RuleVerb::Remove { rule } => {
            let kept = meant(desk, &rule).await?;
            desk.alarms.remove_rule(kept.id).await?;
            Ok(output::line(format!(
                "{} is no rule any more",
                plain(&kept.rule.name)
            ))?)
        }
    }
}

async fn meant(desk: &Desk, rule: &str) -> Result<KeptRule, Failure> {
    let mut rules = desk.alarms.rules().await?;
    let known = rules.iter().map(|it| (it.id, it.rule.name.as_str()));
    let place = directory::find("a rule", &Named::from(rule), known)?;
    Ok(rules.swap_remove(place))
}

fn told(kept: &KeptRule, json: bool) -> Result<(), Failure> {
    match json {
        true => output::line(output::json(kept))?,
        false => {
            let condition = words::condition(&kept.rule.condition);
            output::line(format!(
                "rule {}  {}: {condition}",
                kept.id,
                plain(&kept.rule.name)
            ))?;
        }
    }
    Ok(())
}

async fn list(desk: &Desk, json: bool) -> Result<(), Failure> {
    let rules = desk.alarms.rules().await?;
    if json {
        for rule in &rules {
            output::line(output::json(rule))?;
        }
        return Ok(());
    }
    if rules.is_empty() {
        return Ok(output::line(
            "No rules yet. `switchyard alarm-rule add NAME --text TEXT --when CONDITION` makes one.",
        )?);
    }
    let directory = Directory {
        sites: desk.alarms.sites().await?,
        ..Directory::default()
    };
    for KeptRule { id, rule } in &rules {
        let mut lasting = String::new();
        if rule.for_s > 0 {
            lasting.push_str(&format!(" for {}", when::write_span_s(rule.for_s)));
        }
        if rule.over_for_s > 0 {
            lasting.push_str(&format!(
                ", over for {}",
                when::write_span_s(rule.over_for_s)
            ));
        }
        let off = if rule.is_enabled { "" } else { "  (disabled)" };
        output::line(format!(
            "{id:>5}  {:<6}  {}: {}{lasting}  [{}]  “{}”{off}",
            rule.severity,
            plain(&rule.name),
            words::condition(&rule.condition),
            words::scope(&rule.scope, &directory),
            plain(&rule.text),
        ))?;
    }
    Ok(())
}

async fn change(desk: &Desk, rule: &mut Rule, order: RuleOrder) -> Result<(), Failure> {
    if let Some(severity) = order.severity {
        rule.severity = severity;
    }
    if let Some(site) = &order.site {
        let directory = Directory {
            sites: desk.alarms.sites().await?,
            ..Directory::default()
        };
        rule.scope = Scope::Site(directory.site(site)?);
    } else if let Some(tag) = order.tag {
        rule.scope = Scope::Tag(tag);
    } else if !order.controllers.is_empty() {
        rule.scope = Scope::Controllers(order.controllers);
    } else if order.everywhere {
        rule.scope = Scope::Everywhere;
    }
    if let Some(lasting) = &order.lasting {
        rule.for_s = when::read_span_s(lasting).at("--for".into())?;
    }
    if let Some(over_for) = &order.over_for {
        rule.over_for_s = when::read_span_s(over_for).at("--over-for".into())?;
    }
    if order.enable || order.disable {
        rule.is_enabled = order.enable;
    }
    Ok(())
}

/// A condition in words: `level above 80 clear 70`, `door is on`, `level rises 10 within 5m`, `level bad`, `silent`. Numbers
/// become thousandths, and `on` and `off` 1 and 0, as they are on the wire.
fn read_condition(text: &str) -> Result<Condition, String> {
    let wrong = || {
        format!(
            "expected a condition such as \"level above 80 clear 70\", \"door is on\", \"level rises 10 within 5m\", \
             \"level bad\" or \"silent\" and found {text:?}"
        )
    };
    let number = |text: &str| {
        thousandths(text).ok_or_else(|| {
            format!("expected a number with at most three decimals and found {text:?}")
        })
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let (point, kind, rest) = match &words[..] {
        ["silent"] => {
            return Ok(Condition {
                kind: "silent".into(),
                ..Condition::default()
            });
        }
        [point, "is", "bad"] => (point, "bad", &[][..]),
        [point, kind, rest @ ..] => (point, *kind, rest),
        _ => return Err(wrong()),
    };
    let mut condition = Condition {
        kind: kind.to_owned(),
        point: Some((*point).to_owned()),
        ..Condition::default()
    };
    match (kind, rest) {
        ("above" | "below", [limit]) => {
            condition.limit = Some(number(limit)?);
            condition.clear = condition.limit;
        }
        ("above" | "below", [limit, "clear", clear]) => {
            condition.limit = Some(number(limit)?);
            condition.clear = Some(number(clear)?);
        }
        ("is", [value]) => {
            // A bare 1 is a number, one whole of something; a switch is on or off.
            let is_number = value.starts_with(|it: char| it.is_ascii_digit() || it == '-');
            condition.value = Some(match switch(value) {
                Some(value_on_wire) if !is_number => value_on_wire,
                _ => number(value)?,
            });
        }
        ("rises" | "falls", [by, "within", span]) => {
            condition.by = Some(number(by)?);
            condition.within_s = Some(when::read_span_s(span)?);
        }
        ("bad", []) => {}
        _ => return Err(wrong()),
    }
    Ok(condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_are_read_as_they_are_written() {
        for (text, expected) in [
            (
                "level above 80 clear 70.5",
                json!({ "kind": "above", "point": "level", "limit": 80_000, "clear": 70_500 }),
            ),
            (
                "level below -5",
                json!({ "kind": "below", "point": "level", "limit": -5_000, "clear": -5_000 }),
            ),
            (
                "door is on",
                json!({ "kind": "is", "point": "door", "value": 1 }),
            ),
            (
                "door is off",
                json!({ "kind": "is", "point": "door", "value": 0 }),
            ),
            (
                "mode is 3",
                json!({ "kind": "is", "point": "mode", "value": 3_000 }),
            ),
            (
                "level rises 10 within 5m",
                json!({ "kind": "rises", "point": "level", "by": 10_000, "within_s": 300 }),
            ),
            (
                "level falls 0.5 within 90s",
                json!({ "kind": "falls", "point": "level", "by": 500, "within_s": 90 }),
            ),
            ("level bad", json!({ "kind": "bad", "point": "level" })),
            ("silent", json!({ "kind": "silent" })),
        ] {
            let read = read_condition(text).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), expected, "{text}");
            assert_eq!(words::condition(&read), text);
        }
        assert_eq!(read_condition("mode is 1").unwrap().value, Some(1_000));
        for text in [
            "",
            "level",
            "level above",
            "level above high",
            "level above 80 clear",
            "level above 1.2345",
            "level rises 10",
            "level rises 10 within soon",
            "door is open",
            "level bad 3",
            "silent 3",
            "level hovers 3",
        ] {
            assert!(read_condition(text).is_err(), "{text}");
        }
    }
}
