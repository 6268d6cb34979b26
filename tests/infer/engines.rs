//! Engines: sessions by ONNX Runtime and by the embedded engine give what libtorch's give, and what is no ONNX Runtime is an error.
//!
//! The library is the one inside of Python's package onnxruntime, which `.ci/run` installs; SEED_PYTHON may name another Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pictures::{levels, size, trained};
use crate::programs::{compile, compiler, expect_success, python, quiet, root};
use crate::skipped::skip;
use seed::config::{Config, EngineConfig, EngineName};
use seed::data::{Dataset, FrameView, Input, PixelFormat};
use seed::infer::{
    AnomalyDetector, Classifier, ClassifierHeader, EngineChoice, LiveSession, Output, Session, SessionOptions,
};
use seed::model::student_file::{StudentHeader, save_student};
use seed::model::{Architecture, Head, Mode, Network, Teacher};
use seed::{Error, ErrorKind};
use tch::{Device, Kind, Tensor};

const HEAD: Head = Head::Projection { hidden: 48, dim: 32 };

/// The folder with ONNX Runtime's library, where this machine has one.
fn library() -> Option<PathBuf> {
    let script = "import os, onnxruntime; print(os.path.join(os.path.dirname(onnxruntime.__file__), 'capi'))";
    let output = python().args(["-c", script]).output().ok().filter(|output| output.status.success());
    if output.is_none() {
        skip("no Python with onnxruntime; SEED_PYTHON may name one");
    }
    Some(PathBuf::from(String::from_utf8(output?.stdout).unwrap().trim()))
}

/// The engines beside libtorch that are here, with the library that each needs.
fn others() -> Vec<(EngineName, PathBuf)> {
    let embedded = (EngineName::Embedded, PathBuf::new());
    std::iter::once(embedded).chain(library().map(|library| (EngineName::OnnxRuntime, library))).collect()
}

fn engine(name: EngineName, library: &Path, providers: &str) -> EngineChoice {
    let (library, providers) = (library.to_str().unwrap().to_owned(), providers.to_owned());
    EngineChoice::of(&EngineConfig { name, library, providers })
}

fn options(name: EngineName, library: &Path, output: Output) -> SessionOptions {
    SessionOptions { engine: engine(name, library, ""), output, ..SessionOptions::default() }
}

fn input(architecture: Architecture) -> Input {
    let (height, width) = size(architecture);
    Input { width: width as u32, height: height as u32, mean: [0.4, 0.5, 0.45], ..Input::default() }
}

/// Frames of 131 × 77 pixels.
fn pixels(count: i64) -> Vec<u8> {
    levels(count, 77, 131).flatten(0, -1).try_into().unwrap()
}

fn frames(pixels: &[u8]) -> Vec<FrameView<'_>> {
    let view = |one| FrameView::new(one, 131, 77, 131 * 3, PixelFormat::Rgb8).unwrap();
    pixels.chunks_exact(131 * 77 * 3).map(view).collect()
}

/// The largest difference over the largest number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(1e-12f32, |most, value| most.max(value.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

fn refusal(library: &Path) -> Error {
    let network = Network::new(Architecture::MobileNetV3Small, HEAD, 1, Device::Cpu).unwrap();
    let input = input(network.architecture());
    Session::new(&network, &input, options(EngineName::OnnxRuntime, library, Output::Embedding)).unwrap_err()
}

#[test]
fn other_engines_give_libtorchs_rows_and_maps() {
    others().iter().for_each(|(engine, library)| gives_libtorchs_rows_and_maps(*engine, library));
}

