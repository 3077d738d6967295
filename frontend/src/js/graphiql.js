// The GraphiQL page: the schema's explorer, served whole from this origin, signed in as the monitor is.

import "graphiql/style.css";
import "../css/graphiql.css";
import { GraphiQL } from "graphiql";
import { createElement as h, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import * as session from "./session.js";

const here = new URL(".", import.meta.url);
const endpoint = document.querySelector('meta[name="graphql-endpoint"]')?.getAttribute("content") ?? "/graphql";
/** @type {Record<string, string>} */
const workers = { json: "json.worker.js", graphql: "graphql.worker.js" };

Object.assign(globalThis, {
  MonacoEnvironment: {
    getWorker: (/** @type {string} */ _id, /** @type {string} */ label) =>
      new Worker(new URL(workers[label] ?? "editor.worker.js", here), { type: "module" }),
  },
});

const WELCOME = `# Your newest jobs: how they go, what they cost.
# Ctrl+Enter runs it, Ctrl+Space suggests;
# the book at the left is the schema.
query NewestJobs {
  viewer { id unreadNotifications }
  jobs(first: 5) {
    totalCount
    nodes {
      id
      status
      stage
      progress
      dataset { name }
      gpuConfig { gpuType numGpus hourlyRate }
      costs { estimatedTotal current final }
      metrics(last: 3) { step trainingLoss }
    }
  }
}
`;

const asked = new URLSearchParams(location.hash.slice(1));
const initial = asked.has("query")
  ? { initialQuery: asked.get("query"), initialVariables: asked.get("variables") ?? "" }
  : {};

/**
 * @param {object} params
 * @param {{headers?: Record<string, string>}} [options]
 */
async function ask(params, { headers = {} } = {}) {
  const known = session.token();
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/graphql-response+json, application/json;q=0.9",
      ...(known && { Authorization: `Bearer ${known}` }),
      ...headers,
    },
    body: JSON.stringify(params),
  });
  if (response.status === 401 && !headers.Authorization) session.refuse();
  return response.json();
}

/** Shown while nobody is signed in: the explorer can only ask once it has a token. */
function SignIn() {
  const [value, setValue] = useState("");
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (value.trim()) session.signIn(value);
  };
  return h(
    "div",
    { className: "sign-in" },
    h(
      "form",
      { onSubmit: submit, "data-part": "sign-in" },
      h("h1", null, "Sign in to explore the API"),
      h("p", null, "Every question needs a bearer token. In the folder of the installation, run"),
      h("pre", null, h("code", null, "python -m jobs token USER")),
      h("p", null, "and paste what it prints:"),
      h("label", { htmlFor: "token" }, "Token"),
      h("input", {
        id: "token",
        type: "password",
        autoComplete: "off",
        spellCheck: false,
        required: true,
        value,
        onChange: (/** @type {{target: HTMLInputElement}} */ event) => setValue(event.target.value),
      }),
      h("button", { type: "submit" }, "Sign in"),
      h("p", null, h("a", { href: "/training/jobs" }, "Back to the training monitor")),
    ),
  );
}

function Page() {
  const signedIn = useSyncExternalStore(session.onSessionChange, () => session.token() !== null);
  if (!signedIn) return h(SignIn);
  return h(
    GraphiQL,
    { fetcher: ask, defaultQuery: WELCOME, shouldPersistHeaders: false, ...initial },
    h(GraphiQL.Logo, null, h("h1", { className: "home" }, h("a", { href: "/training/jobs" }, "lora-pipeline"))),
  );
}

await session.begin();
createRoot(/** @type {HTMLElement} */ (document.getElementById("graphiql"))).render(h(Page));
