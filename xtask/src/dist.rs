//! `cargo xtask dist`: the installed library in target/dist/libseed-VERSION-x86_64-linux, and a tar.gz of it.
//!
//! ```text
//! README.md for who has the package and no Rust (dist/README.md.in)
//! lib/      libseed.so -> libseed.so.0.N, the front (src/front); libseed_core.so.0.N, the Rust library
//!           pkgconfig/seed.pc  cmake/seed/
//! include/  seed.h  seed.hpp
//! bin/      seed-doctor  seed-fetch-libtorch
//! share/doc/libseed/  README, docs, examples, bindings of Go and C#, laid out as in the repository
//! ```
//!
//! libtorch is not in it. The folder may be moved: nothing in it names the machine that built it, and no link of its pages leads
//! outside, which is checked here. `--check` also runs tests/dist/check.sh, a project outside the tree that uses it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::front::Front;
use crate::licences::Crates;
use crate::{Outcome, call, cargo, header, libtorch, links, prototypes, root, setup};

/// Where the pages and sources lie in the package, laid out as in the repository: a module's or project's way to another one, and most
/// links, are then the same.
const DOC: &str = "share/doc/libseed";

/// What is packed under another name than [`DOC`]'s: (place in the repository, place in the package).
const FILES: [(&str, &str); 2] = [("include/seed.h", "include/seed.h"), ("bindings/cpp/seed.hpp", "include/seed.hpp")];

/// What is packed into [`DOC`] under its own name.
const DOC_FILES: [&str; 5] =
    ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "bindings/csharp/LibSeed.csproj"];

/// Folders whose files are packed into [`DOC`], with what is below them: (place, ends of the names).
const FOLDERS: [(&str, &[&str]); 8] = [
    ("docs", &["md"]),
    ("examples/c", &["c"]),
    ("examples/cpp", &["cpp"]),
    ("examples/go", &["go", "mod"]),
    ("examples/csharp", &["cs", "csproj"]),
    ("examples/python", &["py"]),
    ("bindings/go", &["go", "c", "h", "mod"]),
    ("bindings/csharp/src", &["cs"]),
];

/// Ends of the names, and folders, of what only the repository's own tests need.
const TESTS: [&str; 2] = ["_test.go", "bindings/go/internal"];

const TEMPLATES: [(&str, &str); 5] = [
    ("dist/README.md.in", "README.md"),
    ("dist/seed-fetch-libtorch.in", "bin/seed-fetch-libtorch"),
    ("dist/seed.pc.in", "lib/pkgconfig/seed.pc"),
    ("dist/seedConfig.cmake.in", "lib/cmake/seed/seedConfig.cmake"),
    ("dist/seedConfigVersion.cmake.in", "lib/cmake/seed/seedConfigVersion.cmake"),
];

/// Builds and packs; `options` may hold `--check`, and `--quick` for a package with the debug build, to look at and to try, not to hand
/// on: it names this machine's folders.
pub fn run(options: &[String]) -> Outcome {
    if let Some(unknown) = options.iter().find(|option| !["--check", "--quick"].contains(&option.as_str())) {
        return Err(format!("dist knows --check and --quick, not {unknown}"));
    }
    let asked = |option: &str| options.iter().any(|asked| asked == option);
    let quick = asked("--quick");
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("dist packs for x86-64 Linux, on x86-64 Linux".to_owned());
    }
    setup::run()?;
    if Command::new("nasm").arg("-v").output().is_err() {
        return Err(
            "nasm is not installed, and without it large JPEGs decode at half the speed (Debian: apt-get install \
                    nasm)"
                .to_owned(),
        );
    }
    header::run(true)?;
    let crates = Crates::read()?;
    let series = series(&prototypes::header()?, crates.version())?;
    let (soname, core) = (format!("libseed.so.{series}"), format!("libseed_core.so.{series}"));
    let name = format!("libseed-{}-x86_64-linux", crates.version());
    let prefix = root().join("target/dist").join(&name);
    if prefix.exists() {
        fs::remove_dir_all(&prefix).map_err(|error| format!("cannot remove {}: {error}", prefix.display()))?;
    }
    for folder in ["lib/pkgconfig", "lib/cmake/seed", "include", "bin"] {
        make_folder(&prefix.join(folder))?;
    }

    let lib = prefix.join("lib");
    copy(&build_core(&core, quick)?, &lib.join(&core))?;
    let front = Front { soname: &soname, core: &core, version: crates.version(), libtorch: setup::VERSION };
    front.compile(&root().join("target/front"), &lib)?;
    std::os::unix::fs::symlink(&soname, lib.join("libseed.so"))
        .map_err(|error| format!("cannot link {}: {error}", lib.join("libseed.so").display()))?;
    pack_sources(&prefix)?;
    pack_templates(&prefix, crates.version(), &series)?;
    write(&prefix.join("share/doc/libseed/third-party.txt"), &crates.licences()?)?;
    build_doctor(&prefix)?;
    if !quick {
        names_no_machine(&prefix)?;
    }
    let pages: Vec<PathBuf> = files(&prefix)?.into_iter().filter(|file| ends_with(file, "md")).collect();
    links::check(&prefix, &pages)?;
    call(
        Command::new("tar")
            .args(["-C", "target/dist", "--owner=0", "--group=0", "--numeric-owner", "--sort=name"])
            .args(["-czf", &format!("target/dist/{name}.tar.gz"), &name]),
    )?;
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len()) / 1_000_000;
    println!(
        "target/dist/{name}: core {} MB; {name}.tar.gz: {} MB",
        size(&lib.join(&core)),
        size(&prefix.with_file_name(format!("{name}.tar.gz")))
    );
    if !asked("--check") {
        return Ok(());
    }
    call(Command::new("tests/dist/check.sh").arg(&prefix).arg(libtorch()))
}

