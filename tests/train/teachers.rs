//! Teachers that are no network of ours: TorchScript as PyTorch writes it, engines of the application, embeddings from files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use seed::config::{Config, Precision, QueueFill};
use seed::data::{Dataset, FrameView, PixelFormat};
use seed::distill::{Bank, ImageEmbeddings, ImageTargets, Targets};
use seed::infer::{Output, Session, SessionOptions};
use seed::model::weights::{self, HostTensor, HostType, write_safetensors};
use seed::model::{Application, ApplicationOptions, Architecture, BatchFormat, Head, Network, Teacher, TorchScript};
use seed::train::{CancelToken, Control, Distillation, fill_bank};
use seed::{Error, ErrorKind, Result};
use tch::{CModule, Device, Kind, Tensor};

const DIM: usize = 6;
const SIDE: u32 = 32;

fn golden(name: &str) -> PathBuf {
    crate::golden::golden("teachers").join(name)
}

fn script(path: &Path, output: &str) -> Result<Teacher> {
    Ok(Teacher::from_embedder(TorchScript::load(path, output, (16, 20), Device::Cpu)?))
}

/// What an error says; `what` names the case in a failure.
fn refused<T>(what: &str, kind: ErrorKind, result: Result<T>) -> String {
    let error = result.err().unwrap_or_else(|| panic!("{what} was taken"));
    assert_eq!(error.kind(), kind, "{what}: {error}");
    error.message().to_owned()
}

fn config() -> Config {
    let mut config = Config {
        batch_size: 4,
        steps: 6,
        queue_capacity: 8,
        embedding_dim: DIM as u64,
        queue_fill: QueueFill::Noise,
        ..Config::default()
    };
    config.device = "cpu".to_owned();
    config.precision = Precision::Fp32;
    config.progress_every = 1;
    (config.view.input.width, config.view.input.height) = (SIDE, SIDE);
    config
}

fn dataset_of(images: u32) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for image in 0..images {
        let pixels: Vec<u8> = (0..40 * 40 * 3u32).map(|i| ((i / (1 + image % 5)) * (image + 3) % 251) as u8).collect();
        let view = FrameView::new(&pixels, 40, 40, 120, PixelFormat::Rgb8).unwrap();
        dataset.push(&format!("image {image}"), &view).unwrap();
    }
    Arc::new(dataset)
}

fn run_over(targets: impl Into<Targets>, config: &Config, dataset: Arc<Dataset>) -> Result<Distillation> {
    let head = Head::Projection { hidden: 16, dim: DIM as i64 };
    let student = Network::new(Architecture::MobileNetV3Small, head, 1, Device::Cpu)?;
    Distillation::new(config.clone(), Arc::new(Mutex::new(student)), targets, None, Some(dataset))
}

fn losses(run: &mut Distillation) -> Result<Vec<f64>> {
    let mut losses = Vec::new();
    run.run(None, &CancelToken::new(), |progress| {
        // The first report comes before there is a loss.
        losses.extend(Some(progress.loss).filter(|loss| !loss.is_nan()));
        Control::Continue
    })?;
    Ok(losses)
}

fn options(format: BatchFormat) -> ApplicationOptions {
    let (mean, std) = (config().view.input.mean, config().view.input.std);
    let (identity, at, device) = ("an engine, version 1".to_owned(), Device::Cpu, Device::Cpu);
    ApplicationOptions { dim: DIM as i64, identity, format, at, device, mean, std }
}

/// Means over the image's halves of each channel, centred: (B, 6).
fn halves(nchw: &Tensor) -> Tensor {
    let [top, bottom] = [0, 1].map(|half| {
        let height = nchw.size()[2] / 2;
        nchw.narrow(2, half * height, height).mean_dim([2i64, 3].as_slice(), false, Kind::Float)
    });
    Tensor::cat(&[top, bottom], 1) - 0.05
}