fn gives_libtorchs_rows_and_maps(engine: EngineName, library: &Path) {
    let begin = if engine == EngineName::Embedded { "embedded (" } else { "onnxruntime 1." };
    // More than one piece.
    let pixels = pixels(18);
    let frames = frames(&pixels);
    for name in
        ["resnet18", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "tf_efficientnet_b0", "vit_small_patch16"]
    {
        let architecture = Architecture::parse(name).unwrap();
        let network = trained(architecture, HEAD);
        let input = input(architecture);
        for output in [Output::Embedding, Output::Features] {
            let own = Session::new(&network, &input, SessionOptions { output, ..Default::default() }).unwrap();
            let other = Session::new(&network, &input, options(engine, library, output)).unwrap();
            let set = format!("the setting \"engine\" is \"{}\"", engine.word());
            assert!(other.engine().starts_with(begin) && other.engine().ends_with(&set), "{}", other.engine());
            assert!(other.describe().starts_with(begin) && other.describe().contains("float32"));
            assert!(own.engine().starts_with("libtorch: "), "{}", own.engine());
            assert_eq!((other.dim(), other.stages()), (own.dim(), own.stages()));
            let found = apart(&other.embed(&frames).unwrap(), &own.embed(&frames).unwrap());
            assert!(found < 1e-5, "{name} {output:?}: {found}");
            let alone = apart(&other.embed(&frames[..1]).unwrap(), &own.embed(&frames[..1]).unwrap());
            assert!(alone < 1e-5, "{name} {output:?}, one frame: {alone}");
            if output == Output::Features && !own.stages().is_empty() {
                let names: Vec<&str> = own.stages().iter().map(|stage| stage.name.as_str()).collect();
                let maps = [&own, &other].map(|session| session.feature_maps(&frames, &names).unwrap());
                let values = |map: &Tensor| Vec::<f32>::try_from(map.flatten(0, -1)).unwrap();
                for ((stage, a), b) in names.iter().zip(&maps[1]).zip(&maps[0]) {
                    assert_eq!(a.size(), b.size());
                    let found = apart(&values(a), &values(b));
                    assert!(found < 1e-5, "{name} {stage}: {found}");
                }
                // In any order, and as often as is asked.
                let asked = [names[1], names[0], names[1]];
                let again = other.feature_maps(&frames, &asked).unwrap();
                for (map, number) in again.iter().zip([1, 0, 1]) {
                    assert!(apart(&values(map), &values(&maps[1][number])) < 1e-6, "{name} {asked:?}");
                }
            }
        }
    }
}

#[test]
fn grey_students_tensors_data_sets_and_teachers_run_on_them() {
    others().iter().for_each(|(engine, library)| grey_students_tensors_data_sets_and_teachers(*engine, library));
}

fn grey_students_tensors_data_sets_and_teachers(engine: EngineName, library: &Path) {
    let grey = Network::with_channels(Architecture::MobileNetV3Small, HEAD, 1, 3, Device::Cpu).unwrap();
    let input = input(grey.architecture());
    let by = |name| Session::new(&grey, &input, options(name, library, Output::Embedding)).unwrap();
    let (own, other) = (by(EngineName::Libtorch), by(engine));
    let pixels = pixels(3);
    let frames = frames(&pixels);
    let rows = own.embed(&frames).unwrap();
    assert!(apart(&other.embed(&frames).unwrap(), &rows) < 1e-5);

    let images = levels(3, 77, 131);
    let found: Vec<f32> = other.embed_tensor(&images).unwrap().flatten(0, -1).try_into().unwrap();
    let expected: Vec<f32> = own.embed_tensor(&images).unwrap().flatten(0, -1).try_into().unwrap();
    assert!(apart(&found, &expected) < 1e-5);

    let folder = tempfile::tempdir().unwrap();
    for (number, one) in pixels.chunks_exact(131 * 77 * 3).enumerate() {
        let path = folder.path().join(format!("{number}.png"));
        image::save_buffer(path, one, 131, 77, image::ExtendedColorType::Rgb8).unwrap();
    }
    let dataset = std::sync::Arc::new(Dataset::from_folder(folder.path()).unwrap());
    assert!(apart(&other.embed_dataset(&dataset, 2, 1, &mut |_, _| true).unwrap(), &rows) < 1e-5);

    let teacher = Teacher::new(Network::new(Architecture::MobileNetV3Small, HEAD, 4, Device::Cpu).unwrap()).unwrap();
    let by = |name| Session::of_teacher(&teacher, &input, options(name, library, Output::Embedding)).unwrap();
    let [a, b] = [EngineName::Libtorch, engine].map(|name| by(name).embed(&frames).unwrap());
    assert!(apart(&b, &a) < 1e-5);
}

