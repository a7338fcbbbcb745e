// Bundles the tests, since Node 20 does not read TypeScript, and runs them.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";

rmSync("build", { recursive: true, force: true });
const tests = readdirSync("test").filter((file) => file.endsWith(".test.ts"));
await build({
  entryPoints: tests.map((file) => `test/${file}`),
  outdir: "build",
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  sourcemap: "inline",
  outExtension: { ".js": ".mjs" },
  logLevel: "warning",
});
const built = tests.map((file) => `build/${file.replace(/\.ts$/, ".mjs")}`);
process.exitCode = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...built], { stdio: "inherit" }).status ?? 1;
