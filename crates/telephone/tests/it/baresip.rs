//! baresip as a real telephone that answers by itself: what it records is the alarm as it was spoken, and a key that
//! is pressed there arrives here.

use crate::sipp::{free_udp_ports, until};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};
use switchyard_telephone::{
    End, Event, Progress, Trunk, TrunkSettings,
    speech::{Language, Phrase, Speech, SpeechSettings},
};
use switchyard_testkit::Program;

/// Starts that are tried until one gets the numbers that were free a moment ago.
const TRIES: usize = 5;

/// A running telephone, whose number is 123.
struct Baresip {
    program: Program,
    udp_port: u16,
    /// Its console, held open: it does not always read what comes with a farewell.
    console: TcpStream,
    folder: tempfile::TempDir,
}

impl Baresip {
    fn start() -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            match Self::try_start() {
                Ok(it) => return Ok(it),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("expected a try")?)
    }

    fn try_start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-baresip-")
            .tempdir()?;
        let (udp_port, media) = free_udp_ports()?;
        let console_tcp_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let path = folder.path().display();
        let config = format!(
            "sip_listen 127.0.0.1:{udp_port}\n\
             audio_source aufile,{path}/silence.wav\n\
             audio_player aubridge,nowhere\n\
             audio_alert aubridge,nowhere\n\
             ausrc_srate 8000\nauplay_srate 8000\naudio_channels 1\n\
             rtp_ports {media}-{}\n\
             module_path {}\n\
             module g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule cons.so\n\
             module_tmp account.so\nmodule_app menu.so\n\
             cons_listen 127.0.0.1:{console_tcp_port}\n\
             snd_path {path}\n",
            media + 3,
            module_folder()?.display(),
        );
        fs::write(folder.path().join("config"), config)?;
        fs::write(
            folder.path().join("accounts"),
            "<sip:123@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMU\n",
        )?;
        for name in ["contacts", "uuid", "current_contact"] {
            fs::write(folder.path().join(name), "")?;
        }
        fs::write(folder.path().join("silence.wav"), wav(&[0; 8_000 * 60]))?;
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder.path());
        let mut program =
            Program::start("baresip", &mut command).context("apt-get install baresip")?;
        program.wait_for_line("baresip to be ready", |line| {
            line.contains("is ready").then_some(())
        })?;
        let console = TcpStream::connect((Ipv4Addr::LOCALHOST, console_tcp_port))?;
        Ok(Baresip {
            program,
            udp_port,
            console,
            folder,
        })
    }

    /// Presses a key, as somebody at its console would.
    fn press(&mut self, key: char) -> Result<()> {
        self.console.write_all(key.to_string().as_bytes())?;
        Ok(())
    }

    /// What it has heard, once the call is over and the file is whole.
    fn heard(&mut self) -> Result<Vec<i16>> {
        self.program.stop()?;
        let entries = fs::read_dir(self.folder.path())?
            .flatten()
            .map(|it| it.path());
        let file = entries
            .filter(|it| it.to_string_lossy().ends_with("dec.wav"))
            .max()
            .context("expected baresip to have recorded what it heard")?;
        let bytes = fs::read(file)?;
        let data = bytes
            .windows(4)
            .position(|it| it == b"data")
            .context("expected data")?;
        let samples = bytes[data + 8..].chunks_exact(2);
        Ok(samples
            .map(|it| i16::from_le_bytes([it[0], it[1]]))
            .collect())
    }
}

/// Where Debian puts its modules.
fn module_folder() -> Result<PathBuf> {
    let places = ["/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules"];
    let found = places.iter().map(PathBuf::from).find(|it| it.is_dir());
    found.context("expected the modules of baresip: apt-get install baresip")
}

fn wav(samples: &[i16]) -> Vec<u8> {
    let length = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&(36 + length).to_le_bytes());
    bytes.extend_from_slice(
        b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data",
    );
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|it| it.to_le_bytes()));
    bytes
}

