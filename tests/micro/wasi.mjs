// Runs a wasm program in node's V8, the engine that Envoy has too. Cargo's runner for wasm32-wasip1:
//     CARGO_TARGET_WASM32_WASIP1_RUNNER="node tests/micro/wasi.mjs"
import { readFile } from "node:fs/promises";
import { argv, env, exit } from "node:process";
import { setFlagsFromString } from "node:v8";
import { WASI } from "node:wasi";

const [program, ...rest] = argv.slice(2);
// What is measured is what V8's optimizing compiler makes of it, from the first call on.
setFlagsFromString("--no-liftoff");
const wasi = new WASI({ version: "preview1", args: [program, ...rest], env });
const module = await WebAssembly.compile(await readFile(program));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
exit(wasi.start(instance));
