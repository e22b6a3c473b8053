//! Reads what a service is to do in a call (TwiML), as strictly as the service itself: of anything else nothing is done,
//! and whoever has taken the call hears that something is broken.

use anyhow::{Context as _, Result, bail, ensure};

/// The largest document.
const BYTES_MAX: usize = 64 * 1024;
/// The longest text that is spoken at once.
const LETTERS_MAX: usize = 4_096;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Speaks.
    Say {
        /// In which language.
        language: String,
        /// What.
        text: String,
    },
    /// Says nothing for so many seconds.
    Pause(u32),
    /// Waits for keys while it does what is inside, and a while longer.
    Gather {
        /// So many keys.
        digits: usize,
        /// This one is the last, wherever it comes.
        last: Option<char>,
        /// Seconds to wait behind all of it, and behind each key.
        wait_seconds: u32,
        /// Where the keys are told.
        action: String,
        /// What is done meanwhile.
        inside: Vec<Verb>,
    },
    /// Goes on as is said there.
    Redirect(String),
    /// Hangs up.
    Hangup,
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it.
pub fn read(document: &str) -> Result<Vec<Verb>> {
    ensure!(
        document.len() <= BYTES_MAX,
        "expected at most 64 KiB of TwiML"
    );
    let mut reader = Reader(document);
    reader.declaration()?;
    let root = reader.open()?.context("expected <Response>")?;
    ensure!(root.name == "Response", "expected <Response>");
    root.only(&[])?;
    let verbs = match root.is_empty {
        true => Vec::new(),
        false => reader.verbs("Response", true)?,
    };
    ensure!(
        reader.0.trim().is_empty(),
        "expected nothing behind </Response>"
    );
    Ok(verbs)
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    is_empty: bool,
}

impl Tag {
    fn only(&self, known: &[&str]) -> Result<()> {
        for (name, _) in &self.attributes {
            ensure!(
                known.contains(&name.as_str()),
                "<{}> has no attribute {name}",
                self.name
            );
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, usual: u32) -> Result<u32> {
        let value = self.get(name).map(str::parse).transpose();
        let value = value.with_context(|| format!("expected a number as {name}"))?;
        Ok(value.unwrap_or(usual))
    }

    fn posts(&self) -> Result<()> {
        let method = self.get("method").unwrap_or("POST");
        ensure!(
            method == "POST",
            "expected the method POST, and found {method}"
        );
        Ok(())
    }
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn declaration(&mut self) -> Result<()> {
        let rest = self
            .0
            .strip_prefix("<?xml ")
            .context("expected <?xml …?>")?;
        let (head, rest) = rest.split_once("?>").context("expected ?>")?;
        ensure!(
            head.contains("version=\"1.0\"") && head.contains("encoding=\"UTF-8\""),
            "expected XML 1.0 in UTF-8"
        );
        self.0 = rest;
        Ok(())
    }

    /// The tag that comes next; none where one ends.
    fn open(&mut self) -> Result<Option<Tag>> {
        self.0 = self.0.trim_start();
        if self.0.starts_with("</") {
            return Ok(None);
        }
        let rest = self.0.strip_prefix('<').context("expected a tag")?;
        let (head, rest) = rest.split_once('>').context("expected >")?;
        self.0 = rest;
        let (head, is_empty) = match head.strip_suffix('/') {
            Some(head) => (head, true),
            None => (head, false),
        };
        let name_ends = head.find(char::is_whitespace).unwrap_or(head.len());
        let (name, mut rest) = head.split_at(name_ends);
        let mut attributes: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let (name, value) = rest.split_once("=\"").context("expected NAME=\"…\"")?;
            let (value, behind) = value.split_once('"').context("expected \"")?;
            ensure!(
                !attributes.iter().any(|(it, _)| it == name),
                "{name} stands there twice"
            );
            attributes.push((name.to_owned(), plain(value)?));
            rest = behind;
        }
        Ok(Some(Tag {
            name: name.to_owned(),
            attributes,
            is_empty,
        }))
    }

    fn close(&mut self, name: &str) -> Result<()> {
        let end = format!("</{name}>");
        self.0 = self
            .0
            .strip_prefix(end.as_str())
            .with_context(|| format!("expected {end}"))?;
        Ok(())
    }

    fn text(&mut self, name: &str) -> Result<String> {
        let end = self.0.find('<').context("expected the end of a text")?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        self.close(name)?;
        plain(text)
    }

    fn verbs(&mut self, outer: &str, is_top: bool) -> Result<Vec<Verb>> {
        let mut verbs = Vec::new();
        while let Some(tag) = self.open()? {
            verbs.push(self.verb(&tag, is_top)?);
        }
        self.close(outer)?;
        Ok(verbs)
    }

