"""Writes views.json: small images, and what torchvision 0.26 (on PIL) makes of them with fixed parameters.

    python tests/golden/make_views.py        needs torch, torchvision, pillow, numpy

tests/data/views.rs reads the file; the tests need no Python. Bytes stand in base64, (H, W, C), C = 1 or 3.
"""
import base64, json, pathlib
import numpy as np
from PIL import Image
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode


def pictures():
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:30, 0:40]
    smooth = np.stack([x * 6.3, y * 8.4, 128 + 90 * np.sin(x / 5 + y / 7)], 2)
    colour = np.clip(smooth + rng.normal(0, 25, smooth.shape), 0, 255).astype(np.uint8)
    colour[10:18, 5:14] = [250, 20, 30]
    colour[2:9, 28:38] = [5, 200, 220]
    colour[20:26, 20:30] = 90
    grey = np.clip(60 + 3 * x + 40 * ((x // 6 + y // 5) % 2) + rng.normal(0, 12, x.shape), 0, 255).astype(np.uint8)
    return dict(colour=colour, grey=grey)


def encode(image):
    return base64.b64encode(np.ascontiguousarray(np.asarray(image, dtype=np.uint8)).tobytes()).decode()


def crop(im, w, h, box):
    left, top, cw, ch = box
    return F.resized_crop(im, top, left, ch, cw, [h, w], InterpolationMode.BILINEAR)


def jitter(im, order, factors):
    for name in order:
        if name == "hue" and factors[name] == 0:
            continue  # as ColorJitter(hue=0), which leaves the step out
        im = getattr(F, "adjust_" + name)(im, factors[name])
    return im


def main():
    images, cases = pictures(), []
    whole = [0, 0, 40, 30]
    names = ["brightness", "contrast", "saturation", "hue"]
    still = dict(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0)

    def add(label, image, w, h, box, order=None, factors=None, grey=False, sigma=None, flip=False, centred=False):
        im = Image.fromarray(images[image])
        if centred:
            im = F.center_crop(F.resize(im, int(w * 256 / 224), InterpolationMode.BILINEAR), [h, w])
        else:
            im = crop(im, w, h, box)
        if factors:
            im = jitter(im, order, factors)
        if grey:
            im = F.rgb_to_grayscale(im, num_output_channels=len(im.getbands()))
        if sigma:
            im = F.gaussian_blur(im, [2 * int(.05 * w) + 1, 2 * int(.05 * h) + 1], [sigma, sigma])
        if flip:
            im = F.hflip(im)
        cases.append(dict(label=label, image=image, width=w, height=h, crop=box, order=order, factors=factors,
                          grey=grey, sigma=sigma, flip=flip, centred=centred, pixels=encode(im)))

    for image in images:
        add("same size", image, 40, 30, whole)
        add("flip", image, 40, 30, whole, flip=True)
        add("shrink", image, 16, 16, [3, 2, 33, 25])
        add("shrink one side", image, 12, 28, [0, 0, 40, 28])
        add("enlarge", image, 48, 40, [11, 7, 9, 13])
        add("single pixel", image, 8, 8, [20, 10, 1, 1])
        add("centred", image, 16, 16, whole, centred=True)
        add("centred enlarged", image, 49, 49, whole, centred=True)
        for name, values in dict(brightness=[.6, 1.4], contrast=[.6, 1.4], saturation=[.6, 1.4],
                                 hue=[-.1, -.03, .07, .1]).items():
            for value in values:
                add(f"{name} {value}", image, 40, 30, whole, names, still | {name: value})
        add("grey", image, 40, 30, whole, grey=True)
        for sigma in [.5, 2.0]:
            add(f"blur {sigma}", image, 60, 44, whole, sigma=sigma)
        if image == "grey":  # kernels as long as those of a 240² view
            add("blur wide", image, 240, 40, whole, sigma=2.0)
            add("blur tall", image, 40, 240, whole, sigma=1.4)
        add("all", image, 40, 40, [4, 3, 30, 22], ["hue", "contrast", "brightness", "saturation"],
            dict(brightness=.8, contrast=1.3, saturation=.7, hue=-.06), sigma=1.3, flip=True)
        add("all grey", image, 40, 40, [4, 3, 30, 22], ["saturation", "brightness", "hue", "contrast"],
            dict(brightness=1.2, contrast=.75, saturation=1.35, hue=.08), grey=True, sigma=.8)
    out = pathlib.Path(__file__).with_name("views.json")
    inputs = {name: dict(width=40, height=30, channels=1 if name == "grey" else 3, pixels=encode(image))
              for name, image in images.items()}
    out.write_text(json.dumps(dict(images=inputs, cases=cases), separators=(",", ":")))
    print(len(cases), "cases,", out.stat().st_size, "bytes ->", out)


if __name__ == "__main__":
    main()