#[test]
fn classifiers_and_detectors_judge_alike() {
    others().iter().for_each(|(engine, library)| judge_alike(*engine, library));
}

fn judge_alike(engine: EngineName, library: &Path) {
    let pixels = pixels(6);
    let frames = frames(&pixels);
    let architecture = Architecture::MobileNetV3Small;
    let input = input(architecture);
    let classify = |name| {
        let network = trained(architecture, Head::Classifier { classes: 3 });
        let header = ClassifierHeader::uncalibrated(["a", "b", "c"].map(String::from).to_vec());
        let classifier = Classifier::new(network, &input, header, options(name, library, Output::Logits)).unwrap();
        classifier.classify(&frames).unwrap().probabilities().to_vec()
    };
    let probabilities = [EngineName::Libtorch, engine].map(classify);
    assert!(apart(&probabilities[1], &probabilities[0]) < 1e-5);

    let folder = tempfile::tempdir().unwrap();
    for (number, one) in pixels.chunks_exact(131 * 77 * 3).enumerate() {
        let path = folder.path().join(format!("{number}.png"));
        image::save_buffer(path, one, 131, 77, image::ExtendedColorType::Rgb8).unwrap();
    }
    let good = Dataset::from_folder(folder.path()).unwrap();
    let mut config = Config::default();
    config.set_string("device", "cpu").unwrap();
    config.set_string("precision", "fp32").unwrap();
    let network = trained(Architecture::ResNet18, Head::None);
    let detector = AnomalyDetector::fit(
        &network,
        &input,
        &config,
        SessionOptions { output: Output::Features, ..Default::default() },
        &good,
        &mut |_, _| true,
    );
    let path = folder.path().join("detector.safetensors");
    detector.unwrap().save(&path).unwrap();
    let judged = [EngineName::Libtorch, engine].map(|name| {
        let detector = AnomalyDetector::open(&path, options(name, library, Output::Features)).unwrap();
        let shifted: Vec<u8> = pixels.iter().map(|level| 255 - level).collect();
        detector.judge(&self::frames(&shifted), true).unwrap()
    });
    for (own, other) in judged[0].iter().zip(&judged[1]) {
        assert!((own.score - other.score).abs() < 1e-4 * own.score, "{} {}", own.score, other.score);
        assert!(apart(&other.map, &own.map) < 1e-3);
    }
}

