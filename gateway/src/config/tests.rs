//! Settings: the sample is the defaults, names agree, the stronger wins, and nonsense is named.

use super::*;

const SAMPLE: &str = include_str!("../../switchyard.sample.toml");

/// The sample with its commented settings switched on: `# key = value` stands for a key that
/// is off by itself.
fn sample_switched_on() -> String {
    let key_of = |line: &str| line.split_once(" = ").map(|(key, _)| key.to_owned());
    SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if key_of(rest).is_some_and(|key| RawSettings::KEYS.contains(&&*key)) => {
                rest
            }
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_sample_is_the_defaults() {
    let sample: RawSettings = toml::from_str(SAMPLE).unwrap();
    assert_eq!(sample, RawSettings::defaults());
}

#[test]
fn every_key_stands_in_the_sample_with_words_about_it() {
    let table: toml::Table = toml::from_str(&sample_switched_on()).unwrap();
    for key in RawSettings::KEYS {
        assert!(table.contains_key(*key), "{key} is missing in the sample");
    }
    assert_eq!(table.len(), RawSettings::KEYS.len());
    let switched_on = sample_switched_on();
    let mut before = "";
    for line in switched_on.lines() {
        let is_setting = RawSettings::KEYS
            .iter()
            .any(|key| line.starts_with(&format!("{key} = ")));
        assert!(
            !is_setting || before.starts_with('#'),
            "{line} has no comment above it"
        );
        before = line;
    }
}

#[test]
fn file_environment_and_flag_agree_on_names() {
    for (key, variable) in RawSettings::KEYS.iter().zip(RawSettings::ENVIRONMENT) {
        assert_eq!(*variable, format!("SWITCHYARD_{}", key.to_uppercase()));
    }
}

#[test]
fn the_stronger_wins() {
    let flags = RawSettings {
        listen_tcp: text("127.0.0.1:1"),
        ..RawSettings::default()
    };
    let file = RawSettings {
        listen_tcp: text("127.0.0.1:2"),
        connections_max: Some(7),
        ..RawSettings::default()
    };
    let settings = flags.or(file).resolve().unwrap();
    assert_eq!(settings.listen_tcp.port(), 1);
    assert_eq!(settings.connections_max, 7);
    assert_eq!(settings.handshake_timeout, limits::HANDSHAKE_TIMEOUT);
}

#[test]
fn clear_text_stays_on_loopback() {
    let clear = |addr: &str, insecure| RawSettings {
        listen_clear: text(addr),
        insecure: Some(insecure),
        ..RawSettings::default()
    };
    assert!(clear("127.0.0.1:0", false).resolve().is_ok());
    assert!(clear("0.0.0.0:0", true).resolve().is_ok());
    let error = clear("0.0.0.0:0", false).resolve().unwrap_err();
    assert!(matches!(error, ConfigError::ClearInTheOpen(_)), "{error}");
}

#[test]
fn passwords_in_the_clear_are_warned_of() {
    let warnings = |addr: &str, behind_proxy| {
        let raw = RawSettings {
            listen_http: text(addr),
            behind_proxy: Some(behind_proxy),
            ..RawSettings::default()
        };
        raw.resolve().unwrap().warnings()
    };
    assert!(warnings("0.0.0.0:80", false)[0].starts_with("listen_http: 0.0.0.0:80 is not"));
    assert!(warnings("0.0.0.0:80", true).is_empty());
    assert!(warnings("[::1]:80", false).is_empty());
    assert!(Settings::defaults().warnings().is_empty());
    let with_tls = RawSettings {
        listen_http: text("0.0.0.0:443"),
        tls_certificate: Some("/nowhere/cert.pem".into()),
        tls_key: Some("/nowhere/key.pem".into()),
        ..RawSettings::default()
    };
    assert!(with_tls.resolve().unwrap().warnings().is_empty());
}

#[test]
fn history_that_is_deleted_is_warned_of() {
    let warnings = |days, points: &str| {
        let raw = RawSettings {
            history_days: Some(days),
            history_points: text(points),
            ..RawSettings::default()
        };
        raw.resolve().unwrap().warnings()
    };
    assert!(
        warnings(0, "analogue")[0].starts_with("history_days: 0 records no history and deletes")
    );
    assert_eq!(warnings(0, "").len(), 1);
    // What is off and deletes nothing is what somebody wants.
    assert!(warnings(30, "").is_empty());
}

#[test]
fn tls_takes_two_files_or_none() {
    let tls = |certificate: &str, key: &str| {
        let raw = RawSettings {
            tls_certificate: Some(certificate.into()),
            tls_key: Some(key.into()),
            ..RawSettings::default()
        };
        raw.resolve().map(|settings| settings.tls.is_some())
    };
    assert!(tls("cert.pem", "key.pem").unwrap());
    assert!(!tls("", "").unwrap());
    for (certificate, key, missing) in [("cert.pem", "", "tls_key"), ("", "k", "tls_certificate")] {
        let message = tls(certificate, key).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{missing}: expected a file")),
            "{message}"
        );
    }
}

