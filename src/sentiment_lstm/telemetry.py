"""ONNX Runtime, kept from reporting on the machine and the models that it opens."""

from __future__ import annotations

import os
from types import ModuleType

__all__ = ["SWITCH", "import_onnxruntime"]

SWITCH = "ORT_DISABLE_TELEMETRY"


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its reports to Microsoft turned off.

    It sends the first one and writes an identifier to the user's cache while it is imported, so it
    has to be told before. Whoever sets the variable `ORT_DISABLE_TELEMETRY` to 0 has the reports.

    Source: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
    """
    os.environ.setdefault(SWITCH, "1")
    import onnxruntime

    if os.environ[SWITCH] == "1":  # it may have been imported before this
        onnxruntime.disable_telemetry_events()
    return onnxruntime
