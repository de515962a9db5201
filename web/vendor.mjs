// Copies what the page and /docs run on out of node_modules, so that neither asks another server for
// anything.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const serving = join(here, "../src/sentiment_lstm/serving");

/** Empty a folder and copy files into it; the value is the new name, or null for its own. */
function copyInto(folder, files) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, name] of Object.entries(files)) {
    copyFileSync(join(modules, path), join(folder, name ?? basename(path)));
  }
}

copyInto(join(serving, "swagger"), {
  "swagger-ui-dist/swagger-ui-bundle.js": null,
  "swagger-ui-dist/swagger-ui.css": null,
  "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": null, // of what is bundled with it
  "swagger-ui-dist/LICENSE": "LICENSE.swagger-ui.txt",
  "swagger-ui-dist/NOTICE": "NOTICE.swagger-ui.txt",
});

const ORT = "ort.wasm.min.mjs";
const vendor = join(serving, "page/vendor");
copyInto(vendor, {
  [`onnxruntime-web/dist/${ORT}`]: null,
  "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs": null,
  // Its package holds neither; the notices are those of the wheel onnxruntime 1.32.0.
  "../licenses/onnxruntime-web.txt": "LICENSE.onnxruntime-web.txt",
  "../licenses/onnxruntime-web.ThirdPartyNotices.txt": "NOTICES.onnxruntime-web.txt",
  "@huggingface/transformers/LICENSE": "LICENSE.transformers.txt",
  "@huggingface/jinja/LICENSE": "LICENSE.jinja.txt", // bundled with transformers.js, as is the next
  "@huggingface/tokenizers/LICENSE": "LICENSE.tokenizers.txt",
});

// A quarter of its size, in the wheel as on the way to a browser.
const wasm = "ort-wasm-simd-threaded.wasm";
const compressed = gzipSync(readFileSync(join(modules, "onnxruntime-web/dist", wasm)), { level: 9 });
writeFileSync(join(vendor, `${wasm}.gz`), compressed);

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
writeFileSync(join(vendor, "transformers.web.min.js"), local);
