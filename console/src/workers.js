// Monaco's workers, from files beside this bundle. They carry its version, so a browser never mixes two builds.
const here = new URL(import.meta.url);
const named = new Set(["json", "graphql"]);

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const file = `${named.has(label) ? label : "editor"}.worker.js${here.search}`;
    return new Worker(new URL(file, here), { name: label });
  },
};
