"""Trains a small autoencoder with PyTorch and exports it as ONNX, for `training split`.

    python training/examples/export_autoencoder.py autoencoder.onnx [--pictures FILE.npy] [--keep FILE.npy]

Needs torch, onnx and onnxscript. FILE.npy of --pictures holds pictures as floats of 0 to 1, [n, 1, 32, 32]; without it
the pictures are made up: one bright rectangle each. --keep saves 128 of them, to calibrate the bundle on.
"""
import argparse
import pathlib

import torch
from torch import nn

arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
arguments.add_argument("out")
arguments.add_argument("--pictures", metavar="FILE.npy")
arguments.add_argument("--keep", metavar="FILE.npy")
arguments.add_argument("--steps", type=int, default=60)
options = arguments.parse_args()
torch.manual_seed(0)

# The encoder is for the edge: two convolutions without overlap. The decoder may cost more.
encoder = nn.Sequential(nn.Conv2d(1, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 4, 2, stride=2))
decoder = nn.Sequential(
    nn.ConvTranspose2d(4, 32, 2, stride=2), nn.BatchNorm2d(32), nn.GELU(),
    nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
    nn.ConvTranspose2d(32, 1, 4, stride=4), nn.Sigmoid(),
)
model = nn.Sequential(encoder, decoder)


def made_up(count: int) -> torch.Tensor:
    place = torch.arange(32)
    start, end = torch.randint(0, 24, (2, count, 1)), torch.randint(4, 12, (2, count, 1))
    inside = (place >= start) & (place < start + end)
    return (inside[0][:, :, None] & inside[1][:, None, :]).float()[:, None]


if options.pictures:
    import numpy
    pictures = torch.from_numpy(numpy.load(options.pictures)).float()
else:
    pictures = made_up(512)
pathlib.Path(options.out).parent.mkdir(parents=True, exist_ok=True)
if options.keep:
    import numpy
    numpy.save(options.keep, pictures[:128].numpy())
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(options.steps):
    batch = pictures[torch.randint(0, len(pictures), (64,))]
    loss = nn.functional.mse_loss(model(batch), batch)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print(f"mean squared error {loss.item():.4f} after {options.steps} steps")

model.eval()
batch = torch.export.Dim("batch")
torch.onnx.export(
    model, (pictures[:2],), options.out, opset_version=18, dynamo=True, external_data=True,
    input_names=["picture"], output_names=["again"], dynamic_shapes=({0: batch},),
)
