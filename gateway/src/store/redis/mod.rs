//! The status store in Redis 7, or what speaks as it does (Valkey): one server, or one with replicas, but no Redis
//! Cluster, since scripts here touch keys of many controllers.
//!
//! | key, after the prefix | what | ends |
//! |---|---|---|
//! | `status:ADDRESS` | hash: `order`, `online`, `since`, `frame` | when the controller is forgotten |
//! | `controllers` | sorted set of the addresses that have a status | never |
//! | `lease:ADDRESS` | string: session, blank, node in hex | a term after it was held last |
//! | `samples:ADDRESS:POINT` | stream: id = gateway time, `t` type, `n` least, `x` greatest, `l` last, `c` how many, `k` whether known from then on | `age_max` after its last sample |
//! | `points:ADDRESS` | set: the names of the points that have samples | up to twice `age_max` after the last of all |
//! | `alarms` | string: how alarms stand, JSON | 15 s after it was told last |
//! | `marker` | a random number, there as long as the content is | never |
//!
//! Two connections, so that reading much keeps no write waiting; over each, calls go side by side. A call is one round
//! trip, however many controllers it is about.

mod line;

use super::{
    Generation, Keep, Lease, NodeId, Sample, StatusStore, StoreError, StoreFuture, StoredStatus,
    memory::oldest_kept,
};
use crate::{
    config::{ConfigError, Secret},
    history::Series,
};
use bytes::Bytes;
use line::{Line, Script};
use redis::Client;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address,
    message::{Name, PointType, Time},
};

/// Keys of one script's call: Redis does nothing else meanwhile, and this takes it half a millisecond.
const KEYS_PER_SCRIPT: usize = 256;
/// Bytes of a prefix. It is sent with every key.
const PREFIX_BYTES_MAX: usize = 64;

/// Where Redis is, and under which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, user, password, host, number of the TCP port, number of the database.
    pub url: Secret,
    /// What all keys begin with.
    pub prefix: String,
}

impl RedisSettings {
    /// None without a URL, or with an empty one.
    ///
    /// # Errors
    /// Names the setting and what it wants. The URL may hold a password and is never told.
    pub(crate) fn resolve(
        url: Option<Secret>,
        prefix: String,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(url) = url.filter(|url| !url.0.is_empty()) else {
            return Ok(None);
        };
        let refused = |key, expected, found: &str| {
            let found = found.to_owned();
            Err(ConfigError::BadValue {
                key,
                expected,
                found,
            })
        };
        if Client::open(url.0.as_str()).is_err() {
            let wanted = "a URL such as redis://:PASSWORD@HOST:6379/0, rediss://… or unix:///PATH";
            return refused("redis_url", wanted, "***");
        }
        let is_visible = prefix.bytes().all(|byte| byte.is_ascii_graphic());
        if prefix.len() > PREFIX_BYTES_MAX || !is_visible {
            let wanted = "at most 64 visible ASCII characters";
            return refused("redis_prefix", wanted, &prefix);
        }
        Ok(Some(RedisSettings { url, prefix }))
    }
}

/// The status store in Redis. It connects when it is first called.
pub struct RedisStatusStore {
    writes: Line,
    reads: Line,
    prefix: String,
}

impl fmt::Debug for RedisStatusStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisStatusStore({:?})", self.prefix)
    }
}

/// What `page.lua` tells of one controller: address, order, whether it is there, whether it is held, since when,
/// frame.
type Row = (u32, u64, u8, u8, u64, Vec<u8>);

