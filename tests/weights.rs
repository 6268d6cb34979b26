//! Files of weights: what torch wrote is read with the same values; what is damaged or hostile is an error that names the
//! file, in bounded memory, and nothing that a file names is ever run.

use std::io::Write;
use std::path::{Path, PathBuf};

use rand_core::{RngCore, SeedableRng};
use seed::ErrorKind;
use seed::model::weights::{self, StateDict};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

const CHECKPOINTS: [(&str, &str); 4] = [
    ("weights_flat_zip.pt", ""),
    ("weights_flat_legacy.pt", ""),
    ("weights_nested_zip.pt", "state_dict.module."),
    ("weights_nested_legacy.pt", "state_dict.module."),
];

#[test]
fn torch_checkpoints_hold_what_torch_put_there() {
    let expected = weights::read(&golden("weights_expected.safetensors")).unwrap();
    assert_eq!(expected.tensors.len(), 13);
    for (name, prefix) in CHECKPOINTS {
        let found = weights::read(&golden(name)).unwrap();
        assert_eq!(found.tensors.len(), 13, "{name}: {:?}", found.tensors.keys());
        for (key, tensor) in &expected.tensors {
            assert_eq!(found.tensors.get(&format!("{prefix}{key}")), Some(tensor), "{name}: {key}");
        }
    }
}

#[test]
fn safetensors_come_back_with_their_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.safetensors");
    let state = weights::read(&golden("weights_expected.safetensors")).unwrap();
    let metadata = [("format".to_owned(), "test".to_owned())].into();
    let tensors: Vec<_> = state.tensors.clone().into_iter().collect();
    weights::write_safetensors(&path, &tensors, &metadata).unwrap();
    assert_eq!(weights::read(&path).unwrap(), StateDict { tensors: state.tensors, metadata: metadata.clone() });
    assert!(weights::write_safetensors(Path::new("/no/such/folder/x"), &tensors, &metadata).is_err());
}

fn refused(what: &str, bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let error = weights::read(file.path()).map(|_| ()).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Format, "{what}: {error}");
    assert!(error.message().contains(&*file.path().to_string_lossy()), "{what}: {error} names no file");
    error.message().to_owned()
}

/// A legacy checkpoint whose object is `object`, followed by `tail`.
fn legacy(object: &[u8], tail: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let protocol = b"\x80\x02M\xe9\x03.";
    let system = b"\x80\x02}.";
    [&magic[..], protocol, system, b"\x80\x02", object, b".", tail].concat()
}

/// `{"w": _rebuild_tensor_v2(storage "0" of float32, offset, (size,), (stride,), False, OrderedDict())}`
fn one_tensor(offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    let mut object =
        b"}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n\
                       X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ"
            .to_vec();
    for part in [offset, b"(", size, b"t(", stride, b"t\x89ccollections\nOrderedDict\n)RtRs"] {
        object.extend_from_slice(part);
    }
    object
}

/// The list of storages ("0") and `count` claimed elements, of which two are there.
fn storages(count: u64) -> Vec<u8> {
    [&b"\x80\x02]X\x01\x00\x00\x000a."[..], &count.to_le_bytes(), &[0; 8]].concat()
}

#[test]
fn the_hand_made_checkpoint_is_sound() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&legacy(&one_tensor(b"K\x00", b"K\x02", b"K\x01"), &storages(2))).unwrap();
    assert_eq!(weights::read(file.path()).unwrap().tensors["w"].shape, [2]);
}

#[test]
fn views_outside_their_storage_are_refused() {
    let number = |value: i64| [&b"\x8a\x08"[..], &value.to_le_bytes()].concat();
    for (what, offset, size, stride) in [
        ("longer than its storage", 0, 3, 1),
        ("offset", 1, 2, 1),
        ("negative offset", -1, 1, 1),
        ("negative size", 0, -2, 1),
        ("negative stride", 0, 2, -1),
        ("huge size", 0, i64::MAX, 1),
        ("huge size without stride", 0, 1 << 50, 0),
        ("huge stride", 0, 2, i64::MAX),
        ("huge offset", i64::MAX, 2, 1),
    ] {
        let object = one_tensor(&number(offset), &number(size), &number(stride));
        refused(what, &legacy(&object, &storages(2)));
    }
    let sound = one_tensor(b"K\x00", b"K\x02", b"K\x01");
    refused("2^60 elements claimed", &legacy(&sound, &storages(1 << 60)));
    refused("more elements than bytes", &legacy(&sound, &storages(3)));
    refused("no storages at all", &legacy(&sound, b""));
}

