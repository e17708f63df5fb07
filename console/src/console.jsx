// The page at /graphql: GraphiQL with one tab for each example; it asks nothing but the endpoint in its initial data.
import "./workers.js";
import { GraphiQL } from "graphiql";
import { editor } from "monaco-graphql/esm/monaco-editor.js";
import { createRoot } from "react-dom/client";
import "graphiql/style.css";
import "./console.css";

const { title, endpoint, examples } = JSON.parse(document.getElementById("initial").textContent);

async function ask(request, { headers } = {}) {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json", ...headers },
    body: JSON.stringify({ ...request, operationName: nameWithin(request) }),
  });
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`HTTP ${answer.status}: ${text}`);
  }
}

// GraphiQL learns a tab's operation a moment after the tab is chosen; until then it sends the name of the one before.
function nameWithin({ query, operationName }) {
  return operationName && new RegExp(`\\b${operationName}\\b`).test(query) ? operationName : undefined;
}

// GraphiQL titles a tab with its operation's name, which GraphQL keeps to ASCII; the Chinese title is drawn in its place.
function drawTitles() {
  const sheet = new CSSStyleSheet();
  for (const example of examples) {
    const name = /^\s*(?:query|mutation|subscription)\s+(\w+)/m.exec(example.query)?.[1];
    if (!name) continue;
    const tab = `.graphiql-tab-button[title=${JSON.stringify(name)}]`;
    sheet.insertRule(`${tab} { font-size: 0 }`);
    sheet.insertRule(`${tab}::after { content: ${JSON.stringify(example.title)}; font-size: var(--font-size-body) }`);
  }
  document.adoptedStyleSheets.push(sheet);
}

// On a first visit GraphiQL fills the query of the first tab but not its variables, unless both lie in its store.
function fillFirstTab([first]) {
  if (!first?.variables || localStorage.getItem("graphiql:tabState") !== null) return;
  localStorage.setItem("graphiql:query", first.query);
  localStorage.setItem("graphiql:variables", first.variables);
}

// Monaco frames full-width punctuation as "ambiguous" unless the browser itself is set to Chinese.
editor.onDidCreateEditor((created) => created.updateOptions({ unicodeHighlight: { ambiguousCharacters: false } }));

drawTitles();
fillFirstTab(examples);
createRoot(document.getElementById("console")).render(
  <GraphiQL
    fetcher={ask}
    defaultTabs={examples.length ? examples.map(({ query, variables }) => ({ query, variables })) : undefined}
    defaultEditorToolsVisibility={examples.some(({ variables }) => variables) ? "variables" : undefined}
    schemaDescription
  >
    <GraphiQL.Logo>
      <strong className="console-title">{title}</strong>
    </GraphiQL.Logo>
  </GraphiQL>,
);
