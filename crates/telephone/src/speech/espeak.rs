//! The program that speaks: espeak-ng, a child for each text, with bounded time and output. The text goes in by its
//! standard input, so that none is ever taken for an option.

use crate::error::Error;
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

/// How long one text may take. A minute of speech takes a fraction of a second.
const TIME_MAX: Duration = Duration::from_secs(20);
/// What of its complaints is kept.
const COMPLAINT_BYTES_MAX: u64 = 500;

/// Speaks a text. Gives the WAV file that the program wrote.
pub(super) async fn speak(
    program: &Path,
    voice: &str,
    words_each_minute: u16,
    text: &str,
) -> Result<Vec<u8>, Error> {
    let fail = |message: String| Error::Speaker {
        program: program.into(),
        message,
    };
    let mut child = Command::new(program)
        .args(["--stdout", "--stdin", "-b", "1", "-v", voice])
        .args(["-s", &words_each_minute.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Unspeakable {
            phrase: text.into(),
            source: Some(source),
        })?;
    let (Some(mut input), Some(output), Some(complaints)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(fail("it has no pipes".into()));
    };
    let text = plain(text);
    let work = async {
        let write = async {
            // One that ends early says why itself.
            let _ = input.write_all(text.as_bytes()).await;
            let _ = input.shutdown().await;
            drop(input);
        };
        let (mut sound, mut words) = (Vec::new(), Vec::new());
        let mut output = output.take(super::wav::FILE_BYTES_MAX as u64);
        let mut complaints = complaints.take(COMPLAINT_BYTES_MAX);
        let (_, read, _) = tokio::join!(
            write,
            output.read_to_end(&mut sound),
            complaints.read_to_end(&mut words)
        );
        // Nobody reads on: one that writes more is ended by that.
        drop((output, complaints));
        let status = child.wait().await;
        (read, status, sound, words)
    };
    let (read, status, sound, words) = timeout(TIME_MAX, work)
        .await
        .map_err(|_| fail(format!("it took more than {} s", TIME_MAX.as_secs())))?;
    read.map_err(|error| fail(error.to_string()))?;
    let status = status.map_err(|error| fail(error.to_string()))?;
    if !status.success() {
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        return Err(fail(format!("it ended with {status}: {words}")));
    }
    Ok(sound)
}

/// The text without what the program would take for something else: double brackets begin phonemes.
fn plain(text: &str) -> String {
    text.chars()
        .map(|sign| match sign {
            '[' | ']' => ' ',
            sign if sign.is_control() => ' ',
            sign => sign,
        })
        .collect()
}
