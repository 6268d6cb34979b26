//! A small station for tests: drawn frames in a store, a narrow student, a teacher with random weights.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seed::config::{Config, Precision};
use seed::data::{FrameView, Input, PixelFormat};
use seed::eval::FidelityConfig;
use seed::gate::GateConfig;
use seed::infer::{LiveSession, Session, SessionOptions};
use seed::model::student_file::StudentHeader;
use seed::model::{Architecture, Head, Network, Teacher};
use seed::night::{Night, NightOptions, NightOutcome, NightProgress};
use seed::store::{Entry, Store, StoreOptions};
use seed::train::{CancelToken, Control};
use seed::{Result, torch};
use tch::Device;

/// Of the teacher's features.
pub const DIM: i64 = 128;

/// Stripes across, along or both, of a period and shade that differ from frame to frame.
fn picture(number: usize) -> Vec<u8> {
    let (class, period, shift) = (number % 3, 3 + number / 3 % 3, number / 9 % 4);
    let dark = 20 + (number * 17 % 60) as u8;
    let draw = |x: usize, y: usize| {
        let on = |place: usize| ((place + shift) / period).is_multiple_of(2);
        let lit = [on(x), on(y), on(x) != on(y)][class];
        if lit { 220 - dark } else { dark }
    };
    (0..40 * 40).map(|place| draw(place % 40, place / 40)).collect()
}

/// Pushes frames `numbers`; every `labelled`-th has its class.
pub fn push(store: &Store, numbers: std::ops::Range<usize>, labelled: usize) {
    for number in numbers {
        let pixels = picture(number);
        let view = FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap();
        let class = (number % 3) as i64;
        let label = (labelled > 0 && number / 3 % labelled == 0)
            .then(|| (class, ["columns", "rows", "grid"][number % 3].to_owned()));
        let entry = Entry { name: format!("{number}.png"), label, ..Entry::default() };
        store.push(&view, entry, Duration::from_secs(60)).unwrap().unwrap();
    }
    store.flush().unwrap();
}

pub struct Plant {
    pub folder: PathBuf,
    pub store: Store,
    pub config: Config,
    pub teacher: Arc<Teacher>,
    pub options: NightOptions,
    pub cancel: CancelToken,
}

fn view() -> Input {
    Input { width: 32, height: 32, ..Input::default() }
}

pub fn teacher(seed: u64) -> Arc<Teacher> {
    let architecture = Architecture::parse("resnet10_w0.25").unwrap();
    Arc::new(Teacher::new(Network::new(architecture, Head::None, seed, Device::Cpu).unwrap()).unwrap())
}

pub fn first() -> (Arc<Mutex<Network>>, StudentHeader) {
    let head = Head::Projection { hidden: 16, dim: DIM };
    let architecture = Architecture::parse("resnet10_w0.25").unwrap();
    let network = Network::new(architecture, head, 3, Device::Cpu).unwrap();
    let header = StudentHeader::new(&network, &view());
    (Arc::new(Mutex::new(network)), header)
}

/// The store's file in `place`, with frames where there is none yet.
pub fn open_store(place: &Path, frames: usize, labelled: usize) -> Store {
    let path = place.join("line.seed");
    let there = path.exists();
    let store = Store::open(&path, &StoreOptions::default()).unwrap();
    if !there {
        push(&store, 0..frames, labelled);
    }
    store
}

impl Plant {
    /// In `place`, with a store of 90 frames, every third labelled.
    pub fn new(place: &Path) -> Self {
        Self::with_store(place, open_store(place, 90, 3))
    }

    pub fn with_store(place: &Path, store: Store) -> Self {
        let config = Config {
            device: "cpu".into(),
            precision: Precision::Fp32,
            workers: 1,
            batch_size: 16,
            steps: 12,
            learning_rate: 0.8,
            queue_capacity: 32,
            embedding_dim: DIM as u64,
            temperature_teacher: 0.01,
            progress_every: 1,
            checkpoint_every: 3,
            view: view().into(),
            ..Config::default()
        };
        // Whatever else the machine does must not decide a test; nor must what twelve steps bring.
        let gate = GateConfig {
            latency_factor: 1e6,
            latency_frames: 2,
            overlap_margin: 1.0,
            kl_margin: 10.0,
            fidelity: FidelityConfig { k: 3, ..FidelityConfig::default() },
            min_reference: 1000,
            ..GateConfig::default()
        };
        let options = NightOptions { min_new_frames: 30, held_out: 0.3, gate, ..NightOptions::default() };
        let (teacher, cancel) = (teacher(5), CancelToken::new());
        Self { folder: place.join("station"), store, config, teacher, options, cancel }
    }

    pub fn night(&self) -> Night<'_> {
        Night {
            config: &self.config,
            store: &self.store,
            teacher: Arc::clone(&self.teacher),
            folder: &self.folder,
            first: Some(first()),
            options: &self.options,
        }
    }

    pub fn run_with(
        &self,
        line: Option<&LiveSession>,
        observe: &mut dyn FnMut(&NightProgress) -> Control,
    ) -> Result<NightOutcome> {
        torch::caught(|| self.night().run(line, &self.cancel, observe))
    }

    pub fn run(&self) -> Result<NightOutcome> {
        self.run_with(None, &mut |_| Control::Continue)
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// What runs on the line before the first night, a student that no night made; its vectors have `dim` numbers.
pub fn line(dim: i64) -> LiveSession {
    let architecture = Architecture::parse("resnet10_w0.25").unwrap();
    let network = Network::new(architecture, Head::Projection { hidden: 16, dim }, 77, Device::Cpu).unwrap();
    LiveSession::new(Session::new(&network, &view(), SessionOptions::default()).unwrap())
}

/// Whether the line gives the vectors of the student in `path`.
pub fn runs(line: &LiveSession, path: &Path) -> bool {
    let pixels = picture(4);
    let frames = [FrameView::new(&pixels, 40, 40, 40, PixelFormat::Mono8).unwrap()];
    let of_file = Session::open(path, SessionOptions::default()).unwrap();
    let pairs = line.current().embed(&frames).unwrap().into_iter().zip(of_file.embed(&frames).unwrap());
    // Unit vectors; each session tries out by itself how it computes fastest.
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-4
}
