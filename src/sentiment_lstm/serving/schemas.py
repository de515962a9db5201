"""The bodies of requests and answers.

Sources: Hugging Face's text-classification task,
https://huggingface.co/docs/inference-providers/tasks/text-classification, and the Open Inference
Protocol, https://github.com/open-inference/open-inference-protocol.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ExplainParameters",
    "ExplainRequest",
    "Explained",
    "InferRequest",
    "InferResponse",
    "InputTensor",
    "ModelMetadata",
    "OutputTensor",
    "PredictParameters",
    "PredictRequest",
    "Problem",
    "RequestedOutput",
    "Score",
    "ServerMetadata",
    "TensorMetadata",
    "Word",
]

Texts = Annotated[list[str], Field(min_length=1)]


class _Strict(BaseModel):
    # A mistyped parameter that is ignored would answer another question than was asked.
    model_config = ConfigDict(extra="forbid")


class _TextsRequest(_Strict):
    inputs: str | Texts = Field(examples=["A wonderful film, beautifully acted."])

    def texts(self) -> list[str]:
        """Give the texts as a list, also where there is one alone."""
        return [self.inputs] if isinstance(self.inputs, str) else self.inputs

    def shaped(self, answers: list[Any]) -> Any:  # noqa: ANN401 - of any kind
        """Give the answer of a text alone, or the list of answers of a list."""
        return answers[0] if isinstance(self.inputs, str) else answers


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="One sentence.")


class PredictParameters(_Strict):
    """How the answer is to look."""

    top_k: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="The most probable labels only; all of them by default."
    )
    function_to_apply: Literal["softmax"] | None = Field(
        default=None, description="Scores are calibrated probabilities; there is nothing else."
    )


class PredictRequest(_TextsRequest):
    """One text, or a list of them."""

    parameters: PredictParameters | None = None


class Score(BaseModel):
    """A label and its calibrated probability."""

    label: str
    score: float


class ExplainParameters(_Strict):
    """What is to be explained."""

    label: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="The label to explain; the predicted one by default."
    )


class ExplainRequest(_TextsRequest):
    """One text, or a list of them."""

    parameters: ExplainParameters | None = None


class Word(BaseModel):
    """A stretch of the text and its pull; above 0 it speaks for the label."""

    start: int
    end: int
    text: str
    score: float


class Explained(BaseModel):
    """A label and the words behind it; `base` and all scores sum to `logit`."""

    label: str
    confidence: float = Field(description="The calibrated probability of `label`.")
    method: str
    logit: float
    base: float
    words: list[Word]


class InputTensor(BaseModel):
    """The texts, flat."""

    name: Literal["text"]
    shape: list[Annotated[int, Field(strict=True, ge=0)]] = Field(
        min_length=1, max_length=2, examples=[[1]]
    )
    datatype: Literal["BYTES"]
    parameters: dict[str, Any] | None = None
    data: Texts


class RequestedOutput(BaseModel):
    """An output by its name."""

    name: Literal["label", "confidence", "probabilities"]
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    """An inference request of the Open Inference Protocol."""

    id: Annotated[str, Field(max_length=200)] | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = Field(default=None, max_length=3)


class OutputTensor(BaseModel):
    """One output, flat."""

    name: str
    shape: list[int]
    datatype: str
    data: list[str] | list[float]


class InferResponse(BaseModel):
    """An inference response of the Open Inference Protocol."""

    model_name: str
    id: str | None = None
    outputs: list[OutputTensor]


class ServerMetadata(BaseModel):
    """What answers here."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor by its name; -1 stands for the number of texts."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What the model takes and gives."""

    name: str
    platform: str
    labels: list[str] = Field(description="The columns of `probabilities`, in order.")
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