/// An engine that counts its calls and fails where `fails` says so of their number.
fn engine(calls: Arc<AtomicU64>, fails: fn(u64) -> bool) -> Teacher {
    let embed = move |images: &Tensor, embeddings: &Tensor| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        if fails(call) {
            return Err(Error::new(ErrorKind::Cancelled, "the teacher's callback returned 7"));
        }
        embeddings.shallow_clone().copy_(&halves(images));
        Ok(())
    };
    Teacher::from_embedder(Application::new(Box::new(embed), options(BatchFormat::FloatNchw)).unwrap())
}

fn steady() -> Arc<Teacher> {
    Arc::new(engine(Arc::default(), |_| false))
}

#[test]
fn torchscript_gives_what_pytorch_gives() {
    let expected = weights::read(&golden("expected.safetensors")).unwrap();
    let images = expected.tensors["images"].to_tensor().unwrap();
    let wanted = seed::model::unit_rows(&expected.tensors["embeddings"].to_tensor().unwrap()).unwrap();
    let apart = |teacher: &Teacher| (teacher.embed(&images).unwrap() - &wanted).abs().max().double_value(&[]);
    for (file, output) in
        [("tensor.pt", ""), ("map.pt", ""), ("dict.pt", "pooled"), ("tuple.pt", "pooled"), ("tuple.pt", "1")]
    {
        let teacher = script(&golden(file), output).unwrap();
        assert_eq!((teacher.embedding_dim(), teacher.name()), (6, "torchscript"));
        assert_eq!(teacher.parameter_count().unwrap(), 3 * 6 * 9 + 6 + 2 * 6);
        assert!(apart(&teacher) < 1e-6, "{file}: {}", apart(&teacher));
        assert_eq!(teacher.number_format(Kind::BFloat16), "float");
    }
    let rough = script(&golden("bfloat16.pt"), "").unwrap();
    assert_eq!(rough.number_format(Kind::Float), "bfloat16");
    assert!((1e-5..2e-2).contains(&apart(&rough)), "{}", apart(&rough));

    let teacher = script(&golden("tensor.pt"), "").unwrap();
    assert_eq!(teacher.identity().unwrap(), script(&golden("tensor.pt"), "").unwrap().identity().unwrap());
    assert_ne!(teacher.identity().unwrap(), script(&golden("map.pt"), "").unwrap().identity().unwrap());
    // What only a network of ours has.
    refused("features", ErrorKind::Unsupported, teacher.features(&images));
    refused("weights", ErrorKind::Unsupported, teacher.to_state());
    refused("a program", ErrorKind::Unsupported, teacher.fused(Kind::Float, 1, 16, 20).map(drop));
}

#[test]
fn several_threads_may_ask_one_module() {
    let teacher = script(&golden("tensor.pt"), "").unwrap();
    let images = Tensor::ones([2, 3, 16, 20], (Kind::Float, Device::Cpu));
    let first = teacher.embed(&images).unwrap();
    let first = Vec::<f32>::try_from(first.flatten(0, -1)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (teacher, first, images) = (&teacher, &first, images.copy());
            scope.spawn(move || {
                for _ in 0..20 {
                    let rows = Vec::<f32>::try_from(teacher.embed(&images).unwrap().flatten(0, -1)).unwrap();
                    assert!(rows.iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-6));
                }
            });
        }
    });
}

/// A module traced here: the closure of `images` (2, 3, 16, 20).
fn traced(folder: &Path, name: &str, body: &mut dyn FnMut(&Tensor) -> Tensor) -> PathBuf {
    let images = Tensor::ones([2, 3, 16, 20], (Kind::Float, Device::Cpu));
    let module = CModule::create_by_tracing(name, "forward", &[images], &mut |inputs| vec![body(&inputs[0])]).unwrap();
    let path = folder.join(format!("{name}.pt"));
    module.save(&path).unwrap();
    path
}

