// Copies what the page runs on out of node_modules, so that it asks no other server for anything.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const target = join(here, "../src/sentiment_lstm/serving/page/vendor");

const ORT = "ort.wasm.min.mjs";
const COPIED = [
  `onnxruntime-web/dist/${ORT}`,
  "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
];
const LICENSES = ["@huggingface/transformers/LICENSE"];

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const path of COPIED) copyFileSync(join(modules, path), join(target, path.split("/").pop()));
for (const path of LICENSES) copyFileSync(join(modules, path), join(target, "LICENSE.transformers"));

// A browser resolves no package names, and an import map would have to be allowed as an inline
// script. The plain WASM build stands in for the WebGPU one, which is twice as large.
const library = readFileSync(join(modules, "@huggingface/transformers/dist/transformers.web.min.js"), "utf8");
let replaced = 0;
const local = library
  .replace(/from\s*"(onnxruntime-common|onnxruntime-web\/webgpu)"/g, () => {
    replaced += 1;
    return `from"./${ORT}"`;
  })
  .replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
if (replaced !== 2) throw new Error(`Expected 2 imports of ONNX Runtime, found ${replaced}.`);
writeFileSync(join(target, "transformers.web.min.js"), local);
