"""The images that the files of the corpus show, as arrays of 8-bit samples."""

import numpy as np

WIDTH, HEIGHT = 48, 32


def colour(width=WIDTH, height=HEIGHT):
    """Returns a scene without symmetry: its colours change slowly, and its edges are edges of brightness."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    red = 60 + 110 * x
    green = 50 + 120 * y
    blue = 150 - 70 * x * y
    scene = np.stack([red, green, blue], axis=-1)
    scene[3 : height // 2, 4:9] += 70
    scene[height // 2 - 4 : height // 2, 4 : width // 2] += 70
    scene[-8:-4, -20:-5] -= 45
    return np.clip(np.rint(scene), 0, 255).astype(np.uint8)


def grey(width=WIDTH, height=HEIGHT):
    """Returns the brightness of the scene."""
    return np.rint(colour(width, height).astype(float) @ [0.299, 0.587, 0.114]).astype(np.uint8)


def night(width=WIDTH, height=HEIGHT):
    """Returns the view of an infrared camera at night: a spot of light and a little noise."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    light = 20 + 180 * np.exp(-np.hypot(x - 18, y - 14) / 9)
    noise = (x * 7 + y * 13) % 5
    return np.clip(light + noise, 0, 255).astype(np.uint8)


def alpha(width=WIDTH, height=HEIGHT):
    """Returns opacities: transparent on the left, opaque on the right."""
    ramp = np.clip(np.linspace(-80, 330, width), 0, 255)
    return np.tile(np.rint(ramp).astype(np.uint8), (height, 1))


def over(image, opacity, background):
    """Returns an image over a background, mixed by the encoded samples, as browsers do."""
    opacity = opacity.astype(float)[..., None] / 255
    mixed = image.astype(float) * opacity + np.asarray(background, float) * (1 - opacity)
    return np.rint(mixed).astype(np.uint8)


def to_srgb(linear):
    """Returns samples of 8 bits from light between 0 and 1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


def to_linear(samples, max_value=255):
    """Returns the light of samples in sRGB."""
    encoded = samples.astype(float) / max_value
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
