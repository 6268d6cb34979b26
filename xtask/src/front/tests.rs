//! The front against a libtorch and a core that are a few lines of C: where it looks, in which order, what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::*;
use crate::root;

const FRONT: Front =
    Front { soname: "libseed.so.0.7", core: "libseed_core.so.0.7", version: "0.7.1", libtorch: "2.11.0" };

/// What a program sees: the error of a first call, the numbers that reach the core, and what the other functions answer.
const PROGRAM: &str = r#"
#include <seed.h>
#include <stdio.h>
#include <string.h>
int main(void) {
  seed_error *error;
  seed_error_free(NULL);
  seed_config_free(NULL);
  if (seed_error_code(NULL) != SEED_OK || seed_error_message(NULL)[0] != '\0') return 2;
  if (strcmp(seed_version(), "0.7.1") != 0) return 3;
  error = seed_init(SEED_ABI_VERSION);
  if (error != NULL) {
    seed_config *config = NULL;
    seed_error *again = seed_config_new(&config);
    if (again == NULL || config != NULL || seed_error_code(again) != seed_error_code(error)) return 4;
    printf("%d %s\n", (int)seed_error_code(error), seed_error_message(error));
    seed_error_free(again);
    seed_error_free(error);
    return 0;
  }
  error = seed_config_set_float(NULL, "key", 0.5);
  puts(error == NULL ? "passed on" : "the numbers did not arrive");
  return 0;
}
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A folder with prefix/lib (front and core) and bin/program.
    fn new(core_version: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let lib = place.path("prefix/lib");
        fs::create_dir_all(&lib).unwrap();
        FRONT.compile(&place.path("scratch"), &lib).unwrap();
        let functions = functions(&header().unwrap()).unwrap();
        let mut core = "#include <string.h>\n".to_owned();
        for function in &functions {
            core += &match function.name.as_str() {
                "seed_version" => format!("const char *seed_version(void) {{ return \"{core_version}\"; }}\n"),
                "seed_config_set_float" => {
                    "void *seed_config_set_float(void *config, const char *key, double value) {\n\
                     \x20 return config == 0 && strcmp(key, \"key\") == 0 && value == 0.5 ? 0 : (void *)key;\n}\n"
                        .to_owned()
                }
                name => format!("void *{name}(void) {{ return 0; }}\n"),
            };
        }
        // Asking for libtorch by name, as the Rust library does.
        let stub = place.torch("stub", Some("2.11.0"));
        let flags = [format!("-L{}", stub.display()), "-Wl,--no-as-needed".to_owned(), "-l:libtorch_cpu.so".to_owned()];
        place.library(&lib.join(FRONT.core), &core, &flags);
        fs::write(place.path("program.c"), PROGRAM).unwrap();
        let mut command = Command::new("cc");
        command.args(["-Wall", "-Wextra", "-Werror", "-Iinclude"]).arg(place.path("program.c"));
        command.arg("-o").arg(place.path("program")).arg(lib.join(FRONT.soname));
        command.arg(format!("-Wl,-rpath,{}", lib.display()));
        call(&mut command).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn library(&self, file: &Path, source: &str, flags: &[String]) {
        let name = file.file_name().unwrap();
        let code = self.path("library.c");
        fs::write(&code, source).unwrap();
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-w"]).arg(code).arg("-o").arg(file).args(flags);
        call(command.arg(format!("-Wl,-soname,{}", name.display()))).unwrap();
    }

    /// A libtorch_cpu.so in `folder` that says its version, or none.
    fn torch(&self, folder: &str, version: Option<&str>) -> PathBuf {
        let folder = self.path(folder);
        fs::create_dir_all(&folder).unwrap();
        let source = version.map_or("int nothing;\n".to_owned(), |version| {
            let part: Vec<&str> = version.split('.').collect();
            format!(
                "unsigned long aoti_torch_abi_version(void) {{ return {}ul << 56 | {}ul << 48 | {}ul << 40; }}\n",
                part[0], part[1], part[2]
            )
        });
        self.library(&folder.join("libtorch_cpu.so"), &source, &[]);
        folder
    }

    fn run(&self, environment: &[(&str, &Path)]) -> String {
        let mut command = Command::new(self.path("program"));
        command.env_remove("LD_LIBRARY_PATH").env_remove("SEED_LIBTORCH").current_dir("/");
        let output: Output = command.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

#[test]
fn libtorch_is_found_by_name_then_beside_then_by_the_loader() {
    let place = Place::new("0.7.1");
    let text = place.run(&[]);
    assert!(
        text.starts_with("11 libseed needs libtorch 2.11.0 and did not find it: SEED_LIBTORCH is not set"),
        "{text}"
    );
    for words in [
        &*format!(" or {}/libtorch/lib;", place.path("prefix").display()),
        "cannot open shared object file",
        "LD_LIBRARY_PATH is not set",
        "; set SEED_LIBTORCH",
    ] {
        assert!(text.contains(words), "no \"{words}\" in {text}");
    }

    let old = place.torch("old/lib", Some("2.10.0"));
    let right = place.torch("right/lib", Some("2.11.0"));
    assert_eq!(place.run(&[("LD_LIBRARY_PATH", &right)]), "passed on");
    let text = place.run(&[("LD_LIBRARY_PATH", &old)]);
    assert!(text.starts_with("5 libseed needs libtorch 2.11.0, but "), "{text}");
    assert!(text.contains("old/lib/libtorch_cpu.so, found by the loader, is 2.10.0; set SEED_LIBTORCH"), "{text}");

    // Beside libseed comes before the loader, in each of the three places.
    for below in ["prefix/libtorch/lib", "prefix/lib/libtorch/lib", "prefix/lib"] {
        place.torch(below, Some("2.11.0"));
        assert_eq!(place.run(&[("LD_LIBRARY_PATH", &old)]), "passed on", "{below}");
        fs::remove_file(place.path(below).join("libtorch_cpu.so")).unwrap();
    }
    place.torch("prefix/libtorch/lib", Some("2.9.1"));
    let text = place.run(&[("LD_LIBRARY_PATH", &right)]);
    assert!(text.contains("found beside libseed, is 2.9.1; put libtorch 2.11.0 there"), "{text}");

    // What is named comes before all; its folder lib may be named too.
    for named in ["right", "right/lib"] {
        assert_eq!(place.run(&[("SEED_LIBTORCH", &place.path(named))]), "passed on");
    }
    let text = place.run(&[("SEED_LIBTORCH", Path::new("/no/such")), ("LD_LIBRARY_PATH", &right)]);
    assert!(text.starts_with("11 SEED_LIBTORCH is /no/such, but neither /no/such/lib nor /no/such has"), "{text}");
    let text = place.run(&[("SEED_LIBTORCH", &place.path("old"))]);
    assert!(text.starts_with("5 ") && text.contains("found by SEED_LIBTORCH, is 2.10.0"), "{text}");
    // One that the process has already is the one that the core would get.
    let loaded = old.join("libtorch_cpu.so");
    let text = place.run(&[("LD_PRELOAD", &loaded), ("SEED_LIBTORCH", &place.path("right"))]);
    assert!(text.contains("found in this process already, is 2.10.0"), "{text}");

    // An old or broken libtorch, and one that is a folder's file of text.
    place.torch("silent/lib", None);
    let text = place.run(&[("SEED_LIBTORCH", &place.path("silent"))]);
    assert!(text.contains("is of a version that it does not tell"), "{text}");
    fs::write(place.path("silent/build-version"), "1.13.1+cpu\n").unwrap();
    let text = place.run(&[("SEED_LIBTORCH", &place.path("silent"))]);
    assert!(text.contains("is 1.13.1+cpu"), "{text}");
    fs::write(place.path("silent/lib/libtorch_cpu.so"), "no library").unwrap();
    let text = place.run(&[("SEED_LIBTORCH", &place.path("silent"))]);
    assert!(text.starts_with("11 cannot load libtorch from ") && text.contains("file too short"), "{text}");
}

#[test]
fn a_folder_that_is_not_whole_is_told() {
    let place = Place::new("0.7.0");
    place.torch("prefix/libtorch/lib", Some("2.11.0"));
    let text = place.run(&[]);
    assert!(
        text.starts_with("5 ") && text.contains("libseed_core.so.0.7 is of libseed 0.7.0, expected 0.7.1"),
        "{text}"
    );
    fs::remove_file(place.path("prefix/lib").join(FRONT.core)).unwrap();
    let text = place.run(&[]);
    assert!(text.starts_with("3 ") && text.contains("libseed_core.so.0.7 is missing"), "{text}");
    place.library(&place.path("prefix/lib").join(FRONT.core), "void *seed_init(void) { return 0; }\n", &[]);
    let text = place.run(&[]);
    assert!(text.starts_with("5 ") && text.contains("libseed_core.so.0.7 has no seed_"), "{text}");
}

#[test]
fn only_the_functions_of_the_header_are_exported() {
    let place = Place::new("0.7.1");
    let output =
        Command::new("nm").args(["-D", "--defined-only"]).arg(place.path("prefix/lib").join(FRONT.soname)).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    names.sort_unstable();
    let listed = fs::read_to_string(root().join("include/seed.sym")).unwrap();
    assert_eq!(names, listed.lines().collect::<Vec<_>>());
}
