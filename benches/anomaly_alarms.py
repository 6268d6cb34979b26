"""How many unseen good images PatchCore's threshold calls bad, over many splits, by the features that examples/cpp/anomaly.cpp has.

    python benches/anomaly_alarms.py count STUDENT.safetensors GOOD_FOLDER [REPEATS]
    python benches/anomaly_alarms.py link IMAGES GOOD OUT   # the same images, the good ones with a folder for each place

STUDENT.safetensors is that of anomaly_anomalib.py. GOOD_FOLDER holds magnetic tile's good images, expE_num_N.jpg: exposures of the
same place of a tile have numbers that follow each other. Half of the images are learned, less those that are held out; the other
half are judged; the threshold is the highest held-out score. For each way to split, the share of alarms over REPEATS draws beside
1/(n + 1), and how many draws have so many alarms as independent images would have in one of a hundred (beta-binomial, whatever the
distribution of scores). Needs torch, torchvision, SciPy, safetensors and Pillow.
"""

import collections
import pathlib
import re
import sys

import numpy as np
import scipy.stats
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from torchvision.transforms.functional import normalize, pil_to_tensor

LAYERS, NEIGHBOURS, SHARE, HELD = (6, 13), 9, 0.01, 0.2
# Numbers of one place follow each other in steps of 10 to 80; larger steps part places for certain.
STEP = 100


def patches(path, files):
    """Patches (N, h·w, D) of whole images at the student's size."""
    network = torchvision.models.mobilenet_v2().eval()
    with safe_open(path, "pt") as file:
        side = int(file.metadata()["width"])
        network.load_state_dict({k: file.get_tensor(k) for k in file.keys() if k.startswith("features.")}, strict=False)
    found = []
    with torch.inference_mode():
        for name in files:
            picture = Image.open(name).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
            x = normalize(pil_to_tensor(picture).float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]
            maps = []
            for number, layer in enumerate(network.features[: LAYERS[-1] + 1]):
                x = layer(x)
                if number in LAYERS:
                    smooth = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
                    size = maps[0].shape[2:] if maps else smooth.shape[2:]
                    maps.append(smooth if smooth.shape[2:] == size else torch.nn.functional.interpolate(smooth, size, mode="bilinear"))
            found.append(torch.cat(maps, 1)[0].flatten(1).T)
    return torch.stack(found)


def centres(rows, count):
    """Greedy k-centre."""
    squares = (rows * rows).sum(1)
    place = int((rows - rows.mean(0)).square().sum(1).argmax())
    nearest, chosen = torch.full((len(rows),), torch.inf), []
    for _ in range(count):
        chosen.append(place)
        nearest = torch.minimum(nearest, (squares + squares[place] - 2 * (rows @ rows[place])).clamp_min(0))
        place = int(nearest.argmax())
    return rows[chosen]


def score(rows, memory):
    """The image scores of patches (N, h·w, D)."""
    squares, scores = (memory * memory).sum(1), []
    for image in rows:
        numbers = (squares - 2 * image @ memory.T).argmin(1)
        distances = (image - memory[numbers]).norm(dim=1)
        worst = int(distances.argmax())
        near = (memory - memory[numbers[worst]]).norm(dim=1).topk(NEIGHBOURS, largest=False).indices
        away = (memory[near] - image[worst]).norm(dim=1).double()
        scores.append(float((1 - away.softmax(0)[0]) * distances[worst]))
    return np.array(scores)


def hold(rng, of, images):
    """Images to learn and images to hold out, of the given ones: the share HELD of their groups."""
    groups = rng.permutation(np.unique(of[images]))
    held = np.isin(of[images], groups[: round(HELD * len(groups))])
    return images[~held], images[held]


def places(files):
    """The place that each file shows."""
    numbers = np.array([int(re.search(r"num_(\d+)", name.name)[1]) for name in files])
    order = np.argsort(numbers)
    place = np.empty(len(files), int)
    place[order] = np.cumsum(np.diff(numbers[order], prepend=numbers[order][0]) > STEP)
    return place


def link(images, good, out):
    out, images = pathlib.Path(out), pathlib.Path(images).resolve()
    for folder in images.iterdir():
        if folder.name != good:
            out.mkdir(parents=True, exist_ok=True)
            (out / folder.name).symlink_to(folder)
    files = sorted((images / good).glob("*.jpg"))
    for file, place in zip(files, places(files)):
        (out / good / f"{place:03}").mkdir(parents=True, exist_ok=True)
        (out / good / f"{place:03}" / file.name).symlink_to(file)


def count(path, folder, repeats="10"):
    files = sorted(pathlib.Path(folder).glob("*.jpg"))
    place = places(files)
    own = np.arange(len(files))
    sizes = collections.Counter(collections.Counter(place.tolist()).values())
    print(f"{len(files)} images of {place.max() + 1} places; places by their number of images: {dict(sorted(sizes.items()))}")
    rows = patches(path, files)

    def half(rng, of):
        groups = rng.permutation(np.unique(of))
        learned = np.isin(of, groups[: len(groups) // 2])
        return own[learned], own[~learned]

    ways = {
        "every second name; held out by image": (lambda rng: (own[::2], own[1::2]), own),
        "random images; held out by image": (lambda rng: half(rng, own), own),
        "random places; held out by image": (lambda rng: half(rng, place), own),
        "random places; held out by place": (lambda rng: half(rng, place), place),
    }
    for name, (split, of) in ways.items():
        alarms, rates, groups, rare, above = [], [], [], [], []
        for seed in range(int(repeats)):
            rng = np.random.default_rng(seed)
            learned, unseen = split(rng)
            learned, held = hold(rng, of, learned)
            pool = rows[learned].flatten(0, 1)
            memory = centres(pool, max(1, round(SHARE * len(pool))))
            known, new = score(rows[held], memory), score(rows[unseen], memory)
            alarms.append(int((new > known.max()).sum()))
            rates.append(alarms[-1] / len(new))
            groups.append(len(np.unique(of[held])))
            rare.append(scipy.stats.betabinom.sf(alarms[-1] - 1, len(new), 1, groups[-1]) <= 0.01)
            above.append(scipy.stats.mannwhitneyu(new, known).statistic / len(new) / len(known))
        print(
            f"{name}: {np.mean(groups):.0f} groups held out, promised {1 / (np.mean(groups) + 1):.2%}, "
            f"alarms {np.mean(rates):.2%} ± {np.std(rates, ddof=1) / len(rates) ** 0.5:.2%} of about {len(new)}; "
            f"rare in {np.mean(rare):.0%} of draws; an unseen image scores above a held-out one in {np.mean(above):.1%}\n"
            f"  alarms: {sorted(alarms)}",
            flush=True,
        )


if __name__ == "__main__":
    {"count": count, "link": link}[sys.argv[1]](*sys.argv[2:])