/// `0.N`, which names the ABI in the library's file name, once the header and the crate agree about the version.
fn series(header: &str, version: &str) -> Outcome<String> {
    let [major, minor, patch] = ["SEED_VERSION_MAJOR", "SEED_VERSION_MINOR", "SEED_VERSION_PATCH"]
        .map(|name| prototypes::constant(header, name));
    let (major, minor, patch) = (major?, minor?, patch?);
    if version != format!("{major}.{minor}.{patch}") {
        return Err(format!("Cargo.toml says version {version}, include/seed.h {major}.{minor}.{patch}"));
    }
    // From 1.0 on the major version alone would say it; docs/abi.md and dist/*.in go by the minor version still.
    if major != 0 {
        Err("the soname is made for 0.N; decide on that of 1.0".to_owned())
    } else {
        Ok(format!("0.{minor}"))
    }
}

/// The Rust library as it ships: stripped, without run path, without names of this machine's folders.
fn build_core(core: &str, quick: bool) -> Outcome<PathBuf> {
    let profile = if quick { "dev" } else { "shipped" };
    let build = || {
        let mut command = cargo();
        command.args(["rustc", "--profile", profile, "--package", "libseed", "--lib", "--crate-type", "cdylib", "--"]);
        // Bsymbolic: the front has the same names, and the core's own calls are not meant for it.
        command.arg(format!("-Clink-arg=-Wl,-soname,{core}")).arg("-Clink-arg=-Wl,-Bsymbolic");
        command.env("SEED_DIST", "1");
        command
    };
    if quick {
        call(&mut build())?;
        return Ok(root().join("target/debug/libseed.so"));
    }
    println!("building the library that ships (11 minutes on 2 shared cores the first time)");
    let folders = machine_folders()?;
    let flags = |option: &str, folders: &[(PathBuf, &str)]| {
        let flags: Vec<String> =
            folders.iter().map(|(folder, name)| format!("{option}={}={name}", folder.display())).collect();
        flags.join(" ")
    };
    // C and C++ know nothing of Rust's own folder.
    let c_folders: Vec<(PathBuf, &str)> = folders.iter().filter(|(_, name)| *name != "rust").cloned().collect();
    let c_flags = flags("-ffile-prefix-map", &c_folders);
    let mut command = build();
    command.env("RUSTFLAGS", flags("--remap-path-prefix", &folders));
    command.env("CFLAGS", &c_flags).env("CXXFLAGS", &c_flags);
    call(&mut command)?;
    Ok(root().join("target/shipped/libseed.so"))
}

/// The folders of this machine that end up in messages of what is compiled, and what stands there instead.
fn machine_folders() -> Outcome<Vec<(PathBuf, &'static str)>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let home = home.ok_or("neither CARGO_HOME nor HOME is set")?;
    let output = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    // The last that fits counts, for rustc and for gcc.
    let mut folders = vec![(home.join("registry/src"), "crates"), (sysroot, "rust"), (root(), "libseed")];
    if !libtorch().starts_with(root()) {
        folders.push((libtorch(), "libtorch"));
    }
    match folders.iter().find(|(folder, _)| folder.to_string_lossy().contains(char::is_whitespace)) {
        Some((folder, _)) => Err(format!("{}: compilers' flags cannot carry the space in it", folder.display())),
        None => Ok(folders),
    }
}

/// seed-doctor knows seed.h only and finds the library beside its own folder.
fn build_doctor(prefix: &Path) -> Outcome {
    let mut command = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    command.args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-s"]);
    command.arg("-I").arg(prefix.join("include")).arg("examples/c/doctor.c");
    command.arg("-o").arg(prefix.join("bin/seed-doctor")).arg("-L").arg(prefix.join("lib")).args(["-lseed", "-lm"]);
    call(command.arg("-Wl,-rpath,$ORIGIN/../lib"))
}

