"""Answers of ours on the OpenAI chat-completions wire: words in, a completion as its clients read it out.

Reference: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import msgspec

from laneway.wire.openai_answer import DONE

__all__ = ["as_stream", "completion"]


def completion(
    id: str, model: str, text: str, tool_calls: tuple[tuple[str, str], ...] = (),
    tokens: tuple[int, int] = (0, 0),
) -> dict[str, object]:  # fmt: skip
    """A whole chat completion that says `text`; `tool_calls` are (name, arguments), `tokens` are input and output."""
    message: dict[str, object] = {"role": "assistant", "content": text or None, "refusal": None}
    if tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(tool_calls)
        ]
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    finish = "tool_calls" if tool_calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    made = int(id.partition("-")[0], 16) // 1000
    return {"id": f"chatcmpl-{id}", "object": "chat.completion", "created": made, "model": model,
            "choices": [choice], "usage": usage}  # fmt: skip


def as_stream(whole: dict[str, object], *, usage: bool) -> bytes:
    """A completion as the events of a stream: one with all that it says, one with its end, and its usage if wanted."""
    (choice,) = whole["choices"]  # type: ignore[misc]  # as `completion` makes it
    message: dict[str, object] = choice["message"]  # type: ignore[has-type]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        message = {**message, "tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]}
    head = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    said = {"index": 0, "delta": message, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}  # type: ignore[has-type]
    chunks = [{**head, "choices": [said]}, {**head, "choices": [ended]}]
    if usage:
        chunks.append({**head, "choices": [], "usage": whole["usage"]})
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + DONE
