"""Writes geometry.json: small frames, and what Pillow makes of them by the three values of the setting "resize".

    python tests/golden/make_geometry.py        needs pillow, numpy

whole is Image.resize, letterbox ImageOps.pad with the mean colour, centre torchvision's Resize and CenterCrop in Pillow's calls;
all with BILINEAR, whose triangle widens with the factor of reduction. tests/data/geometry.rs reads the file; the tests need no Python.
Bytes stand in base64, (H, W, C), C = 1 or 3.
"""
import base64, json, pathlib
import numpy as np
from PIL import Image, ImageOps

MEAN = (124, 116, 104)  # round(255 * ImageNet's mean)


def frames():
    rng = np.random.default_rng(11)
    made = {}
    for name, width, height in [("wide", 47, 20), ("tall", 19, 50), ("square", 31, 31), ("tiny", 5, 7)]:
        y, x = np.mgrid[0:height, 0:width]
        smooth = np.stack([x * 250 / width, y * 250 / height, 128 + 90 * np.sin(x / 3 + y / 4)], 2)
        colour = np.clip(smooth + rng.normal(0, 25, smooth.shape), 0, 255).astype(np.uint8)
        colour[:2] = [255, 0, 0]      # each border can be told apart
        colour[-2:] = [0, 255, 0]
        colour[:, :2] = [0, 0, 255]
        colour[:, -2:] = [255, 255, 0]
        made[name] = colour
        made[name + " grey"] = colour[:, :, 0].copy()
    return made


def encode(image):
    return base64.b64encode(np.ascontiguousarray(np.asarray(image, dtype=np.uint8)).tobytes()).decode()


def centre(image, size):
    side = int(size * 256 / 224)
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(side * long / short)
    image = image.resize((side, other) if width <= height else (other, side), Image.BILINEAR)
    left, top = int(round((image.width - size) / 2)), int(round((image.height - size) / 2))
    return image.crop((left, top, left + size, top + size))


def main():
    cases, made = [], frames()
    for name, pixels in made.items():
        image = Image.fromarray(pixels)
        for width, height in [(16, 16), (25, 25), (20, 12)]:
            # A grey frame gets the padding's colours where it is padded.
            colour = image.convert("RGB")
            found = {"whole": image.resize((width, height), Image.BILINEAR),
                     "letterbox": ImageOps.pad(colour, (width, height), Image.BILINEAR, MEAN)}
            if width == height:
                found["centre"] = centre(image, width)
            for resize, view in found.items():
                cases.append(dict(frame=name, resize=resize, width=width, height=height,
                                  pixels=encode(view.convert("RGB"))))
    images = {name: dict(width=p.shape[1], height=p.shape[0], channels=1 if p.ndim == 2 else 3, pixels=encode(p))
              for name, p in made.items()}
    path = pathlib.Path(__file__).parent / "geometry.json"
    path.write_text(json.dumps(dict(frames=images, cases=cases), indent=0) + "\n")


if __name__ == "__main__":
    main()