impl RedisStatusStore {
    /// The store at a URL; at most `calls_max` calls for each of its two connections may be under way.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(settings: &RedisSettings, calls_max: usize) -> Result<Self, StoreError> {
        let client = Client::open(settings.url.0.as_str())?;
        Ok(RedisStatusStore {
            writes: Line::new(client.clone(), "writing", calls_max),
            reads: Line::new(client, "reading", calls_max),
            prefix: settings.prefix.clone(),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn status_key(&self, controller: Address) -> String {
        format!("{}status:{controller}", self.prefix)
    }

    fn lease_key(&self, controller: Address) -> String {
        format!("{}lease:{controller}", self.prefix)
    }

    fn samples_key(&self, controller: Address, point: &Name) -> String {
        format!("{}samples:{controller}:{point}", self.prefix)
    }

    fn points_key(&self, controller: Address) -> String {
        format!("{}points:{controller}", self.prefix)
    }

    /// Runs one of the two scripts about leases, and gives those that it names.
    async fn on_leases(
        &self,
        script: Script,
        arguments: Vec<String>,
        sessions: &[(Address, Option<u64>)],
    ) -> Result<Vec<(Address, Lease)>, StoreError> {
        let calls: Vec<_> = sessions.chunks(KEYS_PER_SCRIPT).collect();
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<Vec<(usize, String)>> = self
            .writes
            .call(|link, pipeline| {
                for sessions in &calls {
                    let call = link.script(pipeline, script, sessions.len());
                    for (controller, _) in *sessions {
                        call.arg(self.lease_key(*controller));
                    }
                    call.arg(&arguments);
                    for session in sessions.iter().filter_map(|(_, session)| *session) {
                        call.arg(session);
                    }
                }
            })
            .await?;
        let mut others = Vec::new();
        for (sessions, named) in calls.into_iter().zip(answers) {
            for (number, lease) in named {
                let place = number.checked_sub(1).and_then(|at| sessions.get(at));
                let (controller, _) = place.ok_or(StoreError::Corrupt { what: "lease" })?;
                others.push((*controller, parse_lease(&lease)?));
            }
        }
        Ok(others)
    }
}

/// A key as `hold.lua` writes it.
fn parse_lease(text: &str) -> Result<Lease, StoreError> {
    let parse = || {
        let (session, node) = text.split_once(' ')?;
        Some(Lease {
            node: NodeId(u128::from_str_radix(node, 16).ok()?.to_be_bytes()),
            session: session.parse().ok()?,
        })
    };
    parse().ok_or(StoreError::Corrupt { what: "lease" })
}

fn stored((address, order, online, held, since, frame): Row) -> (Address, StoredStatus) {
    let mut status = StoredStatus {
        order,
        online: online != 0,
        since: Time(since),
        frame: frame.into(),
    };
    status.lapse_unless(held != 0);
    (Address(address), status)
}

impl StatusStore for RedisStatusStore {
    fn put_statuses(
        &self,
        statuses: Vec<(Address, StoredStatus)>,
    ) -> StoreFuture<'_, Vec<(Address, u64)>> {
        Box::pin(async move {
            if statuses.is_empty() {
                return Ok(Vec::new());
            }
            let index = self.key("controllers");
            let later: Vec<Option<u64>> = self
                .writes
                .call(|link, pipeline| {
                    for (controller, status) in &statuses {
                        link.script(pipeline, Script::Put, 2)
                            .arg(self.status_key(*controller))
                            .arg(&index)
                            .arg(status.order)
                            .arg(u8::from(status.online))
                            .arg(status.since.0)
                            .arg(controller.0)
                            .arg(&status.frame[..]);
                    }
                })
                .await?;
            let statuses = statuses.into_iter().zip(later);
            Ok(statuses
                .filter_map(|((controller, _), order)| Some((controller, order?)))
                .collect())
        })
    }

    fn status(&self, controller: Address) -> StoreFuture<'_, Option<StoredStatus>> {
        Box::pin(async move {
            let Some(before) = controller.0.checked_sub(1) else {
                return Ok(None);
            };
            let page = self.statuses(Address(before), 1).await?;
            let mut found = page.into_iter().filter(|(found, _)| *found == controller);
            Ok(found.next().map(|(_, status)| status))
        })
    }