#[test]
fn modules_that_do_not_fit_say_what_they_give() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tokens = traced(folder, "Tokens", &mut |images| images.flatten(2, 3).transpose(1, 2));
    let message = refused("tokens", ErrorKind::Mismatch, script(&tokens, ""));
    assert!(message.contains("[2, 320, 3]") && message.contains("expected [2, D]"), "{message}");
    let whole = traced(folder, "Whole", &mut |images| (images.sum(Kind::Float) * 10.0).to_kind(Kind::Int64));
    let message = refused("whole numbers", ErrorKind::Mismatch, script(&whole, ""));
    assert!(message.contains("floating point"), "{message}");
    let joined = traced(folder, "Joined", &mut |images| images.view([1, -1]));
    refused("a joined batch", ErrorKind::Mismatch, script(&joined, ""));
    let wide = traced(folder, "Wide", &mut |images| images.flatten(1, 3).repeat([1, 100]));
    refused("a row of 96,000", ErrorKind::Mismatch, script(&wide, ""));
    let fixed = traced(folder, "Fixed", &mut |images| {
        images.flatten(1, 3).matmul(&Tensor::ones([960, 2], (Kind::Float, Device::Cpu)))
    });
    script(&fixed, "").unwrap();
    let other = TorchScript::load(&fixed, "", (24, 24), Device::Cpu).map(drop);
    let message = refused("another size of image", ErrorKind::Mismatch, other);
    assert!(message.contains("Fixed.pt") && message.contains("mat1"), "the module's own words: {message}");
    let named = script(&golden("dict.pt"), "embedding");
    let message = refused("a name that is not there", ErrorKind::Mismatch, named);
    assert!(message.contains("\"embedding\"") && message.contains("tokens, pooled"), "{message}");
    refused("the first of a dict", ErrorKind::Mismatch, script(&golden("dict.pt"), ""));
    refused("a name for one tensor", ErrorKind::Mismatch, script(&golden("tensor.pt"), "pooled"));

    // Rows without a direction are told when they come.
    let zeros = script(
        &traced(folder, "Zeros", &mut |images| images.mean_dim([2i64, 3].as_slice(), false, Kind::Float).relu()),
        "",
    )
    .unwrap();
    let message = refused(
        "zeros",
        ErrorKind::Mismatch,
        zeros.embed(&Tensor::full([3, 3, 16, 20], -1.0, (Kind::Float, Device::Cpu))),
    );
    assert!(message.contains("torchscript") && message.contains("zeros only for image 0 of a batch of 3"), "{message}");
}

#[test]
fn hostile_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pt");
    let good = std::fs::read(golden("tensor.pt")).unwrap();
    let weights_alone = crate::golden::golden("weights/plain.zip.pt");
    let message = refused("weights alone", ErrorKind::Format, script(&weights_alone, ""));
    assert!(message.contains("plain.zip.pt") && message.contains("torch.jit.save"), "{message}");
    refused("a folder", ErrorKind::Format, script(folder.path(), ""));
    refused("nothing", ErrorKind::Io, script(&folder.path().join("none.pt"), ""));
    for (what, bytes) in [("empty", Vec::new()), ("text", b"hello".to_vec()), ("half", good[..good.len() / 2].to_vec())]
    {
        std::fs::write(&path, bytes).unwrap();
        let message = refused(what, ErrorKind::Format, script(&path, ""));
        assert!(message.contains("hostile.pt"), "{message}");
    }
    // Bytes turned anywhere, some of them in the archive's directory, are an error or another network, but no crash.
    let mut outcomes = [0; 2];
    for step in 0..120usize {
        let mut bytes = good.clone();
        for turn in 0..1 + step % 4 {
            let place = (step * 7919 + turn * 104_729) % bytes.len();
            bytes[place] = bytes[place].wrapping_add(1 + (step * 31 + turn) as u8 % 254);
        }
        std::fs::write(&path, bytes).unwrap();
        outcomes[usize::from(script(&path, "").is_ok())] += 1;
    }
    assert!(outcomes[0] > 20, "{outcomes:?}");
}

