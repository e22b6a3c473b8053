//! Comma-separated values as RFC 4180 has them, made so that no spreadsheet takes a text for a formula.

/// What makes a spreadsheet compute a cell instead of showing it, and the sign by which that is prevented.
const GUARDED: [char; 7] = ['=', '+', '-', '@', '\t', '\r', GUARD];
const GUARD: char = '\'';

/// A line, its end included.
pub(super) fn line(fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|it| field(it)).collect();
    fields.join(",") + "\r\n"
}

fn field(text: &str) -> String {
    let mut text = text.to_owned();
    if text.starts_with(GUARDED) {
        text.insert(0, GUARD);
    }
    let is_quoted = text.contains([',', '"', '\r', '\n', '\t', GUARD, ';'])
        || text.starts_with(' ')
        || text.ends_with(' ');
    if is_quoted {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// The rows of a file with the lines that they begin on; or the line on which quotes are not in pairs.
pub(super) fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let mut rows = Vec::new();
    let (mut line, mut start) = (1, 1);
    let mut row = Vec::new();
    let mut characters = text.chars().peekable();
    while characters.peek().is_some() {
        let mut field = String::new();
        let is_quoted = characters.next_if_eq(&'"').is_some();
        if is_quoted {
            loop {
                match characters.next() {
                    Some('"') if characters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(other) => {
                        line += usize::from(other == '\n');
                        field.push(other);
                    }
                    None => return Err(start),
                }
            }
        }
        while let Some(other) = characters.next_if(|it| !matches!(it, ',' | '\r' | '\n')) {
            // Nothing stands behind the end of a quoted field, and no quote within another one.
            if other == '"' || is_quoted {
                return Err(start);
            }
            field.push(other);
        }
        row.push(unguarded(field));
        match characters.next() {
            Some(',') => {
                if characters.peek().is_none() {
                    row.push(String::new());
                }
                continue;
            }
            Some('\r') => _ = characters.next_if_eq(&'\n'),
            _ => {}
        }
        let row = std::mem::take(&mut row);
        // A line without anything is none.
        if row != [""] {
            rows.push((start, row));
        }
        line += 1;
        start = line;
    }
    if !row.is_empty() {
        rows.push((start, row));
    }
    Ok(rows)
}

fn unguarded(field: String) -> String {
    match field.strip_prefix(GUARD) {
        Some(rest) if rest.starts_with(GUARDED) => rest.to_owned(),
        _ => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_special_is_quoted_or_guarded() {
        for (text, written) in [
            ("Pump 7", "Pump 7"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@a", "\"'@a\""),
            ("\t=1", "\"'\t=1\""),
            ("'=1", "\"''=1\""),
            ("a=1", "a=1"),
            (" a", "\" a\""),
        ] {
            assert_eq!(field(text), written, "{text:?}");
        }
    }

    #[test]
    fn rows_are_read_as_others_write_them() {
        let read = |text: &str| rows(text).unwrap();
        let row = |line, fields: &[&str]| {
            (
                line,
                fields.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(read(""), []);
        assert_eq!(read("a,b\nc,d"), [row(1, &["a", "b"]), row(2, &["c", "d"])]);
        assert_eq!(
            read("a,\r\n\r\n,b\r\n"),
            [row(1, &["a", ""]), row(3, &["", "b"])]
        );
        assert_eq!(
            read("\"x\ny\",b\nc,d\n"),
            [row(1, &["x\ny", "b"]), row(3, &["c", "d"])]
        );
        assert_eq!(read("a,"), [row(1, &["a", ""])]);
        assert_eq!(rows("a\n\"b"), Err(2));
        assert_eq!(rows("a\"b"), Err(1));
        assert_eq!(rows("\"a\"\"b\"c\""), Err(1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(table in prop::collection::vec(prop::collection::vec("[-=+@'\",;\\t\\r\\n a-zé水]{0,6}", 2..5), 0..6)) {
            let text: String = table.iter().map(|row| line(row)).collect();
            let read: Vec<_> = rows(&text).unwrap().into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(read, table);
        }
    }
}
