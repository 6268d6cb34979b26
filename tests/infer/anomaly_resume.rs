//! Learning by a second network goes on where it was stopped or killed: the detector is that of an undisturbed run, byte for byte.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::alone;
use seed::config::{Config, DetectorKind, Precision};
use seed::data::random::{Purpose, between, generator};
use seed::data::{Dataset, Frame, Input};
use seed::infer::{AnomalyDetector, SessionOptions};
use seed::model::weights::{HostTensor, read, write_safetensors};
use seed::model::{Architecture, Head, Network};
use seed::{Error, ErrorKind};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

const CHILD: &str = "SEED_ANOMALY_CHILD";
const EPOCHS: u64 = 6;
/// Of 20 images a quarter is held out.
const LEARNED: usize = 15;

fn good() -> Dataset {
    let dataset = Dataset::in_memory();
    for number in 0..20usize {
        let shade = |at: usize| (100 + (at * 7 + number * 13) % 60 + 20 * (at / 32 % 2)) as u8;
        let frame = Frame::new(32, 32, 1, (0..32 * 32).map(shade).collect()).unwrap();
        dataset.push_frame(&number.to_string(), frame).unwrap();
    }
    dataset
}

fn config(checkpoint: &Path) -> Config {
    let mut config = Config { device: "cpu".into(), precision: Precision::Fp32, ..Config::default() };
    config.anomaly.kind = DetectorKind::Stfpm;
    config.anomaly.layers = "layer1, layer2".into();
    config.anomaly.held_out = 0.25;
    config.anomaly.epochs = EPOCHS;
    // Two steps a pass, of which one is not full.
    config.anomaly.batch_size = 8;
    config.anomaly.checkpoint_path = checkpoint.to_str().unwrap().into();
    config
}

/// Learns until `stop` says so of the images that are done.
fn fit(config: &Config, mut stop: impl FnMut(usize) -> bool) -> seed::Result<AnomalyDetector> {
    let network = Network::new(Architecture::ResNet10, Head::None, 1, Device::Cpu).unwrap();
    let view = Input { width: 32, height: 32, ..Input::default() };
    let options = SessionOptions { precision: Some(Kind::Float), ..SessionOptions::default() };
    AnomalyDetector::fit(&network, &view, config, options, &good(), &mut |done, _| !stop(done))
}

fn bytes(detector: &AnomalyDetector) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detector.safetensors");
    detector.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn refusal(config: &Config) -> Error {
    fit(config, |_| false).err().unwrap()
}

#[test]
fn a_run_goes_on_where_it_was_stopped_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let config = config(&path);
    let whole = bytes(&fit(&config, |_| false).unwrap());
    assert!(!path.exists(), "a run that is done leaves no checkpoint");

    // In the middle of the third pass, whose beginning is lost.
    let stopped = fit(&config, |done| done > 2 * LEARNED).err().unwrap();
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    assert!(path.exists());
    let mut told = Vec::new();
    let resumed = fit(&config, |done| {
        told.push(done);
        false
    });
    assert_eq!(told[0], 2 * LEARNED, "two passes are done already");
    assert_eq!(told.last(), Some(&(EPOCHS as usize * LEARNED + 5)));
    assert!(bytes(&resumed.unwrap()) == whole, "the resumed detector differs");
    assert!(!path.exists());

    // While the held-out images are judged: nothing is learned again.
    let learned = EPOCHS as usize * LEARNED;
    assert_eq!(fit(&config, |done| done > learned).err().unwrap().kind(), ErrorKind::Cancelled);
    let mut told = Vec::new();
    let resumed = fit(&config, |done| {
        told.push(done);
        false
    });
    assert_eq!(told, [learned, learned + 5]);
    assert!(bytes(&resumed.unwrap()) == whole);
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let own = config(&path);
    assert_eq!(fit(&own, |done| done > LEARNED).err().unwrap().kind(), ErrorKind::Cancelled);
    let before = std::fs::read(&path).unwrap();
    let changes: [fn(&mut Config); 5] = [
        |config| config.seed = 1,
        |config| config.anomaly.learning_rate = 0.1,
        |config| config.anomaly.epochs = 7,
        |config| config.anomaly.held_out = 0.5,
        |config| config.anomaly.layers = "layer1".into(),
    ];
    for change in changes {
        let mut other = own.clone();
        change(&mut other);
        let error = refusal(&other);
        assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("run.safetensors"), "{error}");
    }
    assert!(std::fs::read(&path).unwrap() == before);
    // What only the threshold depends on may change.
    let mut free = own;
    free.anomaly.false_alarm_rate = 0.3;
    assert!(fit(&free, |_| false).is_ok());
}