    fn statuses(
        &self,
        after: Address,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(Address, StoredStatus)>> {
        Box::pin(async move {
            let (rows,): (Vec<Row>,) = self
                .reads
                .call(|link, pipeline| {
                    link.script(pipeline, Script::Page, 1)
                        .arg(self.key("controllers"))
                        .arg(after.0)
                        .arg(limit)
                        .arg(&self.prefix);
                })
                .await?;
            Ok(rows.into_iter().map(stored).collect())
        })
    }

    fn forget_controllers(&self, controllers: Vec<Address>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            if controllers.is_empty() {
                return Ok(());
            }
            self.writes
                .call(|link, pipeline| {
                    for controller in controllers {
                        link.script(pipeline, Script::Forget, 4)
                            .arg(self.status_key(controller))
                            .arg(self.lease_key(controller))
                            .arg(self.points_key(controller))
                            .arg(self.key("controllers"))
                            .arg(controller.0)
                            .arg(&self.prefix);
                    }
                })
                .await
                .map(|_: Vec<redis::Value>| ())
        })
    }

    fn hold(
        &self,
        node: NodeId,
        sessions: Vec<(Address, u64)>,
        term: Duration,
    ) -> StoreFuture<'_, Vec<(Address, Lease)>> {
        Box::pin(async move {
            let arguments = vec![node.to_string(), term.as_millis().max(1).to_string()];
            let sessions: Vec<_> = sessions
                .into_iter()
                .map(|(controller, session)| (controller, Some(session)))
                .collect();
            self.on_leases(Script::Hold, arguments, &sessions).await
        })
    }

    fn release(
        &self,
        node: NodeId,
        controllers: Vec<Address>,
    ) -> StoreFuture<'_, Vec<(Address, Lease)>> {
        Box::pin(async move {
            let controllers = controllers.into_iter();
            let controllers: Vec<_> = controllers.map(|controller| (controller, None)).collect();
            let arguments = vec![node.to_string()];
            self.on_leases(Script::Release, arguments, &controllers)
                .await
        })
    }

    fn holders(&self, controllers: Vec<Address>) -> StoreFuture<'_, Vec<Option<Lease>>> {
        Box::pin(async move {
            if controllers.is_empty() {
                return Ok(Vec::new());
            }
            let (leases,): (Vec<Option<String>>,) = self
                .reads
                .call(|_, pipeline| {
                    let keys = controllers.iter().map(|it| self.lease_key(*it));
                    let keys: Vec<_> = keys.collect();
                    pipeline.cmd("MGET").arg(keys);
                })
                .await?;
            let leases = leases.into_iter();
            leases
                .map(|lease| lease.as_deref().map(parse_lease).transpose())
                .collect()
        })
    }

    fn append_samples(&self, samples: Vec<Sample>, keep: Keep) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut points: HashMap<(Address, &Name), Vec<&Sample>> = HashMap::new();
            for sample in &samples {
                let point = (sample.series.controller, &sample.series.point);
                points.entry(point).or_default().push(sample);
            }
            if points.is_empty() {
                return Ok(());
            }
            self.writes
                .call(|link, pipeline| {
                    for ((controller, point), samples) in &points {
                        let latest = samples.iter().map(|sample| sample.at).max();
                        let call = link.script(pipeline, Script::Append, 2);
                        call.arg(self.samples_key(*controller, point))
                            .arg(self.points_key(*controller))
                            .arg(point.as_str())
                            .arg(keep.count_max)
                            .arg(oldest_kept(latest.unwrap_or_default(), keep).0)
                            .arg(keep.age_max.as_millis().max(1) as u64);
                        for sample in samples {
                            call.arg(sample.at.0)
                                .arg(sample.series.point_type as u8)
                                .arg(sample.min)
                                .arg(sample.max)
                                .arg(sample.last)
                                .arg(sample.values)
                                .arg(u8::from(sample.is_known));
                        }
                    }
                })
                .await
                .map(|_: Vec<redis::Value>| ())
        })
    }

    fn samples(
        &self,
        controller: Address,
        point: Name,
        since: Time,
        limit: u32,
    ) -> StoreFuture<'_, Vec<Sample>> {
        Box::pin(async move {
            let (entries,): (Vec<Entry>,) = self
                .reads
                .call(|_, pipeline| {
                    let range = pipeline.cmd("XRANGE");
                    range
                        .arg(self.samples_key(controller, &point))
                        .arg(since.0)
                        .arg("+")
                        .arg("COUNT")
                        .arg(limit);
                })
                .await?;
            let entries = entries.into_iter();
            let mut series = None;
            let samples = entries.map(|entry| parse_sample(entry, controller, &point, &mut series));
            let samples: Option<_> = samples.collect();
            samples.ok_or(StoreError::Corrupt { what: "sample" })
        })
    }

    fn put_alarm_standing(&self, standing: Bytes, term: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let term_ms = u64::try_from(term.as_millis()).unwrap_or(u64::MAX).max(1);
            self.writes
                .call(|_, pipeline| {
                    pipeline
                        .cmd("SET")
                        .arg(self.key("alarms"))
                        .arg(&*standing)
                        .arg("PX")
                        .arg(term_ms);
                })
                .await
                .map(|_: Vec<redis::Value>| ())
        })
    }

    fn alarm_standing(&self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let (told,): (Option<Vec<u8>>,) = self
                .reads
                .call(|_, pipeline| {
                    pipeline.cmd("GET").arg(self.key("alarms"));
                })
                .await?;
            Ok(told.map(Bytes::from))
        })
    }

    fn generation(&self) -> StoreFuture<'_, Generation> {
        Box::pin(async move {
            let key = self.key("marker");
            let read = async || {
                let answer: Result<(Option<u64>,), _> = self
                    .writes
                    .call(|_, pipeline| {
                        pipeline.cmd("GET").arg(&key);
                    })
                    .await;
                answer.map(|(marker,)| marker)
            };
            let marker = match read().await? {
                Some(marker) => marker,
                None => {
                    let fresh: u64 = rand::random();
                    self.writes
                        .call(|_, pipeline| {
                            pipeline.cmd("SET").arg(&key).arg(fresh).arg("NX");
                        })
                        .await
                        .map(|_: Vec<redis::Value>| ())?;
                    // Another gateway may have been quicker.
                    read().await?.ok_or(StoreError::Gone("its marker"))?
                }
            };
            let run = self.writes.run().await?;
            Ok(Generation(u128::from(run) << 64 | u128::from(marker)))
        })
    }
}