#[test]
fn an_engine_teaches_as_a_network_would() {
    let calls = Arc::new(AtomicU64::new(0));
    let teacher = Arc::new(engine(Arc::clone(&calls), |_| false));
    let config = Config { accumulation_steps: 2, ..config() };
    let mut run = run_over(Arc::clone(&teacher), &config, dataset_of(9)).unwrap();
    let found = losses(&mut run).unwrap();
    assert_eq!((found.len(), calls.load(Ordering::Relaxed)), (6, 12), "two pieces a step");
    assert!(found[5] < found[0], "{found:?}");
    // The queue holds the engine's own unit rows.
    let rows = run.queue().lock().unwrap().snapshot().unwrap().rows;
    assert!((rows.norm_scalaropt_dim(2.0, [1i64].as_slice(), false) - 1.0).abs().max().double_value(&[]) < 1e-5);
    refused("a count of parameters", ErrorKind::Unsupported, teacher.parameter_count());
}

#[test]
fn pixels_come_back_as_they_were() {
    // The loader's own views, whole levels before they were normalised, are compared with the levels that the engine sees.
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let embed = move |images: &Tensor, embeddings: &Tensor| {
        assert_eq!((images.kind(), images.is_contiguous()), (Kind::Uint8, true));
        keep.lock().unwrap().extend(Vec::<u8>::try_from(images.flatten(0, -1)).unwrap());
        embeddings.shallow_clone().copy_(&halves(&images.permute([0, 3, 1, 2]).to_kind(Kind::Float)));
        Ok(())
    };
    let teacher = Teacher::from_embedder(Application::new(Box::new(embed), options(BatchFormat::BytesNhwc)).unwrap());
    let frames = dataset_of(5);
    losses(&mut run_over(Arc::new(teacher), &config(), Arc::clone(&frames)).unwrap()).unwrap();
    let view = config().view;
    let loader = seed::data::Loader::views(frames, view.clone(), 0, 4, 0..6, 1).unwrap();
    let mut numbers = Vec::<f32>::new();
    for batch in loader {
        numbers.extend(&batch.unwrap().views[0].pixels);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), numbers.len());
    for (i, (&level, number)) in seen.iter().zip(numbers).enumerate() {
        let again = (f32::from(level) / 255.0 - view.input.mean[i % 3] as f32) / view.input.std[i % 3] as f32;
        assert_eq!(again, number, "number {i} is of another level than {level}");
    }
}

#[test]
fn an_engine_that_fails_loses_nothing() {
    let teacher = Arc::new(engine(Arc::default(), |call| call == 3));
    let mut run = run_over(teacher, &config(), dataset_of(9)).unwrap();
    let message = refused("the fourth call", ErrorKind::Cancelled, losses(&mut run));
    assert_eq!((run.step(), message.as_str()), (3, "the teacher's callback returned 7"));
    assert_eq!(losses(&mut run).unwrap().len(), 3, "the next call goes on");

    let mut whole = run_over(steady(), &config(), dataset_of(9)).unwrap();
    losses(&mut whole).unwrap();
    let rows = |run: &Distillation| run.queue().lock().unwrap().snapshot().unwrap().rows;
    assert_eq!(rows(&run), rows(&whole), "the step that failed left nothing behind");

    for bad in [0.0, f64::NAN, f64::INFINITY] {
        let embed = move |_: &Tensor, embeddings: &Tensor| {
            let _ = embeddings.shallow_clone().fill_(1.0);
            let _ = embeddings.get(2).fill_(bad);
            Ok(())
        };
        let teacher = Application::new(Box::new(embed), options(BatchFormat::FloatNchw)).unwrap();
        let mut run = run_over(Arc::new(Teacher::from_embedder(teacher)), &config(), dataset_of(9)).unwrap();
        let message = refused("a bad row", ErrorKind::Mismatch, losses(&mut run));
        assert!(message.contains("for image image 3") && run.step() == 0, "{message}");
    }
}

