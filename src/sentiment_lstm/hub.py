"""Whether the Hugging Face hub answers: asked once, instead of after minutes of retries."""

from __future__ import annotations

import logging
from pathlib import Path

__all__ = ["hub_answers", "hub_options", "only_local_files"]

logger = logging.getLogger(__name__)

_PROBE_TIMEOUT_S = 3.0


def hub_answers() -> bool:
    """Send the hub one request without retries; an answer that the server failed counts as none."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.is_offline_mode():
        return False
    try:
        answer = get_session().head(constants.ENDPOINT, timeout=_PROBE_TIMEOUT_S)
    except Exception as error:  # the HTTP library's own kinds differ from version to version
        logger.info("The hub does not answer: %s", error)
        return False
    return answer.status_code < 500


def only_local_files(source: str | Path) -> bool:
    """Tell whether `from_pretrained` should look at local files alone, the hub's cache included."""
    return Path(source).is_dir() or not hub_answers()


def hub_options(source: str | Path) -> dict[str, bool]:
    """Give what every `from_pretrained` of a source is called with; no code of it is run."""
    return {"local_files_only": only_local_files(source), "trust_remote_code": False}