#[test]
fn what_could_not_work_is_refused() {
    let base = RawSettings::default;
    for (raw, key) in [
        (
            RawSettings {
                record_bytes_max: Some(263),
                ..base()
            },
            "record_bytes_max",
        ),
        (
            RawSettings {
                slow_peer_timeout: span(Duration::from_secs(31)),
                ..base()
            },
            "slow_peer_timeout",
        ),
        (
            RawSettings {
                ping_interval: span(Duration::from_millis(999)),
                ..base()
            },
            "ping_interval",
        ),
        (
            RawSettings {
                ping_interval: span(Duration::from_secs(301)),
                ..base()
            },
            "ping_interval",
        ),
        (
            RawSettings {
                tool_queue_bytes_max: Some(1),
                ..base()
            },
            "tool_queue_bytes_max",
        ),
        (
            RawSettings {
                store_queue_calls_max: Some(usize::MAX),
                ..base()
            },
            "store_queue_calls_max",
        ),
        (
            RawSettings {
                hellos_per_ip_per_minute_max: Some(0),
                ..base()
            },
            "hellos_per_ip_per_minute_max",
        ),
        (
            RawSettings {
                page_origins: text("yard.example.org"),
                ..base()
            },
            "page_origins",
        ),
        (
            RawSettings {
                drain_delay: span(Duration::from_secs(301)),
                ..base()
            },
            "drain_delay",
        ),
        (
            RawSettings {
                proxy_protocol_from: text("10.0.0.0/33"),
                ..base()
            },
            "proxy_protocol_from",
        ),
        (
            RawSettings {
                proxy_protocol: Some(ProxiedListeners::All),
                proxy_protocol_from: text(""),
                ..base()
            },
            "proxy_protocol_from",
        ),
    ] {
        let message = raw.resolve().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("{key}: expected")),
            "{message}"
        );
    }
}

#[test]
fn nonsense_is_named() {
    assert!(toml::from_str::<RawSettings>("listen_tpc = \"x\"").is_err());
    for span in [
        "",
        "15",
        "s",
        "-1s",
        "1.5s",
        "99999999999999999999s",
        "1 week",
    ] {
        assert!(span.parse::<Span>().is_err(), "{span:?}");
    }
    assert_eq!("5min".parse(), Ok(Span(Duration::from_secs(300))));
    let error = RawSettings {
        listen_http: text("nowhere"),
        ..RawSettings::default()
    };
    let message = error.resolve().unwrap_err().to_string();
    assert!(
        message.starts_with("listen_http: expected HOST:NUMBER"),
        "{message}"
    );
}

#[test]
fn recent_values_have_a_place_and_bounds() {
    let resolved = |place, age: &str, points, redis: &str| {
        let raw = RawSettings {
            recent_values: Some(place),
            recent_age: Some(age.parse().unwrap()),
            recent_points_max: Some(points),
            redis_url: Some(redis.to_owned().into()),
            ..RawSettings::default()
        };
        let resolved = raw.resolve().map(|settings| settings.recent);
        resolved.map_err(|error| error.to_string())
    };
    use RecentPlace::{Memory, Off, Redis};
    let url = "redis://127.0.0.1";
    assert_eq!(resolved(Off, "1min", 1, ""), Ok(None));
    let memory = resolved(Memory, "1h", 65_536, url).unwrap().unwrap();
    assert_eq!(
        (memory.is_in_redis, memory.age.as_secs(), memory.points_max),
        (false, 3_600, 65_536)
    );
    assert!(
        resolved(Redis, "15min", 1, url)
            .unwrap()
            .unwrap()
            .is_in_redis
    );
    for (refused, expected) in [
        (
            resolved(Redis, "15min", 1, ""),
            "recent_values: expected memory or off, since redis_url is not set and found \"redis\"",
        ),
        (
            resolved(Memory, "59s", 1, ""),
            "recent_age: expected 1min to 1h and found \"59s\"",
        ),
        (
            resolved(Memory, "61min", 1, ""),
            "recent_age: expected 1min to 1h and found \"3660s\"",
        ),
        (
            resolved(Off, "1min", 0, ""),
            "recent_points_max: expected 1 to 65536 and found \"0\"",
        ),
    ] {
        assert_eq!(refused, Err(expected.to_owned()));
    }
}
