//! C++ over the C ABI: seed.hpp has all of seed.h; its checks hold in every build of it; the examples and seed-doctor run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::{self, expect_success, library_folder, root};
use crate::skipped::skip;
use image::{GrayImage, Luma};

fn compile(source: &str, flags: &[&str], folder: &Path) -> PathBuf {
    programs::compile(&root().join(source), flags, folder)
}

/// One thread computes: these programs run side by side, and OpenMP's threads spin while they wait for each other.
fn quiet(program: &Path) -> Command {
    let mut command = programs::quiet(program);
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// Runs the checks of tests/cpp in a folder of their own, which then holds teacher.safetensors (a mobilenet_v3_small) and
/// student.safetensors.
fn check_bindings(flags: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for source in CHECKS {
        let program = compile(source, flags, folder.path());
        let output = quiet(&program).arg(folder.path()).output().unwrap();
        let text = expect_success(&format!("{source} {flags:?}"), &output);
        assert!(text.contains("all checks passed"), "{text}");
    }
    folder
}

const CHECKS: [&str; 2] = ["tests/cpp/station.cpp", "tests/cpp/bindings.cpp"];

/// Both files that the checks leave, in a folder of its own, compiled as most programs are; they run once.
fn after_the_checks() -> tempfile::TempDir {
    static CHECKED: std::sync::Once = std::sync::Once::new();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindings");
    let files = ["teacher.safetensors", "student.safetensors"];
    CHECKED.call_once(|| {
        let made = check_bindings(&["-std=c++17"]);
        fs::create_dir_all(&kept).unwrap();
        for name in files {
            fs::copy(made.path().join(name), kept.join(name)).unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    for name in files {
        fs::copy(kept.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn seed_hpp_has_everything_of_seed_h() {
    let header = fs::read_to_string(root().join("include/seed.h")).unwrap();
    let symbols = fs::read_to_string(root().join("include/seed.sym")).unwrap();
    let bindings = fs::read_to_string(root().join("bindings/cpp/seed.hpp")).unwrap();
    let words: std::collections::BTreeSet<&str> =
        bindings.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let constants = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next());
    let constants = constants.filter(|name| {
        ["SEED_OK", "SEED_ERROR_", "SEED_LOG_", "SEED_PIXEL_", "SEED_DEVICE_", "SEED_OUTCOME_", "SEED_STAGE_"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    let missing: Vec<&str> =
        symbols.lines().filter(|name| !name.is_empty()).chain(constants).filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "bindings/cpp/seed.hpp does not have {missing:?}");
}

#[test]
fn the_bindings_hold_in_cpp17_and_cpp20_with_exceptions_and_without() {
    drop(after_the_checks());
    check_bindings(&["-std=c++17", "-fno-exceptions"]);
    let others: [&[&str]; 2] = [&["-std=c++20"], &["-std=c++20", "-DSEED_NO_EXCEPTIONS"]];
    for flags in others {
        if std::env::var_os("SEED_SWEEP").is_some() {
            check_bindings(flags);
        } else {
            // What runs is the same; that it compiles is what a standard can break.
            let folder = tempfile::tempdir().unwrap();
            CHECKS
                .iter()
                .for_each(|source| drop(compile(source, &[flags, &["-fsyntax-only"]].concat(), folder.path())));
        }
    }
}

#[test]
fn the_sanitizers_find_nothing_in_the_bindings() {
    check_bindings(&["-std=c++17", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
}

/// Labelled grey images, a folder a label, in stripes or in columns.
fn labelled_images(folder: &Path) -> PathBuf {
    let images = folder.join("images");
    for label in ["columns", "rows"] {
        fs::create_dir_all(images.join(label)).unwrap();
        for number in 0..6u32 {
            let picture = GrayImage::from_fn(40, 40, |x, y| {
                let place = if label == "rows" { y } else { x };
                Luma([if place / (2 + number) % 2 == 0 { 30 } else { 220 }])
            });
            picture.save(images.join(label).join(format!("{number}.png"))).unwrap();
        }
    }
    images
}

#[test]
fn the_examples_distil_embed_and_inspect() {
    let folder = after_the_checks();
    let images = labelled_images(folder.path());
    let teacher = folder.path().join("teacher.safetensors");
    let student = folder.path().join("distilled.safetensors");

    // In C and in C++ the same program: the students are the same to the last byte, and so is what they find alike.
    let lines =
        [("examples/c/folder.c", "-std=c99"), ("examples/cpp/folder.cpp", "-std=c++17")].map(|(source, standard)| {
            let program = compile(source, &[standard], folder.path());
            let arguments =
                [images.as_os_str(), teacher.as_os_str(), "mobilenet_v3_small".as_ref(), student.as_os_str()];
            let output = quiet(&program).args(arguments).args(["32", "6", "4"]).output().unwrap();
            let text = expect_success(source, &output);
            let found: Vec<&str> = text.lines().filter(|line| line.contains(" is most like ")).collect();
            assert!(text.contains("step 6/6") && found.len() == 5 && found[0].starts_with("columns/0.png"), "{text}");
            (found.join("\n"), fs::read(&student).unwrap())
        });
    assert_eq!(lines[0].0, lines[1].0);
    assert!(lines[0].1 == lines[1].1, "the students of C and C++ differ");

    let program = compile("examples/cpp/inspect.cpp", &["-std=c++17"], folder.path());
    let frames = folder.path().join("frames.raw");
    fs::write(&frames, vec![90u8; 3 * 48 * 40]).unwrap();
    let arguments = [student.as_os_str(), images.as_os_str(), "48".as_ref(), "40".as_ref()];
    let input = Stdio::from(fs::File::open(&frames).unwrap());
    let text = expect_success("inspect", &quiet(&program).args(arguments).stdin(input).output().unwrap());
    assert!(text.contains("12 reference images") && text.contains("3 frames, "), "{text}");
    let output = quiet(&program).args(["/no/such/student", "/", "4", "4"]).stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/student"), "{output:?}");

    let program = compile("examples/cpp/camera.cpp", &["-std=c++20"], folder.path());
    let arguments = [teacher.as_os_str(), "mobilenet_v3_small".as_ref(), student.as_os_str()];
    let text = expect_success("camera", &quiet(&program).args(arguments).args(["32", "12"]).output().unwrap());
    assert!(text.contains("step 12 on ") && text.contains("is most like frame"), "{text}");
}

/// `count` frames of stripes in folders of two classes, no two alike.
fn line_of_frames(images: &Path, count: u32) {
    for number in 0..count {
        let class = if number % 2 == 0 { "columns" } else { "rows" };
        fs::create_dir_all(images.join(class)).unwrap();
        let picture = GrayImage::from_fn(40, 40, |x, y| {
            let place = if class == "rows" { y } else { x };
            Luma([if place / (2 + number % 5) % 2 == 0 { 30 } else { 180 + (number % 7) as u8 }])
        });
        picture.save(images.join(class).join(format!("{number:03}.png"))).unwrap();
    }
}

#[test]
fn the_store_takes_a_line_of_frames() {
    let folder = check_bindings(&["-std=c++17"]);
    // Enough for a reference of forty and two batches of twenty.
    let images = folder.path().join("line");
    line_of_frames(&images, 80);
    let program = compile("examples/cpp/store.cpp", &["-std=c++17"], folder.path());
    let arguments = [folder.path().join("student.safetensors"), folder.path().join("example.seed"), images];
    let text = expect_success("store", &quiet(&program).args(arguments).arg("500").output().unwrap());
    assert!(text.contains("80 pushed, ") && text.contains(" of class columns"), "{text}");
    // What the signal says is up to a student that was hardly trained; tests/eval/trust.rs asks that.
    assert_eq!(text.matches("threshold").count(), 2, "{text}");
}

#[test]
fn the_night_takes_days_of_frames() {
    let folder = after_the_checks();
    let images = folder.path().join("line");
    line_of_frames(&images, 120);
    let program = compile("examples/cpp/night.cpp", &["-std=c++17"], folder.path());
    let place = folder.path().join("day");
    fs::create_dir(&place).unwrap();
    // Whatever a few steps bring, and whatever else the machine does.
    let settings = "student=resnet10_w0.25 device=cpu image_width=32 image_height=32 batch_size=8 steps=4 queue_capacity=16 \
                    frames=80 labels=.6 option.kl_margin=1e12 option.overlap_margin=1 option.latency_factor=1e6";
    let day = || {
        let mut command = quiet(&program);
        command.arg(folder.path().join("teacher.safetensors")).arg("mobilenet_v3_small").args([&images, &place]);
        expect_success("night", &command.args(settings.split_whitespace()).output().unwrap())
    };
    let text = day();
    assert!(text.contains("the day: 80 frames") && text.contains("the new student is live"), "{text}");
    assert!(text.contains("night 1, ") && text.contains("new classifier: balanced recall "), "{text}");
    let text = day();
    assert!(text.contains("the day: 40 frames") && text.contains("nothing to do: 40 new frames"), "{text}");
    let output = quiet(&program).arg("restore").arg(&place).output().unwrap();
    let text = expect_success("night restore", &output);
    assert!(
        text.contains("\"live\":{\"night\":0}") && text.contains("\"previous\":{\"classifier\":1,\"night\":1}"),
        "{text}"
    );
    assert!(fs::read_to_string(place.join("station/report.html")).unwrap().contains("Night 1 of the station"));
}

/// The first block of a language in a page that holds a word, its includes apart from the rest.
fn code_of(page: &str, language: &str, word: &str) -> (String, String) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let block = text
        .split(&format!("```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .find(|block| block.contains(word))
        .unwrap_or_else(|| panic!("{page} has no {language} code with {word}"));
    let (includes, rest): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.starts_with("#include"));
    (includes.join("\n"), rest.join("\n"))
}

#[test]
fn the_code_of_the_pages_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, compiler: &str, flags: &[&str], text: String| {
        let source = folder.path().join(name);
        fs::write(&source, text).unwrap();
        let mut command = Command::new(compiler);
        command.args(flags).arg("-fsyntax-only").arg("-I").arg(root().join("include"));
        command.arg("-I").arg(root().join("bindings/cpp")).arg(source);
        expect_success(name, &command.output().unwrap());
    };
    let progress = "int32_t on_progress(const seed_progress *progress, void *user_data);";
    // A page leaves out what is done with the errors.
    let flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result"];
    for (name, word) in [("call.c", "seed_distil("), ("steps.c", "seed_trainer_run")] {
        let (includes, body) = code_of("docs/c.md", "c", word);
        check(
            name,
            "cc",
            &flags,
            format!("{includes}\n#include <stdlib.h>\n{progress}\nvoid f(void) {{\n{body}\n}}\n"),
        );
    }
    let flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable"];
    for (name, word) in [("call.cpp", "seed::distil("), ("steps.cpp", "seed::Trainer::create")] {
        let (includes, body) = code_of("docs/cpp.md", "cpp", word);
        check(name, "c++", &flags, format!("{includes}\n{body}\n"));
    }
}

#[test]
fn the_examples_classify_find_anomalies_and_evaluate() {
    let folder = after_the_checks();
    let images = labelled_images(folder.path());
    let file = |name: &str| folder.path().join(name);
    let run = |source: &str, arguments: &[&std::ffi::OsStr]| {
        let program = compile(source, &["-std=c++17"], folder.path());
        let output = quiet(&program).args(arguments).current_dir(folder.path()).output().unwrap();
        expect_success(source, &output)
    };
    let (student, classifier) = (file("student.safetensors"), file("both.safetensors"));
    let settings = ["finetune.mode=full", "finetune.epochs=2", "finetune.batch_size=4", "device=cpu"];
    let words = |first: &[&Path], more: &[&'static str]| -> Vec<std::ffi::OsString> {
        let more = more.iter().map(|word| std::ffi::OsString::from(*word));
        first.iter().map(|path| path.as_os_str().to_owned()).chain(more).collect()
    };
    let call = |source: &str, words: &[std::ffi::OsString]| {
        run(source, &words.iter().map(|word| word.as_os_str()).collect::<Vec<_>>())
    };
    let text = call("examples/cpp/finetune.cpp", &words(&[&student, &images, &classifier, &images], &settings));
    assert!(text.contains("\"balanced_recall\"") && text.contains("12 test images are unsure"), "{text}");
    let page = fs::read_to_string(file("finetune.html")).unwrap();
    for part in ["<th scope=\"col\" class=\"number\">recall", "most unusual", "t-SNE", "data:image/jpeg"] {
        assert!(page.contains(part), "finetune.html lacks {part}");
    }
    // A folder more: the classes that are known stay the first.
    fs::create_dir(images.join("plain")).unwrap();
    for number in 0..4u8 {
        GrayImage::from_pixel(40, 40, Luma([100 + number])).save(images.join(format!("plain/{number}.png"))).unwrap();
    }
    let text = call("examples/cpp/finetune.cpp", &words(&[&student, &images, &classifier, &images], &settings));
    let places = ["\"columns\"", "\"rows\"", "\"plain\""].map(|name| text.find(name).unwrap());
    assert!(places[0] < places[1] && places[1] < places[2], "{text}");

    // What was learned teaches another one.
    let (pupil, tutor) = (file("pupil.safetensors"), format!("taught_by={}", classifier.display()));
    let mut arguments = words(&[&student, &images, &pupil], &settings);
    // The features of this network of eight steps are so large that the default rate makes it diverge.
    arguments.push("finetune.learning_rate=1e-9".into());
    let text = call("examples/cpp/finetune.cpp", &arguments);
    fs::remove_file(&pupil).unwrap();
    arguments.push(tutor.into());
    let taught = call("examples/cpp/finetune.cpp", &arguments);
    assert!(taught.contains("all layers") && taught != text, "{taught}");

    let detector = file("good.safetensors");
    let masks = file("masks");
    fs::create_dir_all(masks.join("columns")).unwrap();
    for number in 0..6 {
        let picture = GrayImage::from_fn(40, 40, |x, y| Luma([if x > 10 && y > 20 { 255 } else { 0 }]));
        picture.save(masks.join(format!("columns/{number}.png"))).unwrap();
    }
    let mut arguments = words(&[&student, &images], &["rows"]);
    arguments.extend(words(&[&detector, &masks], &["device=cpu", "anomaly.memory_share=0.5"]));
    let text = call("examples/cpp/anomaly.cpp", &arguments);
    assert!(text.contains("image AUROC") && text.contains("PRO") && text.contains("ms a frame"), "{text}");
    let page = fs::read_to_string(file("anomaly.html")).unwrap();
    assert!(
        page.contains("class=\"truth\"") && page.contains("threshold"),
        "anomaly.html lacks a mask or the threshold"
    );

    let network = std::ffi::OsString::from(format!("student:{}", student.display()));
    let mut arguments =
        words(&[&images, &masks], &["random:resnet10_w0.25", "good=rows", "runs=1", "device=cpu", "segment.penalty=1"]);
    arguments.insert(2, network.clone());
    let text = call("examples/cpp/segment.cpp", &arguments);
    assert!(
        text.contains("12 masks of 2 classes") && text.matches("mIoU").count() == 2 && text.contains("IoU of columns"),
        "{text}"
    );
    let page = fs::read_to_string(file("segment.html")).unwrap();
    assert!(page.contains("class=\"truth\"") && file("segmenter.safetensors").is_file());
    for (protocol, expected) in [("knn", "10-NN"), ("linear", "linear on 100 %"), ("few", "10 % of the labels")] {
        let arguments = [protocol.into(), network.clone(), images.clone().into(), "runs=2".into()];
        let text = call("examples/cpp/evaluate.cpp", &arguments);
        assert!(text.contains(expected) && text.contains("balanced recall"), "{text}");
    }
    let test = std::ffi::OsString::from(format!("test={}", images.display()));
    for (protocol, more, expected) in [
        ("semi", "finetune.labels_per_class=2".into(), "all layers fine-tuned on 2 labels a class"),
        ("transfer", test.clone(), "transfer, full"),
        ("semi-whole", test.clone(), "all layers fine-tuned on 1 % of the labels"),
    ] {
        let mut arguments = vec![protocol.into(), network.clone(), images.clone().into(), "runs=1".into(), more];
        arguments.extend(settings.map(std::ffi::OsString::from));
        if protocol == "semi-whole" {
            // Nothing is held out that would keep the linear classifier where the default rate makes this network diverge.
            arguments.push("finetune.learning_rate=1e-9".into());
        }
        let text = call("examples/cpp/evaluate.cpp", &arguments);
        assert!(text.contains(expected) && text.contains("AUROC"), "{text}");
    }
    let mut arguments = vec!["linear-sgd".into(), network, images.into(), test];
    // The features of this network are so large that the default rate makes the classifier diverge.
    arguments.extend(["device=cpu", "linear.epochs=3", "linear.learning_rate=1e-6"].map(std::ffi::OsString::from));
    let text = call("examples/cpp/evaluate.cpp", &arguments);
    assert!(
        text.contains("linear by SGD, 16 images") && text.contains("top-5") && text.contains("balanced recall"),
        "{text}"
    );
}

#[test]
fn two_processes_of_the_example_make_one_run() {
    let folder = after_the_checks();
    let images = labelled_images(folder.path());
    let program = compile("examples/cpp/world.cpp", &["-std=c++17"], folder.path());
    let address = format!("file:{}", folder.path().join("address").display());
    let start = |rank: &str, settings: &[&str]| {
        let mut command = quiet(&program);
        command.args([rank, "2", &address]).arg(&images).args(["teacher.safetensors", "mobilenet_v3_small", "made"]);
        command
            .args("image_width=32 image_height=32 batch_size=4 steps=6 progress_every=1 workers=1".split(' '))
            .args(settings);
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = |settings: &[&str]| {
        let processes = ["0", "1"].map(|rank| start(rank, settings));
        processes.map(|process| process.wait_with_output().unwrap())
    };
    let [first, second] = both(&["checkpoint_path=run"]);
    let text = expect_success("rank 0", &first);
    assert!(text.contains("step 6/6") && text.contains("student: made"), "{text}");
    assert_eq!(expect_success("rank 1", &second), "");
    assert!(folder.path().join("made").exists() && folder.path().join("run").is_dir());
    // All ranks go on from rank 0's checkpoint, here from the end.
    expect_success("rank 0 again", &both(&["checkpoint_path=run"])[0]);
    // A rank that differs is named, on both.
    let processes = [start("0", &[]), start("1", &["seed=9"])];
    for output in processes.map(|process| process.wait_with_output().unwrap()) {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains("setting seed is 9 on rank 1, but"), "{errors}");
    }
}

#[test]
fn methods_are_compared_and_an_interrupted_comparison_goes_on() {
    let folder = after_the_checks();
    let images = labelled_images(folder.path());
    let program = compile("examples/cpp/ablate.cpp", &["-std=c++17"], folder.path());
    let call = |more: &[&str]| {
        let teachers = "teachers=mobilenet_v3_small:teacher.safetensors,moco_v2:resnet10_w0.25";
        let settings = "student=resnet10_w0.25 image_width=32 image_height=32 batch_size=4 epochs=2 queue_capacity=8 device=cpu k=3";
        let mut command = quiet(&program);
        command.arg(&images).args(["out", teachers, "temperatures=0.01,0.1"]).args(settings.split(' ')).args(more);
        command.current_dir(folder.path()).output().unwrap()
    };
    let methods = "methods=seed,l2,moco_v2";
    expect_success("ablate", &call(&[methods, "seeds=1"]));
    let figures = folder.path().join("out/figures.csv");
    let first = fs::read_to_string(&figures).unwrap();
    // Of each teacher: itself, an untrained student, two temperatures, and two other methods.
    assert_eq!(first.lines().count(), 1 + 2 * 6, "{first}");
    // A process that was killed: a line is torn, a run has its student and no figures.
    fs::write(&figures, &first[..first.len() - 20]).unwrap();
    let text = expect_success("ablate", &call(&[methods, "seeds=2"]));
    let second = fs::read_to_string(&figures).unwrap();
    assert_eq!(second.lines().count(), 1 + 2 * (1 + 5 * 2), "{second}");
    let kept = first.lines().filter(|line| second.lines().any(|other| other == *line)).count();
    assert!(kept >= first.lines().count() - 1, "{first}{second}");
    assert!(text.contains("| seed | 0.1 | 2 | ") && text.contains(" ± "), "{text}");
    let page = fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(page.contains("kNN by temperature") && page.contains("moco_v2:resnet10_w0.25"));
    // Figures of other settings do not come into the same table.
    let output = call(&[methods, "learning_rate=0.01"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("other settings"), "{output:?}");
}

/// Where Debian has OpenCV's headers; its opencv4.pc comes with a far larger package.
const OPENCV: &str = "/usr/include/opencv4";

#[test]
fn a_mat_of_opencv_goes_in_as_it_is() {
    if !Path::new(OPENCV).join("opencv2/imgcodecs.hpp").exists() {
        return skip("OpenCV's headers (libopencv-imgcodecs-dev) are not installed");
    }
    let folder = after_the_checks();
    let images = labelled_images(folder.path());
    let flags = ["-std=c++17", "-isystem", OPENCV, "-lopencv_core", "-lopencv_imgcodecs"];
    let program = compile("examples/cpp/opencv.cpp", &flags, folder.path());
    let student = folder.path().join("student.safetensors");
    let files = [images.join("rows/0.png"), images.join("rows/1.png"), images.join("columns/5.png")];
    let text = expect_success("opencv", &quiet(&program).arg(student).args(files).output().unwrap());
    assert!(text.contains("(40 x 40, 1 channels) is most like") && text.contains("cosine"), "{text}");
}

#[test]
fn the_doctor_says_what_is_loaded_and_whether_it_computes() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile("examples/c/doctor.c", &["-std=c99"], folder.path());
    let text = expect_success("doctor", &quiet(&program).env("TMPDIR", folder.path()).output().unwrap());
    assert!(text.ends_with("all is well\n"), "{text}");
    let library = library_folder().join("libseed.so").canonicalize().unwrap();
    assert!(text.contains(&*library.to_string_lossy()), "{text}");
    let output = quiet(&program).env("TMPDIR", "/no/such/folder").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Point TMPDIR to a folder"), "{output:?}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["doctor-c"], "the doctor leaves nothing behind");
}

#[test]
fn the_reference_is_made_without_a_warning() {
    if Command::new("doxygen").arg("--version").output().is_err() {
        return skip("doxygen is not installed");
    }
    fs::create_dir_all(root().join("target/doc")).unwrap();
    let output = Command::new("doxygen").arg("docs/Doxyfile").current_dir(root()).output().unwrap();
    expect_success("doxygen", &output);
}