#[test]
fn auto_says_what_it_took_and_why() {
    let Some(library) = library() else { return };
    let network = trained(Architecture::MobileNetV3Small, HEAD);
    let input = input(network.architecture());
    let pixels = pixels(4);
    let frames = frames(&pixels);
    let rows = Session::new(&network, &input, SessionOptions::default()).unwrap().embed(&frames).unwrap();
    let auto = Session::new(&network, &input, options(EngineName::Auto, &library, Output::Embedding)).unwrap();
    let said = auto.engine();
    for words in [
        "\"engine\" is \"auto\"",
        "libtorch takes ",
        "onnxruntime 1.",
        "embedded (",
        "in a batch",
        "cosine of their rows is 1.0000",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(["libtorch: ", "onnxruntime 1.", "embedded ("].iter().any(|name| said.starts_with(name)), "{said}");
    assert!(apart(&auto.embed(&frames).unwrap(), &rows) < 1e-5);
    assert_eq!(auto.warnings().text(), "");

    // Another number format is libtorch's alone.
    let rough = |name| SessionOptions { precision: Some(Kind::BFloat16), ..options(name, &library, Output::Embedding) };
    let session = Session::new(&network, &input, rough(EngineName::Auto)).unwrap();
    assert!(session.engine().starts_with("libtorch: ") && session.precision() == Kind::BFloat16);
    let error = Session::new(&network, &input, rough(EngineName::OnnxRuntime)).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("float32"), "{error}");

    // What was named and is not there is not passed over in silence.
    let nowhere = options(EngineName::Auto, Path::new("/nowhere"), Output::Embedding);
    let session = Session::new(&network, &input, nowhere).unwrap();
    assert!(session.engine().contains("there is no onnxruntime") && session.engine().contains("/nowhere"));
    assert!(session.warnings().text().contains("/nowhere"), "{}", session.warnings().text());

    // A network that gives NaN agrees with nobody.
    let broken = trained(Architecture::MobileNetV3Small, HEAD);
    {
        let _no_grad = tch::no_grad_guard();
        let (_, mut bias) = broken.parameters().into_iter().find(|(name, _)| name == "projection.2.bias").unwrap();
        let _same = bias.fill_(f64::NAN);
    }
    let session = Session::new(&broken, &input, options(EngineName::Auto, &library, Output::Embedding)).unwrap();
    assert!(session.engine().starts_with("libtorch: "), "{}", session.engine());
}