/// A sample in its stream: its id, and its fields by their names.
type Entry = (String, HashMap<String, i64>);

/// A sample as `append.lua` writes it. Those that follow each other share what they are of.
fn parse_sample(
    (id, fields): Entry,
    controller: Address,
    point: &Name,
    series: &mut Option<Arc<Series>>,
) -> Option<Sample> {
    let (time, _) = id.split_once('-')?;
    let field = |name| fields.get(name).copied();
    let point_type = PointType::from_number(u8::try_from(field("t")?).ok()?)?;
    let same = series.take().filter(|it| it.point_type == point_type);
    let fresh = || {
        Arc::new(Series {
            controller,
            point: point.clone(),
            point_type,
        })
    };
    let of = series.insert(same.unwrap_or_else(fresh));
    Some(Sample {
        series: Arc::clone(of),
        at: Time(time.parse().ok()?),
        min: field("n")?,
        max: field("x")?,
        last: field("l")?,
        values: u32::try_from(field("c")?).ok()?,
        is_known: field("k")? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawSettings;

    fn resolved(url: &str, prefix: &str) -> Result<Option<RedisSettings>, String> {
        let raw = RawSettings {
            redis_url: Some(url.to_owned().into()),
            redis_prefix: Some(prefix.into()),
            ..RawSettings::default()
        };
        match raw.resolve() {
            Ok(settings) => {
                assert!(!format!("{settings:?}").contains("hunter2"));
                Ok(settings.redis)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn settings_say_what_they_want_and_keep_the_password() {
        for url in [
            "redis://:hunter2@127.0.0.1:6379/0",
            "rediss://li:hunter2@redis.example.org",
            "valkey://127.0.0.1",
            "unix:///run/redis/redis.sock",
        ] {
            let found = resolved(url, "yard:").unwrap().unwrap();
            assert_eq!((found.url.0.as_str(), &*found.prefix), (url, "yard:"));
        }
        assert_eq!(resolved("", "yard:"), Ok(None));
        assert!(resolved("redis://127.0.0.1", "").unwrap().is_some());
        for url in [
            "127.0.0.1",
            "http://:hunter2@127.0.0.1",
            "redis://:hunter2@127.0.0.1:99999",
            "redis://:hunter2@127.0.0.1/first",
        ] {
            let message = resolved(url, "yard:").unwrap_err();
            assert!(
                message.starts_with("redis_url: expected a URL such as"),
                "{message}"
            );
            assert!(!message.contains("hunter2"), "{message}");
        }
        for prefix in ["two words", "höhe:", "tab\t", &"x".repeat(65)] {
            let message = resolved("redis://127.0.0.1", prefix).unwrap_err();
            assert!(
                message.starts_with("redis_prefix: expected at most 64"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_not_shown_where_it_may_hold_a_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchyard.toml");
        std::fs::write(&path, "redis_url = \"redis://:hunter2@h\" x\n").unwrap();
        let error = RawSettings::from_file(&path).unwrap_err();
        let mut chain = Some(&error as &dyn std::error::Error);
        while let Some(link) = chain {
            assert!(!link.to_string().contains("hunter2"), "{link}");
            chain = link.source();
        }
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let node = NodeId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        let lease = Lease { node, session: 77 };
        let text = format!("{} {node}", lease.session);
        assert_eq!(parse_lease(&text).unwrap(), lease);
        for wrong in ["", "77", "77 ", "77 xyz", "-1 00", " 00"] {
            assert!(parse_lease(wrong).is_err(), "{wrong:?}");
        }
        let point = Name::new("level").unwrap();
        let fields = [("t", 2), ("n", -5), ("x", 9), ("l", 7), ("c", 3), ("k", 1)];
        let mut fields: HashMap<_, _> = fields.map(|(name, value)| (name.into(), value)).into();
        let parse = |id: &str, fields: &HashMap<String, i64>| {
            parse_sample((id.into(), fields.clone()), Address(7), &point, &mut None)
        };
        let sample = parse("5-0", &fields).unwrap();
        assert_eq!((sample.at, sample.last, sample.values), (Time(5), 7, 3));
        assert_eq!(sample.series.point_type, PointType::AnalogueInput);
        for wrong in ["", "5", "-6", "a-b"] {
            assert_eq!(parse(wrong, &fields), None);
        }
        fields.insert("t".into(), 4);
        assert_eq!(parse("5-0", &fields), None);
        fields.remove("t");
        assert_eq!(parse("5-0", &fields), None);
    }
}
