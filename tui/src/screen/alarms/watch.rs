//! Asks the gateway for what is wrong, as soon as it changes, and does what the screen wants.

use super::{News, Sight, Wish};
use crate::{
    alarms::{PAGE_ALARMS, directory::Directory, pages},
    screen::app::Event,
};
use std::time::Duration;
use switchyard_client::{
    Backoff, Error,
    alarms::{Alarms, Done, WAIT_MAX, Wanted},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Alarms that the screen keeps: beyond it nobody scrolls, and the counts tell.
const ALARMS_MAX: usize = 1_000;
/// Rounds are this far apart at least: in a storm each would bring one alarm more, and a gateway counts requests.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);
/// How often the sites are asked for, since they hardly change.
const SITES_INTERVAL: Duration = Duration::from_secs(60);
/// How often a gateway is asked that does not let alarms be seen: rights change.
const SHUT_INTERVAL: Duration = Duration::from_secs(60);

/// Goes on until nobody takes what it tells.
pub(crate) async fn watch(alarms: Alarms, answers: mpsc::Sender<Event>) {
    let mut revision = None;
    let mut directory = Directory::default();
    let mut sites_at: Option<Instant> = None;
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let is_due = sites_at.is_none_or(|asked| asked.elapsed() >= SITES_INTERVAL);
        let told = round(&alarms, revision, is_due, &mut directory).await;
        if is_due && told.is_ok() {
            sites_at = Some(began);
        }
        let (news, wait_until) = match told {
            Ok((seen, news)) => {
                revision = Some(seen);
                backoff = Backoff::default();
                (news, began + ROUND_INTERVAL)
            }
            Err(error) => {
                // What a gateway counted before it was gone says nothing of its next life.
                revision = None;
                let sight = match error.code() {
                    "forbidden" => Sight::Forbidden,
                    "not_found" => Sight::Unknown,
                    _ => Sight::Lost(error.to_string()),
                };
                let wait = match sight {
                    Sight::Lost(_) => backoff.next_wait(rand::random()),
                    _ => SHUT_INTERVAL,
                };
                (News::Shut(sight), Instant::now() + wait)
            }
        };
        if answers.send(Event::Alarms(news)).await.is_err() {
            return;
        }
        sleep_until(wait_until).await;
    }
}

/// What is open now; with a revision as soon as there is another one.
async fn round(
    alarms: &Alarms,
    revision: Option<u64>,
    is_sites_due: bool,
    directory: &mut Directory,
) -> Result<(u64, News), Error> {
    let wanted = Wanted {
        open: Some(true),
        limit: Some(PAGE_ALARMS),
        ..Wanted::default()
    };
    let first = match revision {
        None => alarms.list(&wanted).await?,
        Some(revision) => alarms.list_after(&wanted, revision, WAIT_MAX).await?,
    };
    let revision = first.revision;
    let page = pages(alarms, wanted, first, ALARMS_MAX).await?;
    let overview = alarms.overview().await?;
    if is_sites_due {
        directory.sites = alarms.sites().await?;
    }
    let news = News::Told {
        page: Box::new(page),
        overview: Box::new(overview),
        directory: directory.clone(),
    };
    Ok((revision, news))
}

/// Does what the screen wants, and says what became of it.
pub(crate) async fn fulfil(alarms: Alarms, wish: Wish, answers: mpsc::Sender<Event>) {
    let news = match wish {
        Wish::Show(id) => {
            let history = alarms.show(id).await.map(Box::new);
            News::History(id, history.map_err(|error| error.to_string()))
        }
        Wish::Acknowledge(ids) => done(alarms.acknowledge(&ids, None).await, "acknowledged"),
        Wish::Shelve {
            alarms: ids,
            until_ms,
        } => done(alarms.shelve(&ids, until_ms, None).await, "shelved"),
        Wish::Unshelve(ids) => done(alarms.unshelve(&ids).await, "taken from the shelf"),
        Wish::Comment { alarms: ids, text } => {
            done(alarms.comment(&ids, &text).await, "written down")
        }
    };
    let _ = answers.send(Event::Alarms(news)).await;
}

fn done(done: Result<Done, Error>, what: &str) -> News {
    News::Done(match done {
        Ok(done) => {
            let count = match done.alarms.len() {
                1 => String::new(),
                count => format!(": {count} alarms"),
            };
            match done.is_taken {
                true => format!("{what}{count}"),
                false => {
                    format!("kept, and to be {what} once the gateway in charge takes it{count}")
                }
            }
        }
        Err(error) => format!("▲ not {what}: {error}"),
    })
}
