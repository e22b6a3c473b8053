//! Logging in to a gateway, and out again.

use crate::{
    cli,
    config::{Config, Stored},
    exit::{Exit, Failure},
    output, screen,
};
use anyhow::Context;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use switchyard_client::{Credentials, GatewayUrl, LogIn};

/// The longest password line that is read.
const PASSWORD_BYTES_MAX: u64 = 1024;
/// The longest other line: an account's name has 64 bytes at most.
const LINE_BYTES_MAX: u64 = 256;

/// Logs in, and keeps what the gateway gives.
pub(crate) async fn log_in(
    config: &Config,
    gateway: GatewayUrl,
    account: Option<String>,
    password_stdin: bool,
    code: Option<String>,
) -> Result<(), Failure> {
    let can_ask = !password_stdin && io::stdin().is_terminal();
    let account = match account {
        Some(account) => account,
        None if can_ask => ask("Account: ", "expected an account").await?,
        None => {
            return Err(Failure::usage(
                "expected --account NAME where nobody can be asked",
            ));
        }
    };
    let password = if password_stdin {
        let mut line = String::new();
        let mut stdin = io::stdin().lock().take(PASSWORD_BYTES_MAX);
        stdin.read_line(&mut line).context("reading the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else if can_ask {
        screen::password("Password: ")?.ok_or_else(Failure::interrupted)?
    } else {
        return Err(Failure::usage(
            "expected --password-stdin where nobody can be asked",
        ));
    };
    let credentials = Credentials {
        account: &account,
        password: &password,
        code: code.as_deref(),
    };
    let logged_in = prove(&gateway, credentials, can_ask).await?;
    let role = logged_in.role.map_or("an unknown role", |role| role.name());
    config.store(&Stored {
        gateway: gateway.clone(),
        account: logged_in.account.clone(),
        token: logged_in.token,
    })?;
    let account = logged_in.account;
    let authority = gateway.authority();
    output::line(format!("logged in to {authority} as {account} ({role})"))?;
    Ok(())
}

/// Logs in, and asks for the second factor's code only when the gateway says that there is one.
async fn prove(
    gateway: &GatewayUrl,
    mut credentials: Credentials<'_>,
    can_ask: bool,
) -> Result<LogIn, Failure> {
    let mut answer = switchyard_client::log_in(gateway, &credentials).await;
    let code;
    if can_ask && matches!(&answer, Err(error) if error.code() == "code_needed") {
        let wanted = "expected the six digits that the account's app shows";
        let typed = ask("Code from the account's app: ", wanted).await?;
        code = cli::one_time_code(&typed).map_err(Failure::usage)?;
        credentials.code = Some(&code);
        answer = switchyard_client::log_in(gateway, &credentials).await;
    }
    let refused = match answer {
        Ok(logged_in) => return Ok(logged_in),
        Err(error) => error,
    };
    let told = match refused.code() {
        "bad_credentials" if credentials.code.is_some() => {
            "the gateway refused this account, password and code; a code counts once and not for \
             long: try the next one"
                .to_owned()
        }
        "bad_credentials" if is_new(gateway).await => {
            format!("the gateway has no account yet; open {gateway} in a browser to make the first")
        }
        _ => return Err(refused.into()),
    };
    Err(Failure::new(Exit::LogIn, told))
}

/// Whether the gateway has no account yet; one that does not say so is taken to have some.
async fn is_new(gateway: &GatewayUrl) -> bool {
    let needed = switchyard_client::is_setup_needed(gateway).await;
    needed.unwrap_or(false)
}

/// Asks the person at the terminal for a line. On a thread of its own, so that an interrupt ends it.
async fn ask(prompt: &'static str, wanted: &'static str) -> Result<String, Failure> {
    let read = move || {
        let mut out = io::stderr().lock();
        write!(out, "{prompt}")?;
        out.flush()?;
        let mut line = String::new();
        io::stdin()
            .lock()
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)?;
        Ok::<_, io::Error>(line)
    };
    let line = tokio::task::spawn_blocking(read)
        .await
        .context("reading the terminal")??;
    let line = line.trim();
    if line.is_empty() {
        return Err(Failure::usage(wanted));
    }
    Ok(line.to_owned())
}

/// Revokes the log-in, and forgets it.
pub(crate) async fn log_out(config: &Config) -> Result<(), Failure> {
    let stored = match config.log_in() {
        Err(failure) if failure.exit() == Exit::LogIn as u8 => {
            config.forget()?;
            return Ok(output::line("nobody was logged in")?);
        }
        other => other?,
    };
    // What is on this machine goes in any case; only the revocation needs the gateway.
    let revoked = switchyard_client::log_out(&stored.gateway, &stored.token).await;
    config.forget()?;
    match revoked {
        Ok(()) => output::line("logged out")?,
        Err(error) if error.code() == "not_logged_in" => output::line("logged out")?,
        Err(error) => {
            let failure = Failure::from(error);
            let why = failure.message().unwrap_or("no reason").to_owned();
            let message = format!("forgotten here, but the token is not revoked: {why}");
            return Err(Failure::new(Exit::GatewayGone, message));
        }
    }
    Ok(())
}