#[test]
fn code_is_never_run() {
    let folder = tempfile::tempdir().unwrap();
    let sentinel = folder.path().join("ran");
    for (module, function) in [("os", "system"), ("posix", "system"), ("subprocess", "getoutput"), ("builtins", "exec")]
    {
        let command = format!("touch {}", sentinel.display());
        let mut object = format!("c{module}\n{function}\n(X").into_bytes();
        object.extend((command.len() as u32).to_le_bytes());
        object.extend(command.as_bytes());
        object.extend(b"tR");
        let message = refused(function, &legacy(&object, b""));
        assert!(message.contains(&format!("{module}.{function}")), "{message}");
    }
    assert!(!sentinel.exists());
    let nested = refused("a file in a file", &legacy(b"ctorch.storage\n_load_from_bytes\nC\x01x\x85R", b""));
    assert!(nested.contains("_load_from_bytes"), "{nested}");
}

#[test]
fn pickles_cannot_exhaust_memory_or_stack() {
    refused("deep nesting", &legacy(&[&b"]"[..], &b"\x85".repeat(1_000_000)].concat(), b""));
    refused("marks without end", &legacy(&b"(".repeat(1_000_000), b""));
    refused("a huge memo number", &legacy(b"]r\xff\xff\xff\xffj\xfe\xff\xff\xff", b""));
    refused("a text of 4 GiB", &legacy(b"X\xff\xff\xff\xffabc", b""));
    refused("a text of 2^63 bytes", &legacy(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc", b""));
    refused("a value from under a mark", &legacy(b"]K\x01(a", b""));
    refused("an unknown operation", &legacy(b"\xff", b""));
    refused("an empty stack", &legacy(b"0", b""));
    // Sixteen dictionaries, each holding the next one a hundred times: 100^16 paths.
    let mut laughs = b"}q\x00".to_vec();
    for level in 1..16u8 {
        laughs.extend(b"}(");
        for key in 0..100u8 {
            laughs.extend([b'X', 1, 0, 0, 0, key % 127 + 1, b'h', level - 1]);
        }
        laughs.extend([b'u', b'q', level]);
    }
    refused("a billion laughs", &legacy(&laughs, b"\x80\x02]."));
    // A dictionary that holds itself.
    refused("a circle", &legacy(b"}q\x00X\x01\x00\x00\x00ah\x00s", b"\x80\x02]."));
}

#[test]
fn safetensors_headers_are_not_believed() {
    let file = |length: u64, header: &str, data: usize| {
        [&length.to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let sized = |header: &str, data: usize| file(header.len() as u64, header, data);
    refused("a header of 2^60 bytes", &file(1 << 60, "{}", 0));
    refused("no JSON", &sized("{\"a\": ", 0));
    refused("an unknown type", &sized(r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4));
    refused("offsets outside", &sized(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 2));
    refused("a shape that does not fit", &sized(r#"{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}"#, 4));
    refused(
        "a shape that overflows",
        &sized(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#, 0),
    );
    refused(
        "tensors that overlap",
        &sized(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6,
        ),
    );
    refused("nothing", b"");
    refused("text", b"these are no weights at all");
    assert!(weights::read(Path::new("/no/such/file")).is_err_and(|error| error.kind() == ErrorKind::Io));
    assert!(weights::read(Path::new("/")).is_err());
}

#[test]
fn a_script_module_is_named_as_such() {
    let message = refused("an empty zip", b"PK\x03\x04 and nothing more");
    assert!(message.contains("zip"), "{message}");
}

/// Flipped, cut and doubled bytes anywhere: an error or other values, but never a panic or absurd memory.
#[test]
fn random_damage_never_panics() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let names = CHECKPOINTS.iter().map(|(name, _)| *name).chain(["weights_expected.safetensors"]);
    for name in names {
        let sound = std::fs::read(golden(name)).unwrap();
        for _ in 0..400 {
            let mut bytes = sound.clone();
            for _ in 0..1 + random.next_u32() % 4 {
                let place = random.next_u64() as usize % bytes.len();
                match random.next_u32() % 4 {
                    0 => bytes.truncate(place.max(1)),
                    1 => bytes[place] = 0xff,
                    _ => bytes[place] ^= 1 << (random.next_u32() % 8),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(state) = weights::read(&path) {
                assert!(state.tensors.values().map(|tensor| tensor.bytes.len()).sum::<usize>() < 1 << 26);
            }
        }
    }
}