/// Refuses a package in which a path of this machine is left.
fn names_no_machine(prefix: &Path) -> Outcome {
    let mut left = Vec::new();
    for file in files(prefix)? {
        let bytes = fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        for (folder, _) in machine_folders()? {
            let words = folder.to_string_lossy().into_owned().into_bytes();
            if let Some(place) = bytes.windows(words.len()).position(|window| window == words) {
                let end = bytes[place..].iter().take(120).position(|byte| *byte < b' ').unwrap_or(120);
                let text = String::from_utf8_lossy(&bytes[place..place + end.min(bytes.len() - place)]).into_owned();
                left.push(format!("{} names this machine: {text}", file.display()));
            }
        }
    }
    if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
}

/// Every file below `folder`; links are not followed.
fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let kind = entry.file_type().map_err(|error| error.to_string())?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Headers, pages, examples and bindings; pages with their links led to where things lie in the package.
fn pack_sources(prefix: &Path) -> Outcome {
    let packed = sources()?;
    for (from, to) in &packed {
        let (source, target) = (root().join(from), prefix.join(to));
        if ends_with(from, "md") {
            let text =
                fs::read_to_string(&source).map_err(|error| format!("cannot read {}: {error}", source.display()))?;
            write(&target, &links::lead(&text, from, to, &packed))?;
        } else {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Place in the repository → place in the package, of all that is packed as it is.
fn sources() -> Outcome<BTreeMap<PathBuf, PathBuf>> {
    let mut packed: BTreeMap<PathBuf, PathBuf> =
        FILES.iter().map(|(from, to)| (PathBuf::from(from), PathBuf::from(to))).collect();
    let doc = |file: &Path| (file.to_owned(), Path::new(DOC).join(file));
    packed.extend(DOC_FILES.iter().map(|file| doc(Path::new(file))));
    for (folder, ends) in FOLDERS {
        for file in files(&root().join(folder))? {
            let place = file.strip_prefix(root()).map_err(|error| error.to_string())?;
            let name = place.to_string_lossy();
            let of_tests = TESTS.iter().any(|test| name.ends_with(test) || name.starts_with(test));
            if !of_tests && ends.iter().any(|end| ends_with(place, end)) {
                packed.extend([doc(place)]);
            }
        }
    }
    Ok(packed)
}

fn ends_with(file: &Path, end: &str) -> bool {
    file.extension().is_some_and(|found| found == end)
}

fn pack_templates(prefix: &Path, version: &str, series: &str) -> Outcome {
    let packages = setup::PACKAGES.iter().map(|package| {
        let platforms: Vec<String> = package.platforms.iter().map(|platform| format!("{platform:?}")).collect();
        let (requirement, file, sha256) = (package.requirement, package.file, package.sha256);
        format!("    ({requirement:?}, {file:?}, {}, {sha256:?}, [{}]),", package.bytes, platforms.join(", "))
    });
    let libraries = setup::LIBRARIES.iter().map(|(name, bytes)| format!("    {name:?}: {bytes},"));
    let commands = setup::PACKAGES.iter().map(|package| {
        let platforms: Vec<String> =
            package.platforms.iter().map(|platform| format!("--platform {platform}")).collect();
        let own = "--no-deps --only-binary=:all: --python-version 3.11 --abi cp311 --abi none";
        format!("python3 -m pip download {own} {} {}", platforms.join(" "), package.requirement)
    });
    let bytes: u64 = setup::PACKAGES.iter().map(|package| package.bytes).sum();
    let lines = |lines: &mut dyn Iterator<Item = String>| lines.collect::<Vec<_>>().join("\n");
    let values = [
        ("@SEED_VERSION@", version.to_owned()),
        ("@SEED_SOVERSION@", series.to_owned()),
        ("@LIBTORCH@", setup::VERSION.to_owned()),
        ("@MEGABYTES@", (bytes / 1_000_000).to_string()),
        ("@PACKAGES@", lines(&mut packages.into_iter())),
        ("@LIBRARIES@", lines(&mut libraries.into_iter())),
        ("@COMMANDS@", lines(&mut commands.into_iter())),
    ];
    let packed = sources()?;
    for (from, to) in TEMPLATES {
        let mut text = fs::read_to_string(root().join(from)).map_err(|error| format!("cannot read {from}: {error}"))?;
        for (name, value) in &values {
            text = text.replace(name, value);
        }
        if to == "README.md" {
            // Its links are written as those of a page at the repository's root.
            text = links::lead(&text, Path::new("PACKAGE.md"), Path::new(to), &packed);
        }
        write(&prefix.join(to), &text)?;
    }
    let script = prefix.join("bin/seed-fetch-libtorch");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("cannot make {} a program: {error}", script.display()))
}

fn make_folder(folder: &Path) -> Outcome {
    fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    to.parent().map_or(Ok(()), make_folder)?;
    fs::copy(from, to).map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Outcome {
    path.parent().map_or(Ok(()), make_folder)?;
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