#[test]
fn threads_share_a_session_and_training_changes_nothing() {
    let Some(library) = library() else { return };
    let network = trained(Architecture::MobileNetV3Small, HEAD);
    let input = input(network.architecture());
    let by = |name| Session::new(&network, &input, options(name, &library, Output::Embedding)).unwrap();
    let (other, own) = (LiveSession::new(by(EngineName::OnnxRuntime)), LiveSession::new(by(EngineName::Libtorch)));
    let pixels = pixels(6);
    let frames = frames(&pixels);
    let expected = own.current().embed(&frames).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        network.parameters().into_iter().for_each(|(_, mut tensor)| _ = tensor.f_add_scalar_(0.5).unwrap());
    }
    let _logits = network.forward(&Tensor::ones([4, 3, 64, 80], (Kind::Float, Device::Cpu)), Mode::Train { noise: 1 });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (other, own, frames, expected) = (&other, &own, &frames, &expected);
            scope.spawn(move || {
                for lap in 0..10 {
                    assert!(apart(&other.current().embed(frames).unwrap(), expected) < 1e-5);
                    let maps = other.current();
                    let stage = maps.stages()[lap % 2].name.clone();
                    maps.feature_maps(&frames[..1], &[&stage]).unwrap();
                    if thread == 0 {
                        other.exchange(own).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn providers_are_checked_against_the_library() {
    let Some(library) = library() else { return };
    let network = Network::new(Architecture::MobileNetV3Small, HEAD, 1, Device::Cpu).unwrap();
    let input = input(network.architecture());
    let by = |providers: &str| {
        let engine = engine(EngineName::OnnxRuntime, &library, providers);
        Session::new(&network, &input, SessionOptions { engine, ..SessionOptions::default() })
    };
    let session = by("cpu").unwrap();
    assert!(session.engine().contains("(cpu)"), "{}", session.engine());
    by(" CPUExecutionProvider ,").unwrap();
    for (words, kind) in [("directml,cpu", ErrorKind::Unsupported), ("cpu,abacus", ErrorKind::Config)] {
        let error = by(words).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        for words in ["engine.providers", "has ", "CPUExecutionProvider", "libonnxruntime.so"] {
            assert!(error.message().contains(words), "{error}");
        }
    }
}

#[test]
fn what_is_no_onnx_runtime_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("text.so"), "no library at all").unwrap();
    std::fs::write(place("short.so"), b"\x7fELF").unwrap();
    let fake = |name: &str, code: &str| {
        let (source, library) = (place(&format!("{name}.c")), place(&format!("{name}.so")));
        std::fs::write(&source, format!("#include <stddef.h>\n{code}\n")).unwrap();
        let output = compiler("c").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output().unwrap();
        expect_success(name, &output);
        library
    };
    let base = |get_api: &str, version: &str| {
        format!(
            "static const void *api(unsigned v) {{ static const void *places[300]; (void)v; (void)places; return {get_api}; }}\n\
             static const char *version(void) {{ return {version}; }}\n\
             static const struct {{ const void *(*a)(unsigned); const char *(*b)(void); }} base = {{ api, version }};\n\
             const void *OrtGetApiBase(void) {{ return &base; }}"
        )
    };
    for (library, kind, words) in [
        (place("nowhere.so"), ErrorKind::Io, "cannot be read"),
        (folder.path().to_owned(), ErrorKind::Io, "is a folder without a libonnxruntime.so"),
        (place("text.so"), ErrorKind::Mismatch, "cannot be loaded"),
        (place("short.so"), ErrorKind::Mismatch, "cannot be loaded"),
        (fake("ordinary", "int answer(void) { return 42; }"), ErrorKind::Mismatch, "no OrtGetApiBase"),
        (fake("null", "void *OrtGetApiBase(void) { return NULL; }"), ErrorKind::Mismatch, "gives no functions"),
        (fake("old", &base("NULL", "\"1.9.1\"")), ErrorKind::Mismatch, "is version \"1.9.1\"; expected 1.17"),
        (fake("new", &base("NULL", "\"2.0.0\"")), ErrorKind::Mismatch, "is version \"2.0.0\"; expected 1.17"),
        (fake("mute", &base("NULL", "NULL")), ErrorKind::Mismatch, "of a version that it does not tell"),
        (fake("empty", &base("NULL", "\"1.30.0\"")), ErrorKind::Mismatch, "version 1.30.0 but lacks functions"),
        (fake("holes", &base("places", "\"1.31.0\"")), ErrorKind::Mismatch, "version 1.31.0 but lacks functions"),
    ] {
        for _again in 0..2 {
            let error = refusal(&library);
            assert_eq!(error.kind(), kind, "{error}");
            let path = library.canonicalize().unwrap_or(library.clone());
            assert!(error.message().contains(words) && error.message().contains(path.to_str().unwrap()), "{error}");
            assert!(error.message().contains("engine.library"), "{error}");
        }
    }
    // A library that needs another one which is not there.
    let needs = fake("needs", "extern int nobody(void); int answer(void) { return nobody(); }");
    assert!(refusal(&needs).message().contains("nobody"), "{}", refusal(&needs));
}

/// A program in C: the setting, the environment and the process's end while threads are inside of the engine.
#[test]
fn c_programs_choose_an_engine_and_may_end_inside_of_it() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = trained(Architecture::MobileNetV3Small, HEAD);
    let student = folder.path().join("student.safetensors");
    save_student(&student, &network, &StudentHeader::new(&network, &input(network.architecture()))).unwrap();
    let program = compile(&root().join("tests/infer/engine.c"), &["-std=c11"], folder.path());
    let run = |place: Option<&Path>, how: &str| {
        let mut command: Command = quiet(&program);
        command.env("OMP_NUM_THREADS", "1").env_remove("SEED_ONNXRUNTIME").arg(&student).arg(how);
        place.map(|place| command.env("SEED_ONNXRUNTIME", place));
        expect_success(how, &command.output().unwrap())
    };
    assert!(run(Some(&library), "onnxruntime").starts_with("onnxruntime 1."));
    assert!(run(Some(&library), "auto").contains("the smallest cosine of their rows is"));
    assert!(run(Some(&library), "").starts_with("libtorch: the setting \"engine\" is \"libtorch\""));
    let missing = run(Some(Path::new("/nowhere")), "onnxruntime");
    assert!(
        missing.contains("error 3") && missing.contains("SEED_ONNXRUNTIME") && missing.contains("/nowhere"),
        "{missing}"
    );
    for _ in 0..8 {
        assert!(run(Some(&library), "leave").contains("leaving"));
    }
}