    fn verb(&mut self, tag: &Tag, is_top: bool) -> Result<Verb> {
        Ok(match (tag.name.as_str(), is_top) {
            ("Say", _) => {
                tag.only(&["language", "voice", "loop"])?;
                ensure!(!tag.is_empty, "expected a text in <Say>");
                let text = self.text("Say")?;
                let letters = text.chars().count();
                ensure!(
                    (1..=LETTERS_MAX).contains(&letters),
                    "expected 1 to 4096 letters in <Say>"
                );
                let language = tag.get("language").unwrap_or("en-US").to_owned();
                ensure!(
                    ["en-US", "en-GB", "zh-CN"].contains(&language.as_str()),
                    "nothing speaks {language}"
                );
                Verb::Say { language, text }
            }
            ("Pause", _) => {
                tag.only(&["length"])?;
                ensure!(tag.is_empty, "expected nothing in <Pause>");
                Verb::Pause(tag.number("length", 1)?)
            }
            ("Gather", true) => self.gather(tag)?,
            ("Redirect", true) => {
                tag.only(&["method"])?;
                tag.posts()?;
                ensure!(!tag.is_empty, "expected a URL in <Redirect>");
                Verb::Redirect(self.text("Redirect")?)
            }
            ("Hangup", true) => {
                tag.only(&[])?;
                ensure!(tag.is_empty, "expected nothing in <Hangup>");
                Verb::Hangup
            }
            (name, _) => bail!("<{name}> is not expected here"),
        })
    }

    fn gather(&mut self, tag: &Tag) -> Result<Verb> {
        tag.only(&[
            "input",
            "numDigits",
            "finishOnKey",
            "timeout",
            "method",
            "action",
            "actionOnEmptyResult",
        ])?;
        tag.posts()?;
        let input = tag.get("input").unwrap_or("dtmf");
        ensure!(input == "dtmf", "nothing hears {input}");
        let digits = tag.number("numDigits", 255)? as usize;
        ensure!((1..=255).contains(&digits), "expected 1 to 255 keys");
        let last = tag.get("finishOnKey").unwrap_or("#");
        ensure!(
            last.len() <= 1
                && last
                    .chars()
                    .all(|it| it.is_ascii_digit() || "*#".contains(it)),
            "expected a key as finishOnKey, and found {last}"
        );
        let action = tag.get("action").unwrap_or_default();
        ensure!(!action.is_empty(), "expected an action of <Gather>");
        Ok(Verb::Gather {
            digits,
            last: last.chars().next(),
            wait_seconds: tag.number("timeout", 5)?,
            action: action.to_owned(),
            inside: match tag.is_empty {
                true => Vec::new(),
                false => self.verbs("Gather", false)?,
            },
        })
    }
}

/// What stands for a letter becomes it.
fn plain(text: &str) -> Result<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let (name, behind) = rest[at + 1..].split_once(';').context("expected &…;")?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" | "#39" => '\'',
            other => bail!("&{other}; stands for nothing"),
        });
        rest = behind;
    }
    plain.push_str(rest);
    ensure!(
        !plain.contains(|it: char| it.is_control() && !"\t\r\n".contains(it)),
        "XML has no control characters"
    );
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(inner: &str) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{inner}</Response>")
    }

    #[test]
    fn what_a_service_does_is_read() {
        let text = document(
            "<Gather input=\"dtmf\" numDigits=\"4\" timeout=\"8\" method=\"POST\" action=\"https://a/b?c=1&amp;d=2\">\
             <Say language=\"en-GB\">Pump &lt;1&gt; &amp; 2</Say><Pause length=\"1\"/></Gather>\
             <Redirect method=\"POST\">https://a/e</Redirect><Hangup/>",
        );
        let say = Verb::Say {
            language: "en-GB".into(),
            text: "Pump <1> & 2".into(),
        };
        let gather = Verb::Gather {
            digits: 4,
            last: Some('#'),
            wait_seconds: 8,
            action: "https://a/b?c=1&d=2".into(),
            inside: vec![say, Verb::Pause(1)],
        };
        let redirect = Verb::Redirect("https://a/e".into());
        assert_eq!(read(&text).unwrap(), [gather, redirect, Verb::Hangup]);
        assert_eq!(read(&document("")).unwrap(), []);
    }

    #[test]
    fn what_a_service_refuses_is_refused() {
        for inner in [
            "<Say>a & b</Say>",
            "<Say>a</Say",
            "<Say></Say>",
            "<Say tone=\"high\">a</Say>",
            "<say>a</say>",
            "<Gather action=\"a\"><Hangup/></Gather>",
            "<Gather action=\"a\"><Gather action=\"b\"/></Gather>",
            "<Gather action=\"a\" numDigits=\"0\"/>",
            "<Gather action=\"a\" action=\"b\"/>",
            "<Gather/>",
            "<Redirect method=\"GET\">a</Redirect>",
            "text",
            "</Response><Response>",
            "<Say>a\u{7}</Say>",
        ] {
            assert!(read(&document(inner)).is_err(), "{inner}");
        }
        assert!(read("<Response></Response>").is_err());
        assert!(read(&document(&format!("<Say>{}</Say>", "a".repeat(5_000)))).is_err());
    }
}
