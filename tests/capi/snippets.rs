//! The programs of README.md in C and C++ and examples/c/quickstart.c, on small frames for some seconds. Those in Go and C# are run by
//! the tests of their bindings.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma};
use seed::model::{Architecture, Head, Network, weights};

use crate::programs::{compile, expect_success, quiet, root};

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

/// The only program of a language in README.md, with the test's paths and time for those of the page.
fn program_of(language: &str) -> String {
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
        .replace("/data/frames", "frames")
        .replace("resnet50.pth", "teacher.safetensors")
        .replace("\"resnet50\"", &format!("\"{TEACHER}\""))
        .replace("600", "2")
}

#[test]
fn the_readme_s_programs_distil() {
    for (language, standard) in [("c", "-std=c99"), ("cpp", "-std=c++17")] {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let source = folder.path().join(format!("readme.{language}"));
        fs::write(&source, program_of(language)).unwrap();
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