#[test]
fn a_bank_of_an_engine_is_the_engine_to_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.bank");
    let config = Config { view_count: 2, ..config() };
    let frames = dataset_of(70);
    let none = CancelToken::new();
    // The second of the bank's three chunks fails; what was finished is kept.
    let failing = engine(Arc::default(), |call| call == 20);
    let failed = fill_bank(&path, &config, &failing, &frames, None, &none, |_| Control::Continue);
    refused("a filling whose engine fails", ErrorKind::Cancelled, failed);
    assert_eq!(Bank::open(&path).unwrap().rows(), (64, 140));
    fill_bank(&path, &config, &steady(), &frames, None, &none, |_| Control::Continue).unwrap();
    let bank = Bank::open(&path).unwrap();
    bank.verify().unwrap();
    assert_eq!(bank.header().teacher.architecture, "application");
    assert_eq!((bank.header().teacher.precision.as_str(), bank.header().dim), ("its own", DIM as u64));
    bank.check_teacher(steady().name(), &steady().identity().unwrap()).unwrap();
    let other = bank.check_teacher("application", "application another engine");
    assert!(refused("another identity", ErrorKind::Mismatch, other).contains("an engine, version 1"));

    let mut stored = run_over(Arc::new(bank), &config, Arc::clone(&frames)).unwrap();
    let mut online = run_over(steady(), &config, frames).unwrap();
    let (a, b) = (losses(&mut stored).unwrap(), losses(&mut online).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 2e-3), "{a:?} {b:?}");
}

#[test]
fn a_checkpoint_knows_its_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut run = run_over(steady(), &config(), dataset_of(9)).unwrap();
    run.run(Some(3), &CancelToken::new(), |_| Control::Continue).unwrap();
    run.save(&path).unwrap();
    let rest = losses(&mut run).unwrap();
    let mut again = run_over(steady(), &config(), dataset_of(9)).unwrap();
    again.resume(&path).unwrap();
    assert_eq!(losses(&mut again).unwrap(), rest, "the same run");
    let embed = |_: &Tensor, _: &Tensor| Ok(());
    let options = ApplicationOptions { identity: "version 2".to_owned(), ..options(BatchFormat::FloatNchw) };
    let other = Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap());
    let mut other = run_over(Arc::new(other), &config(), dataset_of(9)).unwrap();
    let message = refused("another engine", ErrorKind::Mismatch, other.resume(&path));
    assert!(message.contains("an engine, version 1") && message.contains("version 2"), "{message}");
}

#[test]
fn a_session_of_an_engine_gives_its_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.png");
    std::fs::write(&broken, b"no image").unwrap();
    let frames = dataset_of(3);
    let session_options = SessionOptions::default();
    for format in [BatchFormat::FloatNchw, BatchFormat::BytesNhwc] {
        let embed = move |images: &Tensor, embeddings: &Tensor| {
            let images = match format {
                BatchFormat::FloatNchw => images.shallow_clone(),
                BatchFormat::BytesNhwc => images.permute([0, 3, 1, 2]).to_kind(Kind::Float),
            };
            embeddings.shallow_clone().copy_(&(halves(&images) + 100.0));
            Ok(())
        };
        let teacher = Teacher::from_embedder(Application::new(Box::new(embed), options(format)).unwrap());
        let session = Session::of_teacher(&teacher, &config().view.input, session_options).unwrap();
        assert_eq!((session.dim(), session.describe().as_str()), (DIM, "cpu, application"));
        let all = session.embed_dataset(&frames, 2, 1, &mut |_, _| true).unwrap();
        let frame = frames.load(1).unwrap();
        let view = FrameView::new(frame.pixels(), 40, 40, 120, PixelFormat::Rgb8).unwrap();
        let one = session.embed(&[view]).unwrap();
        assert!(one.iter().zip(&all[DIM..]).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!((one.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
        // A broken image has a row of zeros, here too.
        let some = Arc::new(Dataset::from_files(vec![broken.clone()]).unwrap());
        some.push("sound", &view).unwrap();
        let rows = session.embed_dataset(&some, 4, 1, &mut |_, _| true).unwrap();
        assert!(rows[..DIM].iter().all(|&value| value == 0.0) && rows[DIM..] == one[..]);
        let features = SessionOptions { output: Output::Features, ..session_options };
        refused("features", ErrorKind::Unsupported, Session::of_teacher(&teacher, &config().view.input, features));
    }
}

#[test]
fn several_runs_share_one_engine() {
    let alone = losses(&mut run_over(steady(), &config(), dataset_of(9)).unwrap()).unwrap();
    let teacher = steady();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (teacher, alone) = (Arc::clone(&teacher), &alone);
            scope.spawn(move || {
                let mut run = run_over(teacher, &config(), dataset_of(9)).unwrap();
                assert_eq!(&losses(&mut run).unwrap(), alone);
            });
        }
    });
}

