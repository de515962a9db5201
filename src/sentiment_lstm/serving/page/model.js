// A model folder and a text in; label, calibrated confidence and each word's pull out.
import * as ort from "./vendor/ort.wasm.min.mjs";
import { PreTrainedTokenizer, env } from "./vendor/transformers.web.min.js";
import { wordsOf } from "./words.js";

const VENDOR = new URL("vendor/", import.meta.url).href;
const ONNX_FILES = ["onnx/model_quantized.onnx", "onnx/model.onnx"]; // the smaller one first
const LONGEST_CHARACTERS = 100_000; // half a second's work, in which the page cannot answer
const WHOLE_LENGTH = 1e9; // from here on, `model_max_length` means that no text is cut

env.allowRemoteModels = false;
ort.env.wasm.wasmPaths = VENDOR;
ort.env.wasm.numThreads = 1; // more would need headers that few static servers send
ort.env.logLevel = "error";

/** Tell whether a text is longer than the page reads. */
export const isTooLong = (text) => text.length > LONGEST_CHARACTERS;

/** A mistake that the reader can mend; its message is one sentence. */
export class PageError extends Error {}

/** Refuse a text that is longer than the page reads. */
export function checkLength(text) {
  if (!isTooLong(text)) return;
  const [found, longest] = [text.length, LONGEST_CHARACTERS].map((count) => count.toLocaleString("en"));
  throw new PageError(
    `The text has ${found} characters, more than the ${longest} that this page reads; ` +
      "cut it, or use `sentiment-lstm predict`.",
  );
}

/** Load the model from a folder beside the page. */
export async function loadModel(folder = new URL("model/", import.meta.url).href) {
  const [config, tokenizer, tokenizerConfig, calibration] = await Promise.all([
    json(folder, "config.json"),
    json(folder, "tokenizer.json"),
    json(folder, "tokenizer_config.json"),
    json(folder, "calibration.json", { optional: true }),
  ]);
  return new Model(config, tokenizer, tokenizerConfig, calibration, await openSession(folder));
}

class Model {
  constructor(config, tokenizer, tokenizerConfig, calibration, session) {
    this.labels = Object.keys(config.id2label).map((_, id) => config.id2label[id]);
    this.abstainBelow = config.abstain_below ?? 0;
    this.thresholds = calibration?.thresholds ?? {};
    this.explains = session.outputNames.includes("token_scores");
    this.session = session;
    this.tokenizer = new PreTrainedTokenizer(tokenizer, tokenizerConfig);
    this.unknownId = tokenizer.model.vocab[tokenizer.model.unk_token];
    this.pieces = Object.fromEntries(
      Object.entries(tokenizer.model.vocab).map(([piece, id]) => [id, piece]),
    );
    const limit = tokenizerConfig.model_max_length ?? WHOLE_LENGTH;
    this.maxLength = limit < WHOLE_LENGTH ? limit : Infinity;
    this.busy = Promise.resolve();
  }

  /** Classify one text; `words` is null where the model's logits are no sum over tokens. */
  classify(text, { explain = false } = {}) {
    // A session runs one text at a time, and a second one asked for meanwhile has to wait.
    const answer = this.busy.then(() => this.run(text, explain));
    this.busy = answer.catch(() => {});
    return answer;
  }

  async run(text, explain) {
    checkLength(text);
    const whole = this.tokenizer.encode(text).map(Number);
    const ids =
      whole.length > this.maxLength
        ? [...whole.slice(0, this.maxLength - 1), whole[whole.length - 1]]
        : whole;
    const shape = [1, ids.length];
    const outputs = await this.session.run(
      {
        input_ids: new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), shape),
        attention_mask: new ort.Tensor("int64", new BigInt64Array(ids.length).fill(1n), shape),
      },
      explain && this.explains ? ["logits", "token_scores"] : ["logits"],
    );
    const probabilities = softmax(Array.from(outputs.logits.data));
    const best = probabilities.indexOf(Math.max(...probabilities));
    return {
      label: this.labels[best],
      best,
      confidence: probabilities[best],
      probabilities,
      truncated: whole.length > this.maxLength,
      words: outputs.token_scores ? this.words(text, ids, outputs.token_scores.data, best) : null,
    };
  }

  words(text, ids, scores, best) {
    const classes = this.labels.length;
    // Between two classes a pull has two ends of its own; between more, it is for the label or not.
    const towards = classes === 2 ? 1 : best;
    const tokens = ids.map((id, place) => {
      const row = scores.subarray(place * classes, (place + 1) * classes);
      let others = 0;
      row.forEach((score, label) => (others += label === towards ? 0 : score / (classes - 1)));
      return { piece: this.pieces[id], unknown: id === this.unknownId, pull: row[towards] - others };
    });
    return wordsOf(text, tokens.slice(1, -1)); // without [CLS] and [SEP]
  }
}

async function openSession(folder) {
  let reason = null;
  for (const name of ONNX_FILES) {
    const response = await fetch(folder + name).catch(() => null);
    if (!response?.ok) continue;
    try {
      const bytes = new Uint8Array(await response.arrayBuffer());
      return await ort.InferenceSession.create(bytes, {
        executionProviders: ["wasm"],
        logSeverityLevel: 3, // errors only
      });
    } catch (error) {
      reason = error;
    }
  }
  throw new PageError(
    reason
      ? `The model's ONNX file cannot be run in this browser (${String(reason.message ?? reason).slice(0, 160)}).`
      : "The folder model/ beside this page holds no ONNX file; run `sentiment-lstm page` again.",
  );
}

async function json(folder, name, { optional = false } = {}) {
  const response = await fetch(folder + name).catch(() => null);
  if (!response?.ok) {
    if (optional) return null;
    throw new PageError(
      `The folder model/ beside this page lacks ${name}; run \`sentiment-lstm page\` again.`,
    );
  }
  try {
    return await response.json();
  } catch {
    if (optional) return null;
    throw new PageError(`The file model/${name} is damaged; run \`sentiment-lstm page\` again.`);
  }
}

function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
