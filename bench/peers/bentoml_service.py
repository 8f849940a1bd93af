"""bentoml: raw floats in and out through an ASGI route, because bentoml itself sends arrays as JSON."""

import functools

import bentoml
import numpy
from session import INPUT, OUTPUT, SHAPE, session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

shared_session = functools.cache(session)


async def infer(request: Request):
    latent = numpy.frombuffer(await request.body(), numpy.float32).reshape([1, *SHAPE])
    (output,) = await run_in_threadpool(shared_session().run, [OUTPUT], {INPUT: latent})
    return Response(output.tobytes(), media_type="application/octet-stream")


@bentoml.service(workers=1)
@bentoml.asgi_app(Starlette(routes=[Route("/infer", infer, methods=["POST"])]), path="/raw")
class Model:
    pass