/// The table of make_teachers.py, each row divided by its length.
fn table() -> Vec<Vec<f32>> {
    let rows = weights::read(&golden("named.safetensors")).unwrap().tensors["embeddings"].to_tensor().unwrap();
    let rows = rows.flip([0]); // stored from the last to the first
    (0..5).map(|i| Vec::try_from(seed::model::unit_rows(&rows.narrow(0, i, 1)).unwrap().view([-1])).unwrap()).collect()
}

fn named(names: &[&str]) -> Dataset {
    let dataset = Dataset::in_memory();
    for name in names {
        dataset.push(name, &FrameView::new(&[128; 64], 8, 8, 8, PixelFormat::Mono8).unwrap()).unwrap();
    }
    dataset
}

#[test]
fn embeddings_are_read_as_numpy_wrote_them() {
    let dataset = named(&["b", "e", "a", "d", "c"]);
    let row = |targets: &ImageTargets, image: usize| {
        Vec::<f32>::try_from(targets.targets(&[image]).unwrap().view([-1])).unwrap()
    };
    let near = |a: &[f32], b: &[f32], bound: f32| a.iter().zip(b).all(|(a, b)| (a - b).abs() < bound);
    for (file, bound) in [("half.npy", 1e-3), ("single.npy", 1e-6), ("double.npy", 1e-6)] {
        let targets = ImageTargets::new(Arc::new(ImageEmbeddings::load(&golden(file)).unwrap()), &dataset).unwrap();
        assert!((0..5).all(|i| near(&row(&targets, i), &table()[i], bound)), "{file}");
    }
    // By name, whatever the order, and more of them than images.
    let embeddings = Arc::new(ImageEmbeddings::load(&golden("named.safetensors")).unwrap());
    let targets = ImageTargets::new(Arc::clone(&embeddings), &dataset).unwrap();
    for (image, wanted) in [1, 4, 0, 3, 2].into_iter().enumerate() {
        assert!(near(&row(&targets, image), &table()[wanted], 1e-6), "image {image}");
    }
    ImageTargets::new(Arc::clone(&embeddings), &named(&["c"])).unwrap();
    let message = refused("names", ErrorKind::Mismatch, ImageTargets::new(embeddings, &named(&["a", "x", "b", "y"])));
    assert!(message.contains("2 of 4 images") && message.contains("x, y"), "{message}");
    let message = refused("a row too few", ErrorKind::Mismatch, {
        ImageTargets::new(Arc::new(ImageEmbeddings::load(&golden("single.npy")).unwrap()), &named(&["a"; 6]))
    });
    assert!(message.contains("5 embeddings for 6 images"), "{message}");
}

