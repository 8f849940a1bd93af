"""Frames and names that the server knows, so that schemathesis reaches what random bytes do not."""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

FRAMES = [path.read_bytes() for path in sorted(Path(os.environ["LOPSIDE_FRAMES"]).glob("*.lps"))]

schemathesis.openapi.media_type("application/octet-stream", st.one_of(st.sampled_from(FRAMES), st.binary()))


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the requests name the bundle that is served, but none unloads it."""
    if path_parameters and not context.operation.path.endswith("unload"):
        for key, names in (("name", ["fashion"]), ("model", ["fashion", "fashion.reconstruct"])):
            value = path_parameters.get(key)
            if isinstance(value, str) and len(value) % 2 == 0:
                path_parameters[key] = names[len(value) // 2 % len(names)]
    return path_parameters
