#!/usr/bin/env python3
"""An engine that the application runs already, ONNX Runtime here, as the teacher: a small student learns from it through the C ABI.

    python3 onnx_teacher.py --library libseed.so --model sscd.onnx --images magnetic-tile/images --out results

The model takes bytes (B, H, W, 3) and gives floats (B, D). Every view of every image is embedded once, into a bank; then the
engine is not needed any more and the student is distilled over the bank. IMAGES holds a folder a class; the classes are only
used to judge by. Python stands for the application: libseed itself has none, and C, C++, C# and Go do the same by the same
functions of seed.h. Needs numpy and onnxruntime.
"""
import argparse
import ctypes as c
import hashlib
import json
import pathlib
import sys
import time

import numpy as np
import onnxruntime

SEED_ABI_VERSION = 2
SEED_BATCH_UINT8_NHWC = 2
SEED_DEVICE_CPU = 0


class Batch(c.Structure):
    """seed_teacher_batch."""
    _fields_ = [("struct_size", c.c_size_t), ("images", c.c_void_p), ("count", c.c_size_t), ("height", c.c_uint32),
                ("width", c.c_uint32), ("format", c.c_int32), ("device", c.c_int32), ("device_index", c.c_int32),
                ("dim", c.c_size_t), ("embeddings", c.POINTER(c.c_float)), ("tensor", c.c_void_p),
                ("message", c.c_void_p), ("message_capacity", c.c_size_t)]


class Progress(c.Structure):
    """seed_progress."""
    _fields_ = [("struct_size", c.c_size_t)] + [(name, c.c_uint64) for name in ("step", "total", "epoch", "skipped")] + \
               [(name, c.c_double) for name in ("loss", "learning_rate", "rate", "eta", "elapsed", "waiting")]


TeacherCallback = c.CFUNCTYPE(c.c_int32, c.POINTER(Batch), c.c_void_p)
ProgressCallback = c.CFUNCTYPE(c.c_int32, c.POINTER(Progress), c.c_void_p)


class Seed:
    """The functions of seed.h; a seed_error becomes an exception."""

    def __init__(self, path):
        self.library = c.CDLL(path)
        self.library.seed_error_message.restype = c.c_char_p
        self("init", SEED_ABI_VERSION)

    def __call__(self, name, *arguments):
        function = self.library["seed_" + name]
        function.restype = c.c_void_p
        # Numbers without a type would be passed as C ints.
        error = function(*(c.c_int64(value) if isinstance(value, int) else value for value in arguments))
        if error:
            message = self.library.seed_error_message(c.c_void_p(error)).decode()
            self.library.seed_error_free(c.c_void_p(error))
            raise RuntimeError(f"seed_{name}: {message}")

    def new(self, name, *arguments):
        handle = c.c_void_p()
        self(name, *arguments, c.byref(handle))
        return handle

    def embed(self, session, dataset):
        """(images, D) of a data set."""
        length, dim = c.c_size_t(), c.c_int64()
        self("session_dim", session, c.byref(dim))
        self("session_embed_dataset", session, dataset, None, None, None, None, 0, c.byref(length))
        rows = np.empty(length.value, np.float32)
        self("session_embed_dataset", session, dataset, None, None, None, c.c_void_p(rows.ctypes.data), rows.size,
             c.byref(length))
        return rows.reshape(-1, dim.value)


def engine(path):
    """The model, and a callback that lets it embed a batch."""
    model = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = model.get_inputs()[0].name

    def embed(batch, _):
        batch = batch.contents
        try:
            shape = (batch.count, batch.height, batch.width, 3)
            images = np.ctypeslib.as_array(c.cast(batch.images, c.POINTER(c.c_uint8)), shape)
            np.ctypeslib.as_array(batch.embeddings, (batch.count, batch.dim))[:] = model.run(None, {name: images})[0]
            return 0
        except Exception as error:  # it must not reach the library
            reason = str(error).encode()[:batch.message_capacity - 1] + b"\0"
            c.memmove(batch.message, reason, len(reason))
            return 1

    return model.get_outputs()[0].shape[1], TeacherCallback(embed)