/// How alike two sounds are at the place where they are most: 1 for the same, about 0 for others.
fn likeness(heard: &[i16], said: &[i16]) -> f64 {
    let power = |samples: &[i16]| samples.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>();
    let said_power = power(said);
    (0..heard.len().saturating_sub(said.len()))
        .map(|lag| {
            let piece = &heard[lag..lag + said.len()];
            let product: i64 = piece
                .iter()
                .zip(said)
                .map(|(one, other)| i64::from(*one) * i64::from(*other))
                .sum();
            product as f64 / (said_power * power(piece)).sqrt().max(1.0)
        })
        .fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_hears_the_alarm_and_its_key_arrives() -> Result<()> {
    let mut telephone = Baresip::start()?;
    let speech = Speech::new(SpeechSettings::default());
    let phrases = [
        Phrase::text("Alarm at the north yard."),
        Phrase::text("Boiler seven is too hot. Press one."),
    ];
    let said = speech.join(Language::English, &phrases).await?;
    let other = speech
        .say(
            Language::English,
            "Nothing of this was said to anybody at all.",
        )
        .await?;
    let settings = TrunkSettings::new(
        &format!("127.0.0.1:{}", telephone.udp_port),
        "alarms",
        "".into(),
    );
    let trunk = Trunk::open(settings).await?;
    let mut call = trunk.call(&"123".parse()?, Duration::from_secs(20)).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    call.play(said.clone());
    until(&mut call, Event::Played).await;
    telephone.press('1')?;
    until(&mut call, Event::Key('1')).await;
    telephone.press('#')?;
    until(&mut call, Event::Key('#')).await;
    assert_eq!(call.hang_up().await, End::HungUpByUs);
    let heard = telephone.heard()?;
    // Quarter of a second by quarter of a second, of those that are loud: on a busy machine there may be pauses in
    // some of them.
    let likenesses = |sound: &[i16]| -> Vec<f64> {
        let is_loud =
            |piece: &&[i16]| piece.iter().filter(|it| it.unsigned_abs() > 1_500).count() > 300;
        let loud = sound.chunks_exact(2_000).filter(is_loud);
        loud.take(6).map(|it| likeness(&heard, it)).collect()
    };
    let (ours, others) = (likenesses(&said), likenesses(&other));
    let alike = ours.iter().filter(|it| **it > 0.99).count();
    ensure!(
        ours.len() >= 4 && others.len() >= 4,
        "{} and {} pieces",
        ours.len(),
        others.len()
    );
    ensure!(
        alike * 4 >= ours.len() * 3,
        "what was said was heard by {ours:?}"
    );
    ensure!(
        others.iter().all(|it| *it < 0.9),
        "and something else by {others:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_that_hangs_up_is_told() -> Result<()> {
    let mut telephone = Baresip::start()?;
    let settings = TrunkSettings::new(
        &format!("127.0.0.1:{}", telephone.udp_port),
        "alarms",
        "".into(),
    );
    let trunk = Trunk::open(settings).await?;
    assert_eq!(trunk.probe().await, Ok(()));
    let mut call = trunk.call(&"123".parse()?, Duration::from_secs(20)).await?;
    until(&mut call, Event::Progress(Progress::Answered)).await;
    // It does not hang up what it does not yet know to be acknowledged.
    let end = loop {
        telephone.press('b')?;
        let ended =
            tokio::time::timeout(Duration::from_millis(500), crate::sipp::events(&mut call));
        if let Ok((_, end)) = ended.await {
            break end;
        }
    };
    assert_eq!(end, End::HungUpByThem);
    // A number that it has not.
    let mut call = trunk.call(&"124".parse()?, Duration::from_secs(20)).await?;
    assert_eq!(
        crate::sipp::events(&mut call).await.1,
        End::UnknownNumber { code: 404 }
    );
    Ok(())
}
