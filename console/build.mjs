// Bundles the page, its styles, fonts and workers into the folder named; nothing is left to fetch elsewhere.
import { build } from "esbuild";

const [outdir] = process.argv.slice(2);
if (!outdir) throw new Error("usage: node build.mjs FOLDER");

const shared = {
  outdir,
  bundle: true,
  minify: true,
  target: ["chrome100", "edge100", "firefox115", "safari16"],
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "linked",
  logLevel: "warning",
};

await build({
  ...shared,
  entryPoints: { console: "src/console.jsx" },
  format: "esm",
  jsx: "automatic",
  loader: { ".ttf": "dataurl" },
});

await build({
  ...shared,
  entryPoints: {
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
  },
  format: "iife",
});