#[test]
fn a_hostile_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let config = config(&path);
    std::fs::write(&path, b"no checkpoint").unwrap();
    assert_eq!(refusal(&config).kind(), ErrorKind::Format);
    std::fs::remove_file(&path).unwrap();

    assert_eq!(fit(&config, |done| done > LEARNED).err().unwrap().kind(), ErrorKind::Cancelled);
    let sound = read(&path).unwrap();
    let header: Value = serde_json::from_str(&sound.metadata["anomaly_training"]).unwrap();
    type Tensors = Vec<(String, HostTensor)>;
    type Change = Box<dyn Fn(&mut Value, &mut Tensors)>;
    let set = |key: &'static str, value: Value| -> Change { Box::new(move |header, _| header[key] = value.clone()) };
    let drop = |name: &'static str| -> Change {
        Box::new(move |_, tensors| {
            let all = tensors.len();
            tensors.retain(|(other, _)| other != name);
            assert_eq!(tensors.len() + 1, all);
        })
    };
    let fill = |name: &'static str, value: f64, more: i64| -> Change {
        Box::new(move |_, tensors| {
            let tensor = &mut tensors.iter_mut().find(|(other, _)| other == name).unwrap().1;
            let mut shape: Vec<i64> = tensor.shape.iter().map(|&side| side as i64).collect();
            shape[0] += more;
            let filled = Tensor::full(shape.as_slice(), value, (Kind::Float, Device::Cpu));
            *tensor = HostTensor::from_tensor(&filled).unwrap();
        })
    };
    let (weight, velocity) = ("network.conv1.weight", "velocity.conv1.weight");
    let changes: Vec<(Change, ErrorKind)> = vec![
        (set("format", json!("libseed.stfpm.2")), ErrorKind::Format),
        (set("identity", json!("0")), ErrorKind::Mismatch),
        (set("epoch", json!(0)), ErrorKind::Format),
        (set("epoch", json!(EPOCHS + 1)), ErrorKind::Format),
        (set("epoch", json!(u64::MAX)), ErrorKind::Format),
        (set("epoch", json!(-1)), ErrorKind::Format),
        (set("steps", json!(0)), ErrorKind::Format),
        (set("steps", json!(1u64 << 60)), ErrorKind::Format),
        (set("sound", json!(LEARNED + 1)), ErrorKind::Format),
        (set("more", json!(1)), ErrorKind::Format),
        (drop(weight), ErrorKind::Mismatch),
        (drop(velocity), ErrorKind::Mismatch),
        (fill(weight, f64::NAN, 0), ErrorKind::Format),
        (fill(velocity, f64::INFINITY, 0), ErrorKind::Format),
        (fill(weight, 1.0, 1), ErrorKind::Mismatch),
        (fill(velocity, 1.0, 1), ErrorKind::Mismatch),
    ];
    for (number, (change, kind)) in changes.into_iter().enumerate() {
        let (mut header, mut tensors) = (header.clone(), sound.tensors.clone().into_iter().collect::<Tensors>());
        change(&mut header, &mut tensors);
        let metadata = [("anomaly_training".to_owned(), header.to_string())].into();
        write_safetensors(&path, &tensors, &metadata).unwrap();
        let error = refusal(&config);
        assert!(error.kind() == kind && error.message().contains("run.safetensors"), "{number}: {error}");
    }
    // Cut anywhere, it is no checkpoint.
    let tensors: Tensors = sound.tensors.into_iter().collect();
    write_safetensors(&path, &tensors, &sound.metadata).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(refusal(&config).kind(), ErrorKind::Format, "{length} bytes");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(fit(&config, |_| false).is_ok());
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(place) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let detector = fit(&config(&place.join("run.safetensors")), |_| false).unwrap();
    detector.save(&place.join("detector.safetensors")).unwrap();
}

/// Runs the child until it has written another checkpoint and `time` after that, and kills it; whether it came to its end before.
fn killed(place: &Path, time: Duration) -> bool {
    let written = || std::fs::metadata(place.join("run.safetensors")).and_then(|about| about.modified()).ok();
    let before: Option<SystemTime> = written();
    // One that removes it is done and may save its detector.
    let another = || written().is_some_and(|now| Some(now) != before);
    let mut child = alone::command(module_path!(), "child").env(CHILD, place).stdout(Stdio::null()).spawn().unwrap();
    while !another() {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "it failed after a kill");
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(time);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "it failed after a kill");
    status.success()
}

#[test]
fn killed_at_any_moment_it_goes_on_to_the_same_detector() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let whole = bytes(&fit(&config(&place.path().join("whole.safetensors")), |_| false).unwrap());
    let mut random = generator(std::process::id().into(), 0, 0, Purpose::Split);
    let mut kills = 0;
    // Each attempt makes a pass at least.
    while !killed(place.path(), Duration::from_secs_f64(between(&mut random, 0.0, 0.05))) {
        kills += 1;
        assert!(kills < 40, "it does not come to its end");
    }
    assert!(kills > 0, "nothing was killed");
    assert!(
        std::fs::read(place.path().join("detector.safetensors")).unwrap() == whole,
        "after {kills} kills it differs"
    );
    assert!(!place.path().join("run.safetensors").exists());
}
