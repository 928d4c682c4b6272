// Builds the clients' CSS and JS into prog_edge/web/static/built, with content hashes in the names and a
// manifest.json that `prog_edge.web.ui.assets` reads. Nothing of the output is committed.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const output = join(here, "../prog_edge/web/static/built");
const entries = ["site", "account", "console"];

/** Runs Tailwind over css/app.css into `target`; the pages' templates say which classes are used. */
function tailwind(target) {
  const cli = join(here, "node_modules/@tailwindcss/cli/dist/index.mjs");
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, "--input", "css/app.css", "--output", target], {
      cwd: here,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk) => (said += chunk));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`tailwind failed:\n${said}`))));
  });
}

/** Bundles JS and CSS together, so that fonts and chunks get hashed names too; returns logical name -> file name. */
async function bundle(cssFile, stage) {
  const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [...entries.map((name) => ({ in: `js/${name}.js`, out: name })), { in: cssFile, out: "app" }],
    nodePaths: [join(here, "node_modules")],
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    target: ["es2022"],
    supported: { nesting: true },
    loader: { ".woff2": "file" },
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    assetNames: "[name]-[hash]",
    outdir: stage,
    metafile: true,
    logLevel: "warning",
  });
  const names = {};
  for (const [path, made] of Object.entries(result.metafile.outputs)) {
    const file = basename(path);
    if (made.entryPoint) names[file.replace(/-[A-Z0-9]{8}(?=\.)/, "")] = file;
    else if (extname(file) === ".woff2") names[file.replace(/-[A-Z0-9]{8}(?=\.)/, "")] = file;
  }
  return names;
}

async function copyPublic(stage) {
  const names = {};
  for (const name of await readdir(join(here, "public"))) {
    const content = await readFile(join(here, "public", name));
    const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
    names[name] = `${basename(name, extname(name))}-${hash}${extname(name)}`;
    await writeFile(join(stage, names[name]), content);
  }
  return names;
}

/** Replaces the output in one step, so that a running server never reads half of a build. */
async function publish(stage) {
  await mkdir(dirname(output), { recursive: true });
  const incoming = `${output}.incoming`;
  await rm(incoming, { recursive: true, force: true });
  await cp(stage, incoming, { recursive: true });
  await rm(output, { recursive: true, force: true });
  await rename(incoming, output);
}

const started = performance.now();
const work = await mkdtemp(join(tmpdir(), "prognetwork-frontend-"));
try {
  const cssFile = join(work, "app.css");
  const stage = join(work, "built");
  await mkdir(stage);
  await tailwind(cssFile);
  const manifest = { ...(await bundle(cssFile, stage)), ...(await copyPublic(stage)) };
  await writeFile(join(stage, "manifest.json"), JSON.stringify(manifest, null, 2) + "\n");
  await publish(stage);
  console.log(`built ${Object.keys(manifest).length} files in ${Math.round(performance.now() - started)} ms`);
} finally {
  await rm(work, { recursive: true, force: true });
}