def knn(vectors, labels, splits, k=10, temperature=.07):
    """Weighted kNN, accuracy and balanced recall: mean and deviation over splits (gallery, queries)."""
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = []
    for gallery, queries in splits:
        similarity = vectors[queries] @ vectors[gallery].T
        nearest = np.argsort(-similarity, axis=1)[:, :k]
        votes = np.zeros((len(queries), labels.max() + 1))
        weights = np.exp(np.take_along_axis(similarity, nearest, 1) / temperature)
        for place in range(nearest.shape[1]):
            votes[np.arange(len(queries)), labels[gallery][nearest[:, place]]] += weights[:, place]
        right, truth = votes.argmax(1) == labels[queries], labels[queries]
        scores.append([right.mean(), np.mean([right[truth == label].mean() for label in np.unique(truth)])])
    return np.mean(scores, 0), np.std(scores, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("library", "model", "images", "out"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--size", type=int, default=128, help="side of the views in training")
    parser.add_argument("--views", type=int, default=4, help="views of each image in the bank")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--student", default="resnet18")
    parser.add_argument("--weights", help="weights that the student starts from, such as ImageNet's; else random ones")
    parser.add_argument("--bank", help="the bank's file, which a second student may share; else OUT/teacher.bank")
    parser.add_argument("--test-size", type=int, default=224, help="side of the images that are judged by")
    parser.add_argument("--hold-out", action="store_true", help="distil on the gallery of one split, judge by its queries")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of seed_config")
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    seed = Seed(options.library)

    files = sorted(path for path in pathlib.Path(options.images).rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    classes = sorted({path.parent.name for path in files})
    labels = np.array([classes.index(path.parent.name) for path in files])
    splits = []
    for number in range(1 if options.hold_out else 5):
        order = np.random.default_rng(number).permutation(len(files))
        splits.append((order[:2 * len(order) // 3], order[2 * len(order) // 3:]))

    def open_files(paths):
        return seed.new("dataset_open_files", (c.c_char_p * len(paths))(*(str(p).encode() for p in paths)), len(paths))

    everything = open_files(files)
    frames = open_files([files[i] for i in splits[0][0]]) if options.hold_out else everything

    # Mild views and a small queue suit a few minutes on a few thousand frames.
    settings = {"image_width": options.size, "image_height": options.size, "batch_size": options.batch,
                "epochs": options.epochs, "view_count": options.views, "queue_capacity": 1024, "learning_rate": .4,
                "temperature_student": .1, "temperature_teacher": .02, "warmup_steps": 50, "view.crop_scale_min": .5,
                "view.brightness": .2, "view.contrast": .2, "view.blur_probability": 0, "progress_every": 50}
    for pair in options.set:
        key, value = pair.split("=", 1)
        settings[key] = json.loads(value)
    dim, callback = engine(options.model)
    settings["embedding_dim"] = dim
    config = seed.new("config_from_json", json.dumps(settings).encode())
    test = seed.new("config_from_json", json.dumps(
        {**settings, "image_width": options.test_size, "image_height": options.test_size}).encode())

    # The text by which banks and checkpoints know this teacher.
    identity = f"{pathlib.Path(options.model).name} {hashlib.sha256(pathlib.Path(options.model).read_bytes()).hexdigest()}"

    def teacher_for(config):
        return seed.new("teacher_from_callback", callback, None, None, dim, identity.encode(),
                        c.c_int32(SEED_BATCH_UINT8_NHWC), c.c_int32(SEED_DEVICE_CPU), config)

    teacher = teacher_for(config)
    # Sessions show a student the size that it was made for, which may be larger than that of its training.
    student = seed.new("student_new", options.student.encode(), test)
    if options.weights:
        seed("student_load_weights", student, options.weights.encode())
    bank_file = str(options.bank or out / "teacher.bank").encode()

    def judge(name, session):
        start = time.time()
        vectors = seed.embed(session, everything)
        mean, deviation = knn(vectors, labels, splits)
        print(f"{name:34} accuracy {mean[0]:.3f} ± {deviation[0]:.3f}  balanced recall {mean[1]:.3f} ± {deviation[1]:.3f}"
              f"  {len(files) / (time.time() - start):.0f} images/s", flush=True)
        seed.library.seed_session_free(session)

    def judge_student(when):
        for output in ("features", "embedding"):
            seed("config_set_string", test, b"output", output.encode())
            judge(f"student {when}, {output}", seed.new("session_from_student", student, test))

    judge(f"teacher, {options.test_size}²", seed.new("session_from_teacher", teacher_for(test), test))
    judge_student("before")
    start = time.time()
    seed("bank_fill", bank_file, config, teacher, frames, 0, None, None, None, None)
    print(f"bank: {options.views} views of each image in {time.time() - start:.0f} s", flush=True)
    bank = seed.new("bank_open", bank_file, teacher)
    trainer = seed.new("trainer_new", config, student, seed.new("teacher_from_bank", bank), None, frames)

    @ProgressCallback
    def report(progress, _):
        now = progress.contents
        print(f"  step {now.step}/{now.total}  loss {now.loss:.4f}  {now.rate:.0f} images/s  {now.eta:.0f} s left",
              file=sys.stderr, flush=True)
        return 0

    start = time.time()
    seed("trainer_run", trainer, 0, report, None, None, None)
    print(f"distilled for {options.epochs} epochs in {time.time() - start:.0f} s", flush=True)
    seed("student_save", student, str(out / "student.safetensors").encode())
    judge_student("after")


if __name__ == "__main__":
    main()
