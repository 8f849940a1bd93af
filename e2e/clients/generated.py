"""Calls a cloud-decoder with the bundles fashion and photo through a client that openapi-python-client generated.

usage: generated.py URL FRAME, where FRAME is the file of a frame of fashion. The package lopside_client is the generated
client. The server has the channels stable, which offers fashion, and old, which names a bundle that is not served.
Prints one line per check that passed.
"""

import io
import sys

from lopside_client import Client
from lopside_client.api.bundles import decode, get_bundle, list_bundles, list_channels
from lopside_client.api.inference import infer, model_config, model_statistics
from lopside_client.models import (
    Datatype,
    DecodeForm,
    Error,
    FeatureMapLayer,
    FixedLayer,
    InferenceRequest,
    InferInputTensor,
    OfferedChannel,
    Outputs,
    PngOutput,
    Priority,
    RefusedChannel,
    SingleTensorOutput,
)
from lopside_client.types import UNSET, File

URL, FRAME = sys.argv[1], open(sys.argv[2], "rb").read()
# Without this header, the server answers with PNG if the only head makes images.
CLIENT = Client(base_url=URL, headers={"Accept": "application/json"}, raise_on_unexpected_status=True)


def frame():
    return File(payload=io.BytesIO(FRAME))


def passed(check):
    print("ok:", check)


fashion, photo = list_bundles.sync(client=CLIENT).bundles
assert [fashion.name, photo.name] == ["fashion", "photo"], (fashion, photo)
assert fashion.input_.picture.width == 28 and fashion.input_.series is UNSET and photo.input_ is UNSET, fashion
assert isinstance(fashion.layers[0], FixedLayer) and fashion.layers[0].shape == [32], fashion
assert isinstance(photo.layers[0], FeatureMapLayer) and photo.layers[0].channels > 0, photo
head = fashion.heads[0]
assert head.kind.reconstruct.height == 28 and head.kind.classify is UNSET, head
assert head.macs > 0 and head.macs_per_pixel is UNSET, head
scales = {head.name: head.kind.picture.scale for head in photo.heads}
assert scales == {"reconstruct": 1, "upscale": 2} and photo.heads[0].macs_per_pixel > 0, photo
passed("the bundles are listed")

assert get_bundle.sync("fashion", client=CLIENT) == fashion
unknown = get_bundle.sync("nothing", client=CLIENT)
assert isinstance(unknown, Error) and "nothing" in unknown.error, unknown
passed("one bundle is returned, and an error has its type")

one = decode.sync("fashion", client=CLIENT, body=frame(), lopside_priority=Priority.HIGH, lopside_timeout_ms=20_000)
assert isinstance(one, SingleTensorOutput) and len(one.values) == 28 * 28 and one.bundle == "fashion", one
several = decode.sync("fashion", client=CLIENT, body=frame(), heads="reconstruct,reconstruct@1")
assert isinstance(several, Outputs) and len(several.outputs) == 2, several
assert all(isinstance(output, PngOutput) and output.head_version == 1 for output in several.outputs), several
form = decode.sync("fashion", client=CLIENT, body=DecodeForm(frame=frame()), head="reconstruct@1")
assert form == one, form
passed("a frame is decoded by one head and by several")

stable, old = list_channels.sync(client=CLIENT).channels
assert isinstance(stable, OfferedChannel) and stable.latent_space == fashion.latent_space, stable
assert isinstance(old, RefusedChannel) and old.bundle == "gone" and old.problem, old
passed("the channels are listed")

tensor = InferInputTensor(name="latent", shape=[1, 32], datatype=Datatype.FP32, data=[0.0] * 32)
answer = infer.sync("fashion.reconstruct", client=CLIENT, body=InferenceRequest(inputs=[tensor]))
assert answer.outputs[0].datatype is Datatype.FP32 and len(answer.outputs[0].data) == 28 * 28, answer
assert model_config.sync("fashion.reconstruct", client=CLIENT).dynamic_batching.priority_levels == 3
assert model_statistics.sync("fashion.reconstruct", client=CLIENT).model_stats[0].inference_count >= 1
passed("a model answers, with its configuration and statistics")
