"""
A Starlette service that takes events and works on them, on one asyncio loop with kiel. FastAPI takes the same lifespan.

    BROKERS=localhost:9092 TOPIC=events uvicorn --app-dir docs/recipes starlette_app:app --port 8888
    curl -d '{"id": 1}' localhost:8888/events
    curl localhost:8888/health/ready

Upon SIGTERM uvicorn answers what has come, and ends the lifespan: the worker drains, and what was produced goes out.
"""
import contextlib
import json
import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from kiel import clients, exc
from kiel.worker import Worker

BROKERS = os.environ.get("BROKERS", "localhost:9092")
TOPIC = os.environ.get("TOPIC", "events")


async def handle(record):
    """What is done for each event."""
    print("worked on", record.value, flush=True)


@contextlib.asynccontextmanager
async def lifespan(app):
    """Everything is connected before the first request, and closed after the last."""
    consumer = clients.GroupedConsumer(BROKERS, "starlette", topics=[TOPIC], autocommit=False)
    app.state.worker = Worker(consumer, handle, dead_letters=TOPIC + ".dead")
    async with clients.Producer(BROKERS, linger=0.005) as app.state.producer:
        working = app.state.worker.run()
        try:
            yield
        finally:
            await app.state.worker.drain(20)
    await working  # raises what has ended the worker, if anything


async def post_event(request):
    """Takes an event; the answer comes when a broker has it."""
    try:
        event = await request.json()
        key = str(event["id"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return JSONResponse({"error": "an event is a JSON object with an id"}, status_code=400)
    try:
        written = await request.app.state.producer.produce_and_wait(TOPIC, event, key=key, timeout=5)
    except exc.KielError as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return JSONResponse({"partition": written.partition, "offset": written.offset}, status_code=201)


async def health(request):
    """What a probe wants to know: "live" unless something has ended for good, "ready" when all is well."""
    found = [client.health() for client in (request.app.state.producer, request.app.state.worker)]
    if request.path_params["what"] == "live":
        well = not any(one["ended"] for one in found)
    else:
        well = all(one["ready"] for one in found)
    return JSONResponse({"status": "ok" if well else "unavailable"}, status_code=200 if well else 503)


app = Starlette(lifespan=lifespan, routes=[
    Route("/events", post_event, methods=["POST"]),
    Route("/health/{what:str}", health),
])
