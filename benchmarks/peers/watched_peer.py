"""kiel's tasks of services, with somebody who listens: the option ``watch`` says who."""
from __future__ import absolute_import

from benchmarks.peers import kiel_peer, task
from kiel import clients


class Nowhere(object):
    """An exporter that takes spans and drops them."""

    def export(self, spans):
        """Done."""
        from opentelemetry.sdk.trace.export import SpanExportResult
        return SpanExportResult.SUCCESS

    def shutdown(self):
        """Nothing is open."""

    force_flush = shutdown


def provider(ratio):
    """OpenTelemetry's own SDK, which samples a part of all traces and exports in batches."""
    from opentelemetry.sdk.trace import TracerProvider, export, sampling
    made = TracerProvider(sampler=sampling.ParentBased(sampling.TraceIdRatioBased(ratio)))
    made.add_span_processor(export.BatchSpanProcessor(Nowhere(), max_queue_size=200000))
    return made


def hooks(watch):
    """The hooks of a client."""
    if watch == "metrics":
        from kiel.metrics import Metrics
        return [Metrics()]
    if watch == "prometheus":
        from kiel.metrics.prometheus import PrometheusMetrics
        return [PrometheusMetrics()]
    if watch.startswith("tracing"):
        from kiel.tracing import Tracing
        _, ratio, share = (watch + ",1,1").split(",")[:3]
        return [Tracing(provider(float(ratio)), share=int(share))]
    return None


class Watched(object):
    """`kiel.clients`, each client with hooks."""

    def __init__(self, watch):
        self._watch = watch

    def __getattr__(self, name):
        made = getattr(clients, name)
        return lambda *args, **settings: made(*args, hooks=hooks(self._watch), **settings)


def watched(work):
    """A task of `benchmarks.peers.kiel_peer` whose clients have the hooks that the option says."""
    def run(this):
        """The task."""
        kiel_peer.clients = Watched(this.options.get("watch", "nobody"))
        # as long as the one that is there otherwise, which would be a context of the application's own
        task.HEADER = ("request-id0", task.HEADER[1])
        return work(this)
    return run


if __name__ == "__main__":
    task.main(dict((name, watched(work)) for name, work in vars(kiel_peer).items()
                   if getattr(work, "__module__", None) == kiel_peer.__name__))