#[test]
fn broken_images_need_no_embedding_and_shift_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, level: u8| {
        let path = folder.path().join(name);
        image::GrayImage::from_fn(24, 24, |x, y| image::Luma([level.wrapping_mul(x as u8 ^ y as u8)]))
            .save(&path)
            .unwrap();
        path
    };
    let files = vec![file("0.png", 3), file("1.png", 7), file("2.png", 11)];
    std::fs::write(&files[1], b"broken").unwrap();
    let dataset = Arc::new(Dataset::from_files(files).unwrap());
    let mut numbers = vec![1f32; 3 * DIM];
    numbers[..DIM].copy_from_slice(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    numbers[DIM..2 * DIM].fill(f32::NAN);
    numbers[2 * DIM..].copy_from_slice(&[0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    let embeddings = Arc::new(ImageEmbeddings::new(&numbers, DIM).unwrap());
    let targets = Arc::new(ImageTargets::new(embeddings, &dataset).unwrap());
    let config = Config { batch_size: 3, steps: 4, queue_capacity: 12, ..config() };
    let mut run = run_over(Arc::clone(&targets), &config, Arc::clone(&dataset)).unwrap();
    losses(&mut run).unwrap();
    // In each epoch image 2 stands in for image 1 as well, with its own embedding.
    let rows = run.queue().lock().unwrap().snapshot().unwrap().rows;
    let counts = rows.sum_dim_intlist([0i64].as_slice(), false, Kind::Float);
    assert_eq!(Vec::<f32>::try_from(counts).unwrap(), [4.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
    refused("a row of a broken image", ErrorKind::Mismatch, targets.targets(&[1]));
    refused("an image of later", ErrorKind::Mismatch, targets.targets(&[3]));

    // The same rows for sound images are refused, and so is a grown data set.
    let sound = dataset_of(3);
    let embeddings = Arc::new(ImageEmbeddings::new(&numbers, DIM).unwrap());
    let message = refused("NaN", ErrorKind::Mismatch, ImageTargets::new(embeddings, &sound));
    assert!(message.contains("image 1"), "{message}");
    numbers[DIM..2 * DIM].fill(0.5);
    let embeddings = Arc::new(ImageEmbeddings::new(&numbers, DIM).unwrap());
    let targets = Arc::new(ImageTargets::new(embeddings, &sound).unwrap());
    let grown = dataset_of(4);
    refused("a grown data set", ErrorKind::Mismatch, run_over(Arc::clone(&targets), &config, grown).map(drop));
    let mut run = run_over(targets, &config, sound).unwrap();
    let frame = dataset_of(1).load(0).unwrap();
    refused("a step on other images", ErrorKind::InvalidArgument, run.step_on(std::slice::from_ref(&*frame)));
}

#[test]
fn hostile_tables_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    let good = std::fs::read(golden("single.npy")).unwrap();
    for length in 0..good.len() {
        std::fs::write(&path, &good[..length]).unwrap();
        refused("a file that is cut off", ErrorKind::Format, ImageEmbeddings::load(&path).map(drop));
    }
    let tensor = |shape: Vec<usize>, dtype: HostType| {
        let bytes = vec![1; shape.iter().product::<usize>() * dtype.size()];
        HostTensor::new(dtype, shape, bytes).unwrap()
    };
    let cases = [
        ("another name", "embedding", tensor(vec![2, 3], HostType::F32), "[\"a\", \"b\"]"),
        ("one dimension", "embeddings", tensor(vec![6], HostType::F32), "[\"a\", \"b\"]"),
        ("no rows", "embeddings", tensor(vec![0, 3], HostType::F32), "[]"),
        ("no columns", "embeddings", tensor(vec![2, 0], HostType::F32), "[\"a\", \"b\"]"),
        ("whole numbers", "embeddings", tensor(vec![2, 3], HostType::I32), "[\"a\", \"b\"]"),
        ("a name too few", "embeddings", tensor(vec![2, 3], HostType::F32), "[\"a\"]"),
        ("a name twice", "embeddings", tensor(vec![2, 3], HostType::F32), "[\"a\", \"a\"]"),
        ("no list of names", "embeddings", tensor(vec![2, 3], HostType::F32), "{\"a\": 1}"),
    ];
    for (what, name, tensor, names) in cases {
        let metadata = [("names".to_owned(), names.to_owned())].into();
        write_safetensors(&path, &[(name.to_owned(), tensor)], &metadata).unwrap();
        let message = refused(what, ErrorKind::Format, ImageEmbeddings::load(&path).map(drop));
        assert!(message.contains(path.to_str().unwrap()), "{what}: {message}");
    }
    refused("a folder", ErrorKind::Format, ImageEmbeddings::load(folder.path()).map(drop));
    refused("no file", ErrorKind::Io, ImageEmbeddings::load(&folder.path().join("none")).map(drop));
    refused("no rows", ErrorKind::InvalidArgument, ImageEmbeddings::new(&[], 3).map(drop));
    refused("a broken row", ErrorKind::InvalidArgument, ImageEmbeddings::new(&[1.0; 7], 3).map(drop));
}
