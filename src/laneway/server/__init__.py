"""The HTTP face: `http` speaks with clients, `api` for the gateway; `app` builds and runs one process."""
