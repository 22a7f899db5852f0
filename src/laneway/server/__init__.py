"""The HTTP face: `api` speaks ASGI for the gateway, `app` builds and runs one process."""
